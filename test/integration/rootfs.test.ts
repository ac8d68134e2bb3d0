/** The root file system: entered by pivot_root, with the mounts, devices and protections of the config, and no way out. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BundleOptions, openBox, type TestBundle, type TestConfig, test } from "./helpers.ts";

const box = openBox("rootfs");

interface MountLine {
  options: string[];
  optional: string[];
  type: string;
  superOptions: string[];
}

/** mountinfo by mount point (proc(5)); of several at one point, the last. */
function parseMounts(mountinfo: string): Record<string, MountLine> {
  const lines = mountinfo.trim().split("\n").map((line): [string, MountLine] => {
    const [before, after] = line.split(" - ") as [string, string];
    const [, , , , point, options, ...optional] = before.split(" ") as string[];
    const [type, , superOptions] = after.split(" ") as string[];
    return [
      point ?? "",
      { options: (options ?? "").split(","), optional, type: type ?? "", superOptions: (superOptions ?? "").split(",") },
    ];
  });
  return Object.fromEntries(lines);
}

function mountsWith(options: Omit<BundleOptions, "args"> = {}): Record<string, MountLine> {
  return parseMounts(box.outputOf({ ...options, args: ["cat", "/proc/self/mountinfo"] }));
}

const writable = (config: TestConfig) => {
  config.root.readonly = false;
};

/** A directory of the host, outside of every bundle, with a file in it. */
function outsideDirectory(): string {
  const path = join(box.directory, box.next());
  mkdirSync(path);
  writeFileSync(join(path, "file"), "from the host\n");
  return path;
}

function expectRefused(b: TestBundle, ...texts: string[]): void {
  const before = readFileSync("/proc/self/mountinfo", "utf8");
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  for (const text of texts) expect(stderr).toContain(text);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
  expect(readdirSync(box.root)).toEqual([]);
}

test("the program sees the root file system of the bundle and nothing of the host", () => {
  const b = box.bundle({ args: ["ls", "/"] });
  expect(box.run(b).stdout.trim().split("\n")).toEqual(["bin", "dev", "proc", "sys"]);
  const paths = `${box.directory} /etc/passwd /root /../etc/passwd`;
  const output = box.outputOf({ args: `for p in ${paths}; do test -e $p && echo $p; done; true` });
  expect(output).toBe("");
});

