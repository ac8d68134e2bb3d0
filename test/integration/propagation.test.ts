/** linux.rootfsPropagation: what appears where when something is mounted later, inside and on the host. */
import { expect } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RootfsPropagation } from "../../spec/linux.ts";
import { openBox, type TestBundle, type TestConfig, test, until } from "./helpers.ts";
import { parseMounts, writable } from "./rootfs-helpers.ts";

const box = openBox("propagation");
/** The host's mounts that have to do with these tests. */
const hostMounts = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(box.directory))
    .join("\n");

function sh(script: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["sh", "-ec", script]);
  if (exitCode !== 0) throw new Error(`${script}: ${stderr}`);
}

/** The container's root may mount. */
const mounting =
  (propagation: RootfsPropagation | "unset", more?: (config: TestConfig) => void) => (config: TestConfig) => {
    writable(config);
    const mayMount = [...(config.process.capabilities?.bounding ?? []), "CAP_SYS_ADMIN" as const];
    config.process.capabilities = { bounding: mayMount, permitted: mayMount, effective: mayMount };
    if (propagation !== "unset") config.linux.rootfsPropagation = propagation;
    more?.(config);
  };

/** A shared mount of the host for the time of a test. */
async function withShared(directory: string, how: string, action: () => Promise<void> | void): Promise<void> {
  sh(`mkdir -p ${directory}; ${how} ${directory}; mount --make-shared ${directory}`);
  try {
    await action();
  } finally {
    sh(`umount -R ${directory}`);
  }
}

const NESTED = `
  mkdir /target /mount /test; echo x >/test/file
  mount -o rbind / /target || { echo unbindable; exit 0; }
  mount -o bind /test /mount
  test -e /target/mount/file && echo shared || echo not shared`;

test.each([
  ["shared", "shared"],
  ["rshared", "shared"],
  ["slave", "not shared"],
  ["rslave", "not shared"],
  ["private", "not shared"],
  ["rprivate", "not shared"],
  ["unbindable", "unbindable"],
  ["runbindable", "unbindable"],
  ["unset", "not shared"],
] as const)(
  "%s: a copy of the root sees what is mounted later, or not, or there is no copy",
  (propagation, found) => {
    const before = hostMounts();
    expect(box.run(box.bundle({ args: NESTED, patch: mounting(propagation) })).stdout).toBe(`${found}\n`);
    expect(hostMounts()).toBe(before);
  },
);

test.each([
  ["shared", ["shared"]],
  ["slave", []],
  ["private", []],
  ["unbindable", ["unbindable"]],
] as const)("%s: the root's own mount says so, where the host's is private", (propagation, optional) => {
  const b = box.bundle({ args: ["cat", "/proc/self/mountinfo"], patch: mounting(propagation) });
  sh(`mount --bind ${b.rootfs} ${b.rootfs}; mount --make-private ${b.rootfs}`);
  const { stdout } = box.run(b);
  sh(`umount ${b.rootfs}`);
  expect(parseMounts(stdout)["/"]?.optional.map((field) => field.replace(/:\d+$/, ""))).toEqual([
    ...optional,
  ]);
});

const mountsOf = (b: TestBundle) =>
  parseMounts(readFileSync(`/proc/${box.state(b.id).pid}/mountinfo`, "utf8"));

test.each([
  ["slave", true],
  ["private", false],
  ["shared", false],
  ["unset", false],
] as const)(
  "%s: what the host mounts below the root directory appears inside: %p",
  async (propagation, appears) => {
    const b = box.bundle({ args: ["sleep", "1000"], patch: mounting(propagation) });
    mkdirSync(join(b.rootfs, "late"));
    await withShared(b.rootfs, `mount --bind ${b.rootfs}`, () => {
      expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
      sh(`mount -t tmpfs tmpfs ${b.rootfs}/late`);
      expect("/late" in mountsOf(b)).toBe(appears);
      box.kontena(["delete", "--force", b.id]);
      expect(hostMounts()).toContain(`${b.rootfs}/late`);
    });
  },
);

