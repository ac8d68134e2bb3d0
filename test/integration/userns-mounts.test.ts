/** Mounts in a user namespace: what the kernel allows there, what takes the place of the rest, and what is refused. */
import { expect } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestBundle, type TestConfig, testNeeding } from "./helpers.ts";
import { parseMounts, rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("usermounts");
const { outsideDirectory, expectRefused } = rootfsTools(box);
const test = testNeeding("root", "busybox", "user namespaces");

const OWN = [{ containerID: 0, hostID: 100000, size: 65536 }];

/** A container in a user namespace that shares some namespaces with the host. */
function bundleOf(shared: string[], patch?: (config: TestConfig) => void): TestBundle {
  const b = box.bundle({
    args: ["cat", "/proc/self/mountinfo"],
    patch: (config) => {
      const { namespaces = [] } = config.linux;
      config.linux.namespaces = [...namespaces, { type: "user" as const }].filter(
        ({ type }) => !shared.includes(type),
      );
      Object.assign(config.linux, { uidMappings: OWN, gidMappings: OWN });
      writable(config);
      patch?.(config);
    },
  });
  chownSync(b.rootfs, 100000, 100000);
  return b;
}

function mountsOf(b: TestBundle) {
  const { status, stdout, stderr } = box.run(b);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return parseMounts(stdout);
}

test("with namespaces of its own a container has file systems of its own", () => {
  const mounts = mountsOf(bundleOf([]));
  for (const [point, type] of Object.entries({
    "/proc": "proc",
    "/sys": "sysfs",
    "/dev/mqueue": "mqueue",
    "/dev/pts": "devpts",
  }))
    expect([point, mounts[point]?.type]).toEqual([point, type]);
  expect(mounts["/sys"]?.options).toContain("ro");
});

test("without a network namespace the host's /sys takes the place of a sysfs, with the flags asked for", () => {
  const mounts = mountsOf(bundleOf(["network"]));
  expect(mounts["/sys"]).toMatchObject({ type: "sysfs" });
  for (const flag of ["ro", "nosuid", "nodev", "noexec"]) expect(mounts["/sys"]?.options).toContain(flag);
  // What the host has mounted below comes along, since it may not be uncovered; read-only as well.
  const host = parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
  const below = Object.keys(host).filter((point) => point.startsWith("/sys/kernel/"));
  for (const point of below) expect([point, mounts[point]?.options[0]]).toEqual([point, "ro"]);
});

test("without an IPC namespace the host's mqueue takes the place of a new one", () => {
  const b = bundleOf(["ipc"]);
  if (parseMounts(readFileSync("/proc/self/mountinfo", "utf8"))["/dev/mqueue"] === undefined) {
    // This machine has none mounted: then there is a directory, or nothing to be had.
    const { status, stderr } = box.run(b);
    if (status !== 0) expect(stderr).toContain("a new mqueue needs an IPC namespace of its own");
    return;
  }
  expect(mountsOf(b)["/dev/mqueue"]?.type).toBe("mqueue");
});

test("without a pid namespace a procfs is refused, with what it needs", () => {
  expectRefused(bundleOf(["pid"]), 'cannot mount "proc" on /proc', "needs a pid namespace of its own");
});

test("the host's procfs may be bound then", () => {
  const b = bundleOf(["pid"], (config) => {
    config.mounts[0] = { destination: "/proc", type: "none", source: "/proc", options: ["rbind"] };
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  });
  expect(mountsOf(b)["/proc"]?.type).toBe("proc");
});

for (const shared of [[], ["cgroup"]])
  test(`cgroups are shown ${shared.length === 0 ? "with" : "without"} a cgroup namespace, and read-only as asked`, () => {
    const mounts = mountsOf(bundleOf(shared));
    const shown = Object.keys(mounts).filter((point) => point.startsWith("/sys/fs/cgroup"));
    expect(shown.length).toBeGreaterThan(0);
    for (const point of shown) expect([point, mounts[point]?.options[0]]).toEqual([point, "ro"]);
  });

/** As a user without any rights, mapped to root. */
function runAsUser(shared: string[], mounts: TestConfig["mounts"]) {
  const b = box.bundle({
    args: ["cat", "/proc/self/mountinfo"],
    patch: (config) => {
      const types = ["pid", "ipc", "uts", "mount", "user", "network", "cgroup"] as const;
      config.linux = { namespaces: types.filter((t) => !shared.includes(t)).map((type) => ({ type })) };
      config.mounts = [{ destination: "/proc", type: "proc", source: "proc" }, ...mounts];
    },
  });
  const state = join(b.directory, "state");
  mkdirSync(state);
  for (const path of [b.directory, b.rootfs, state]) chownSync(path, 1000, 1000);
  return box.kontena(["run", "--bundle", b.directory, b.id], {
    globals: ["--root", state],
    before: ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"],
  });
}

const SYSFS = { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "ro"] };
const CGROUP = { destination: "/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "ro"] };

test("a user without rights has a sysfs and cgroups with namespaces of its own, or the host's without", () => {
  for (const shared of [[], ["network"], ["cgroup"], ["network", "cgroup"]]) {
    const { status, stdout, stderr } = runAsUser(shared, [SYSFS, CGROUP]);
    expect({ shared, status, stderr }).toEqual({ shared, status: 0, stderr: "" });
    const mounts = parseMounts(stdout);
    expect(mounts["/sys"]).toMatchObject({ type: "sysfs" });
    for (const point of ["/sys", "/cgroup"])
      expect(mounts[point]?.options.slice(0, 2)).toEqual(["ro", "nosuid"]);
  }
});

test("a user binds what the user may see, and nothing else", () => {
  const source = outsideDirectory();
  const bind = { destination: "/place", source, options: ["rbind", "rro"] };
  const { status, stdout } = runAsUser([], [bind]);
  expect(status).toBe(0);
  expect(parseMounts(stdout)["/place"]?.options).toContain("ro");
  chmodSync(source, 0o700);
  const closed = runAsUser([], [{ ...bind, source: join(source, "file") }]);
  expect(closed.stderr).toContain("mounts[1].source");
  expect(closed.stderr).toContain("permission denied");
});

test("a file system that only the host's root may mount is refused in the kernel's words", () => {
  const mount = { destination: "/data", type: "ext4", source: "/dev/null" };
  const b = bundleOf([], (config) => {
    config.mounts.push(mount);
  });
  expectRefused(b, 'mounts[7]: cannot mount "ext4" on /data', "operation not permitted");
});

test("tmpfs and overlay are the container's own", () => {
  const layers = outsideDirectory();
  for (const name of ["lower", "upper", "work"]) {
    mkdirSync(join(layers, name));
    chownSync(join(layers, name), 100000, 100000);
  }
  chmodSync(layers, 0o755);
  const options = ["lower", "upper", "work"].map((name) => `${name}dir=${layers}/${name}`);
  const mounts = mountsOf(
    bundleOf([], (config) => {
      config.mounts.push(
        { destination: "/merged", type: "overlay", source: "overlay", options: [...options, "userxattr"] },
        { destination: "/data", type: "tmpfs", options: ["size=64k"] },
      );
    }),
  );
  expect(mounts["/merged"]?.type).toBe("overlay");
  expect(mounts["/data"]?.superOptions).toContain("size=64k");
});

/** Runs kontena as root of a user namespace in which `source` is mounted with these flags. */
function runNested(flags: string, options: string[]) {
  const source = outsideDirectory();
  const b = box.bundle({
    args: ["cat", "/proc/self/mountinfo"],
    patch: (config) => {
      config.mounts = [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/place", source, options },
      ];
      config.linux.namespaces = [{ type: "pid" }, { type: "mount" }, { type: "uts" }];
      config.linux.maskedPaths = [];
      config.linux.readonlyPaths = [];
    },
  });
  // Mapped from outside: unshare(1) would deny setgroups(2).
  const script = `mount -t tmpfs -o ${flags} t ${source} || exit
    mkfifo ${b.directory}/go
    unshare --user --mount sh -c 'read go; exec "$@"' sh "$@" <${b.directory}/go &
    exec 3>${b.directory}/go
    until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do :; done
    echo 0 0 65536 >/proc/$!/uid_map && echo 0 0 65536 >/proc/$!/gid_map && echo >&3
    wait $!`;
  const globals = ["--root", join(b.directory, "state"), "--cgroup-manager", "disabled"];
  return box.kontena(["run", "--bundle", b.directory, b.id], {
    globals,
    before: ["unshare", "--mount", "sh", "-c", script, "sh"],
  });
}

test("a mount with locked flags is bound, and keeps those that no option names", () => {
  const { status, stdout, stderr } = runNested("nosuid,nodev,noexec,noatime", ["rbind", "ro"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(parseMounts(stdout)["/place"]?.options).toEqual(["ro", "nosuid", "nodev", "noexec", "noatime"]);
});

test("options that name a locked flag as it is are no problem", () => {
  const { status, stdout, stderr } = runNested("nosuid,noatime", ["rbind", "nosuid", "noatime", "rw", "dev"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(parseMounts(stdout)["/place"]?.options).toEqual(["rw", "nosuid", "noatime"]);
});

test("an option that would take a locked flag away is refused, with the reason", () => {
  for (const [flags, option] of [
    ["nosuid", "suid"],
    ["ro", "rw"],
    ["noexec", "exec"],
    ["noatime", "relatime"],
  ] as const) {
    const { status, stderr } = runNested(flags, ["bind", option]);
    expect([option, status]).toEqual([option, 1]);
    expect(stderr).toContain("which has locked its flags");
  }
});