test("the mount table of the container is what the config asks for, and no more", () => {
  const points = Object.keys(mountsWith()).filter((p) => !p.startsWith("/sys/fs/cgroup/"));
  const fromMasks = /^\/(proc|sys)\/./;
  expect(points.filter((p) => !fromMasks.test(p) || p === "/sys/fs/cgroup").sort()).toEqual(
    ["/", "/dev", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys", "/sys/fs/cgroup"].sort(),
  );
});

test("the default mounts have the types and options of the config", () => {
  const mounts = mountsWith();
  const { proc, dev, pts, shm, mqueue, sys } = {
    proc: mounts["/proc"],
    dev: mounts["/dev"],
    pts: mounts["/dev/pts"],
    shm: mounts["/dev/shm"],
    mqueue: mounts["/dev/mqueue"],
    sys: mounts["/sys"],
  };
  expect(proc).toMatchObject({ type: "proc", options: ["rw", "relatime"] });
  // strictatime is the absence of the other two.
  expect(dev).toMatchObject({ type: "tmpfs", options: ["rw", "nosuid"] });
  expect(dev?.superOptions).toContain("size=65536k");
  expect(dev?.superOptions).toContain("mode=755");
  expect(pts).toMatchObject({ type: "devpts", options: ["rw", "nosuid", "noexec", "relatime"] });
  expect(pts?.superOptions).toEqual(expect.arrayContaining(["gid=5", "mode=620", "ptmxmode=666"]));
  expect(shm).toMatchObject({ type: "tmpfs", options: ["rw", "nosuid", "nodev", "noexec", "relatime"] });
  expect(shm?.superOptions).toContain("size=65536k");
  expect(mqueue).toMatchObject({ type: "mqueue", options: ["rw", "nosuid", "nodev", "noexec", "relatime"] });
  expect(sys).toMatchObject({ type: "sysfs", options: ["ro", "nosuid", "nodev", "noexec", "relatime"] });
});

test("a read-only sysfs in the container leaves the host's writable", () => {
  const before = parseMounts(readFileSync("/proc/self/mountinfo", "utf8"))["/sys"];
  box.outputOf({});
  expect(parseMounts(readFileSync("/proc/self/mountinfo", "utf8"))["/sys"]).toEqual(before as MountLine);
});

test("no mount of the container propagates to the host or comes from it", () => {
  const mounts = mountsWith();
  for (const [point, { optional }] of Object.entries(mounts)) expect([point, ...optional]).toEqual([point]);
});

test("a read-only root can't be written to", () => {
  const b = box.bundle({ args: "touch /x" });
  expect(box.run(b).stderr).toContain("Read-only file system");
  expect(existsSync(join(b.rootfs, "x"))).toBe(false);
});

test("a writable root is written to", () => {
  const b = box.bundle({ args: "echo text >/x", patch: writable });
  expect(box.run(b)).toMatchObject({ status: 0, stderr: "" });
  expect(readFileSync(join(b.rootfs, "x"), "utf8")).toBe("text\n");
});

test("an absolute root.path outside of the bundle works", () => {
  const other = box.bundle();
  const output = box.outputOf({
    args: ["ls", "/"],
    patch: (config) => {
      config.root.path = other.rootfs;
    },
  });
  expect(output).toContain("bin\n");
});

test("a root.path that is a symlink works", () => {
  const output = box.outputOf({
    args: ["ls", "/"],
    patch: (config, directory) => {
      symlinkSync("rootfs", join(directory, "link"));
      config.root.path = "link";
    },
  });
  expect(output).toContain("bin\n");
});

test("the host's own root can be the root, in a mount namespace too", () => {
  const output = box.outputOf({
    args: ["/bin/busybox", "test", "-e", box.directory],
    patch: (config) => {
      config.root = { path: "/" };
      config.mounts = [];
      delete config.linux.maskedPaths;
      delete config.linux.readonlyPaths;
    },
  });
  expect(output).toBe("");
});

test("a root.path that isn't there is an error that names it", () => {
  const b = box.bundle({
    patch: (config) => {
      config.root.path = "nowhere";
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain(`root.path: cannot open the root file system ${b.directory}/nowhere: no such file or directory`);
});

test("--no-pivot gives the same view", () => {
  const b = box.bundle({ args: `ls /; test -e ${box.directory} || echo hidden` });
  expect(box.run(b, "--no-pivot")).toMatchObject({ status: 0, stdout: "bin\ndev\nproc\nsys\nhidden\n" });
});

test("a masked file reads as empty, and its mask can't be changed", () => {
  const output = box.outputOf({
    args: "cat /secret; chmod 600 /secret 2>/dev/null || echo kept",
    fill: (rootfs) => writeFileSync(join(rootfs, "secret"), "secret"),
    patch: (config) => {
      config.linux.maskedPaths = ["/secret"];
      writable(config);
    },
  });
  expect(output).toBe("kept\n");
});

test("a masked directory is empty and can't be written to", () => {
  const output = box.outputOf({
    args: "ls -A /secrets; touch /secrets/x 2>/dev/null || echo refused",
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "secrets"));
      writeFileSync(join(rootfs, "secrets/key"), "secret");
    },
    patch: (config) => {
      config.linux.maskedPaths = ["/secrets"];
      writable(config);
    },
  });
  expect(output).toBe("refused\n");
});

test("the masked paths of the default config read as empty", () => {
  const output = box.outputOf({
    args: "for p in /proc/kcore /proc/keys /proc/timer_list; do if test -f $p; then echo regular $p; fi; done; ls -A /sys/firmware",
  });
  expect(output).toBe("");
});

test("a masked path that isn't there is passed over, and not made", () => {
  const b = box.bundle({
    patch: (config) => {
      config.linux.maskedPaths = ["/not/there"];
      writable(config);
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stderr: "" });
  expect(existsSync(join(b.rootfs, "not"))).toBe(false);
});

test("masked and read-only paths below a file count as not there", () => {
  const output = box.outputOf({
    args: "echo runs",
    patch: (config) => {
      config.linux.maskedPaths = ["/bin/busybox/x"];
      config.linux.readonlyPaths = ["/bin/busybox/y"];
    },
  });
  expect(output).toBe("runs\n");
});

test("a masked path that is a symlink out of the root masks nothing of the host", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    fill: (rootfs) => symlinkSync(outside, join(rootfs, "link")),
    patch: (config) => {
      config.linux.maskedPaths = ["/link"];
    },
  });
  expect(box.run(b).status).toBe(0);
  expect(readFileSync(join(outside, "file"), "utf8")).toBe("from the host\n");
});