const bound = (source: string, ...options: string[]) => mounting("shared", bind(source, ...options));
const bind =
  (source: string, ...options: string[]) =>
  (config: TestConfig) => {
    config.mounts.push({ destination: "/data", type: "bind", source, options: ["rbind", ...options] });
  };
const inUserNamespace = (propagation: RootfsPropagation | "unset", source: string, ...options: string[]) =>
  mounting(propagation, (config) => {
    bind(source, ...options)(config);
    config.linux.namespaces?.push({ type: "user" });
    const mappings = [{ containerID: 0, hostID: 0, size: 65536 }];
    config.linux.uidMappings = mappings;
    config.linux.gidMappings = mappings;
  });
const FROM_INSIDE = "mkdir /data/inside; mount -t tmpfs tmpfs /data/inside; echo done; sleep 1000";

test.each([
  ["a shared bind mount of a shared root", true, (s: string) => bound(s, "rshared")],
  ["a private bind mount of a shared root", false, (s: string) => bound(s, "rprivate")],
  ["a slave bind mount of a shared root", false, (s: string) => bound(s, "rslave")],
  ["a shared bind mount of a private root", false, (s: string) => mounting("private", bind(s, "rshared"))],
  [
    "a shared bind mount of a shared root, in a user namespace",
    true,
    (s: string) => inUserNamespace("shared", s, "rshared"),
  ],
  [
    "a bind mount of a root of no propagation, in a user namespace",
    false,
    (s: string) => inUserNamespace("unset", s),
  ],
  ["a bind mount of a root of no propagation", false, (s: string) => mounting("unset", bind(s))],
] as const)("%s: what the container mounts in it appears on the host: %p", async (_, appears, patch) => {
  const source = join(box.directory, box.next());
  await withShared(source, "mount -t tmpfs tmpfs", async () => {
    const before = hostMounts().trim().split("\n");
    const b = box.bundle({ args: FROM_INSIDE, patch: patch(source) });
    const running = box.spawn(["run", "--bundle", b.directory, b.id]);
    await until("the container has mounted", () => running.output() === "done\n");
    const added = hostMounts()
      .trim()
      .split("\n")
      .filter((line) => !before.includes(line));
    expect(added.map((line) => line.split(" ")[4])).toEqual(appears ? [join(source, "inside")] : []);
    box.kontena(["delete", "--force", b.id]);
    // What was there before is there still: the container's end unmounts nothing of the host's.
    for (const line of before) expect(hostMounts()).toContain(line);
  });
});

test.each([
  ["shared", ["rshared"], true],
  ["slave", ["rslave"], true],
  ["private", ["rslave"], true],
  ["private", ["rprivate"], false],
] as const)("%s root, bind mount with %j: what the host mounts in it appears inside: %p", async (...row) => {
  const [propagation, options, appears] = row;
  const source = join(box.directory, box.next());
  await withShared(source, "mount -t tmpfs tmpfs", () => {
    const b = box.bundle({ args: ["sleep", "1000"], patch: mounting(propagation, bind(source, ...options)) });
    expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
    sh(`mkdir ${source}/late; mount -t tmpfs tmpfs ${source}/late`);
    expect("/data/late" in mountsOf(b)).toBe(appears);
    box.kontena(["delete", "--force", b.id]);
  });
});

test("a shared root deep below a shared mount of the host: its own mount doesn't appear there", async () => {
  const directory = join(box.directory, box.next());
  await withShared(directory, "mount -t tmpfs tmpfs", () => {
    const rootfs = `${directory}/a/b/rootfs`;
    const patch = mounting("shared", (config) => {
      config.root.path = rootfs;
    });
    const b = box.bundle({ args: ["sleep", "1000"], patch });
    sh(`mkdir -p ${directory}/a/b; cp -a ${b.rootfs} ${rootfs}`);
    const before = hostMounts();
    expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
    expect(hostMounts()).toBe(before);
    box.kontena(["delete", "--force", b.id]);
    expect(hostMounts()).toBe(before);
  });
});