test("read-only paths can be read and not written to", () => {
  const output = box.outputOf({
    args: "cat /fixed/file; (echo x >/fixed/file) 2>/dev/null || echo refused; echo y >/free && echo written",
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "fixed"));
      writeFileSync(join(rootfs, "fixed/file"), "text\n");
    },
    patch: (config) => {
      config.linux.readonlyPaths = ["/fixed", "/not/there"];
      writable(config);
    },
  }).split("\n");
  expect(output).toEqual(["text", "refused", "written", ""]);
});

test("the read-only paths of the default config can't be written to", () => {
  const paths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].filter((p) => existsSync(p));
  const mounts = mountsWith();
  expect(paths.filter((path) => !mounts[path]?.options.includes("ro"))).toEqual([]);
  const { stderr } = box.run(box.bundle({ args: "echo 1 >/proc/sys/vm/drop_caches" }));
  expect(stderr).toContain("Read-only file system");
});

const DEVICES = { null: "1:3", zero: "1:5", full: "1:7", random: "1:8", urandom: "1:9", tty: "5:0" };

test("the default devices are there, for everybody to use", () => {
  const names = Object.keys(DEVICES);
  const output = box.outputOf({ args: `cd /dev; stat -c '%n %F %t:%T %a %u:%g' ${names.join(" ")}` });
  expect(output.trim().split("\n")).toEqual(
    Object.entries(DEVICES).map(([name, number]) => `${name} character special file ${number} 666 0:0`),
  );
});

test("the default devices do what they are for", () => {
  const output = box.outputOf({
    args: "cat /dev/null; busybox head -c 3 /dev/zero | wc -c; echo x 2>&1 >/dev/full | busybox grep -o 'No space'; busybox head -c 2 /dev/urandom | wc -c",
  });
  expect(output.split("\n").map((line) => line.trim())).toEqual(["3", "No space", "2", ""]);
});

test("the links of /dev are there", () => {
  const output = box.outputOf({ args: "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done" });
  expect(output.trim().split("\n")).toEqual([
    "/proc/self/fd",
    "/proc/self/fd/0",
    "/proc/self/fd/1",
    "/proc/self/fd/2",
    "pts/ptmx",
  ]);
});

test("the modes of devices don't depend on the caller's umask", () => {
  const b = box.bundle({ args: ["stat", "-c", "%a", "/dev/null"] });
  const options = { before: ["sh", "-c", 'umask 077; exec "$0" "$@"'] };
  expect(box.kontena(["run", "--bundle", b.directory, b.id], options).stdout).toBe("666\n");
});

test("a file in the place of a default device is refused", () => {
  const b = box.bundle({
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "dev"));
      writeFileSync(join(rootfs, "dev/null"), "not a device");
    },
    patch: (config) => {
      config.mounts = config.mounts.filter((m) => !m.destination.startsWith("/dev"));
      writable(config);
    },
  });
  expectRefused(b, "/dev/null", "1:3");
});

test("a directory is bound, and its destination made", () => {
  const source = outsideDirectory();
  const b = box.bundle({
    args: "cat /new/place/file; echo back >/new/place/answer",
    patch: (config) => {
      config.mounts.push({ destination: "/new/place", type: "bind", source, options: ["bind"] });
      writable(config);
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the host\n", stderr: "" });
  expect(readFileSync(join(source, "answer"), "utf8")).toBe("back\n");
});

test("a file is bound, and its destination made", () => {
  const source = join(outsideDirectory(), "file");
  const b = box.bundle({
    args: ["cat", "/etc/new/file"],
    patch: (config) => {
      config.mounts.push({ destination: "/etc/new/file", type: "bind", source, options: ["bind"] });
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the host\n", stderr: "" });
  expect(statSync(join(b.rootfs, "etc/new/file")).isFile()).toBe(true);
});

test("a bind mount may be given by its option alone", () => {
  const source = outsideDirectory();
  const output = box.outputOf({
    args: ["cat", "/place/file"],
    patch: (config) => {
      config.mounts.push({ destination: "/place", source, options: ["rbind"] });
    },
  });
  expect(output).toBe("from the host\n");
});

test("the source of a bind mount is relative to the bundle, not to the caller's directory", () => {
  const b = box.bundle({
    args: ["cat", "/place/file"],
    patch: (config, directory) => {
      mkdirSync(join(directory, "data"));
      writeFileSync(join(directory, "data/file"), "from the bundle\n");
      config.mounts.push({ destination: "/place", type: "bind", source: "data", options: ["bind"] });
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the bundle\n", stderr: "" });
});

test("a read-only bind mount can't be written to, and its source can", () => {
  const source = outsideDirectory();
  const patch = (config: TestConfig) => {
    config.mounts.push({ destination: "/place", type: "bind", source, options: ["bind", "ro", "nosuid", "nodev", "noexec"] });
  };
  const { stderr } = box.run(box.bundle({ args: "echo x >/place/file", patch }));
  expect(stderr).toContain("Read-only file system");
  expect(mountsWith({ patch })["/place"]?.options).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]));
  writeFileSync(join(source, "file"), "still writable");
});

test("a bind source that isn't there is an error that names source and place", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/place", type: "bind", source: "/no/such/source", options: ["bind"] });
    },
  });
  expectRefused(b, "mounts[7].source", "/no/such/source", "no such file or directory");
});

test("mounts are made in the order of the config", () => {
  const first = outsideDirectory();
  const second = outsideDirectory();
  writeFileSync(join(second, "file"), "second\n");
  const output = box.outputOf({
    args: ["cat", "/place/file"],
    patch: (config) => {
      for (const source of [first, second])
        config.mounts.push({ destination: "/place", type: "bind", source, options: ["bind"] });
    },
  });
  expect(output).toBe("second\n");
});

test("options for a file system reach it", () => {
  const mount = { destination: "/data", type: "tmpfs", source: "name", options: ["size=128k", "mode=700", "noatime", "ro"] };
  const data = mountsWith({
    patch: (config) => {
      config.mounts.push(mount);
    },
  })["/data"];
  expect(data).toMatchObject({ type: "tmpfs" });
  expect(data?.options).toEqual(expect.arrayContaining(["ro", "noatime"]));
  expect(data?.superOptions).toEqual(expect.arrayContaining(["size=128k", "mode=700"]));
});

test("a later option wins over an earlier one", () => {
  const data = mountsWith({
    patch: (config) => {
      const options = ["ro", "nosuid", "noexec", "rw", "suid", "noatime", "relatime"];
      config.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs", options });
    },
  })["/data"];
  expect(data?.options).toEqual(["rw", "noexec", "relatime"]);
});

test("the propagation that a mount asks for is what it gets", () => {
  const mounts = mountsWith({
    patch: (config) => {
      config.mounts.push(
        { destination: "/shared", type: "tmpfs", source: "tmpfs", options: ["shared"] },
        { destination: "/unbindable", type: "tmpfs", source: "tmpfs", options: ["unbindable"] },
      );
    },
  });
  expect(mounts["/shared"]?.optional.join()).toMatch(/^shared:\d+$/);
  expect(mounts["/unbindable"]?.optional).toEqual(["unbindable"]);
});

test("an option that the file system doesn't know is an error in the kernel's own words", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs", options: ["nosuid", "sizee=64m"] });
    },
  });
  expectRefused(b, 'mounts[7].options[1]: cannot mount "tmpfs" on /data', "Unknown parameter 'sizee'");
});

test("a value that the file system doesn't take is an error that names the option", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs", options: ["size=much"] });
    },
  });
  expectRefused(b, "mounts[7].options[0]", "size");
});

test("a file system type that the kernel doesn't have is an error that names it", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/data", type: "nosuchfs", source: "none" });
    },
  });
  expectRefused(b, "mounts[7].type", "nosuchfs");
});

test("a /proc that is a symlink is refused", () => {
  const outside = outsideDirectory();
  const b = box.bundle({ fill: (rootfs) => symlinkSync(outside, join(rootfs, "proc")) });
  expectRefused(b, "mounts[0].destination", "/proc");
  expect(readdirSync(outside)).toEqual(["file"]);
});

test("a /sys that is a symlink inside of the root is refused too", () => {
  const b = box.bundle({
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "elsewhere"));
      symlinkSync("elsewhere", join(rootfs, "sys"));
    },
  });
  expectRefused(b, "/sys");
});

test("a mount's destination through a symlink lies inside of the root", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    args: "echo x >/inside/data/x; ls /inside/data /link/data",
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "inside"));
      symlinkSync("/inside", join(rootfs, "link"));
    },
    patch: (config) => {
      config.mounts.push({ destination: "/link/data", type: "tmpfs", source: "tmpfs" });
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "/inside/data:\nx\n\n/link/data:\nx\n", stderr: "" });
  expect(readdirSync(outside)).toEqual(["file"]);
});

for (const [how, target] of [
  ["an absolute path", (outside: string) => outside],
  ["many ..", (outside: string) => `../../../../../../../../../..${outside}`],
] as const)
  test(`a destination whose symlink leads out by ${how} never touches the host`, () => {
    const outside = outsideDirectory();
    const b = box.bundle({
      args: ["cat", "/proc/self/mountinfo"],
      fill: (rootfs) => {
        // What the link means when the root is the container's.
        mkdirSync(join(rootfs, outside), { recursive: true });
        symlinkSync(target(outside), join(rootfs, "link"));
      },
      patch: (config) => {
        config.mounts.push({ destination: "/link/made", type: "tmpfs", source: "tmpfs" });
      },
    });
    const { status, stdout } = box.run(b);
    expect(status).toBe(0);
    expect(Object.keys(parseMounts(stdout))).toContain(`${outside}/made`);
    expect(readdirSync(outside)).toEqual(["file"]);
  });

test("a symlink to nothing as destination never touches the host", () => {
  const outside = outsideDirectory();
  rmSync(outside, { recursive: true });
  const b = box.bundle({
    fill: (rootfs) => symlinkSync(outside, join(rootfs, "link")),
    patch: (config) => {
      config.mounts.push({ destination: "/link", type: "tmpfs", source: "tmpfs" });
    },
  });
  box.run(b);
  expect(existsSync(outside)).toBe(false);
});

test("a /dev that is a symlink gets its devices inside of the root", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    args: ["ls", "/dev/"],
    fill: (rootfs) => {
      mkdirSync(join(rootfs, outside), { recursive: true });
      symlinkSync(outside, join(rootfs, "dev"));
    },
  });
  const { status, stdout } = box.run(b);
  if (status === 0) expect(stdout.split("\n")).toContain("null");
  expect(readdirSync(outside)).toEqual(["file"]);
});

test("a device's name that is a symlink out of the root makes nothing on the host", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "dev"));
      symlinkSync(join(outside, "made"), join(rootfs, "dev/null"));
    },
    patch: (config) => {
      config.mounts = config.mounts.filter((m) => !m.destination.startsWith("/dev"));
      writable(config);
    },
  });
  expectRefused(b, "/dev/null");
  expect(readdirSync(outside)).toEqual(["file"]);
});

const withoutMountNamespace = (config: TestConfig) => {
  config.linux = { namespaces: [{ type: "uts" }, { type: "pid" }] };
  config.mounts = [];
  config.root.readonly = false;
};

test("without a mount namespace the program is in a chroot, with nothing mounted", () => {
  const before = readFileSync("/proc/self/mountinfo", "utf8");
  const b = box.bundle({ args: `ls /; hostname; test -e ${box.directory} || echo hidden`, patch: withoutMountNamespace });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "bin\nkontena\nhidden\n", stderr: "" });
  expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
});

for (const [what, at, change] of [
  ["mounts", "mounts", (c: TestConfig) => c.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs" })],
  ["a read-only root", "root.readonly", (c: TestConfig) => Object.assign(c.root, { readonly: true })],
  ["masked paths", "linux.maskedPaths", (c: TestConfig) => Object.assign(c.linux, { maskedPaths: ["/bin"] })],
  ["read-only paths", "linux.readonlyPaths", (c: TestConfig) => Object.assign(c.linux, { readonlyPaths: ["/bin"] })],
] as const)
  test(`without a mount namespace ${what} are refused and the host stays as it is`, () => {
    const b = box.bundle({
      patch: (config) => {
        withoutMountNamespace(config);
        change(config);
      },
    });
    expectRefused(b, `${at}: needs a mount namespace`);
  });
