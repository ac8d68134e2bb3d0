/** The root file system: entered by pivot_root, or by chroot without a mount namespace, with no way out. */
import { expect } from "bun:test";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestConfig, test } from "./helpers.ts";
import { rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("rootfs");
const { expectRefused } = rootfsTools(box);

test("the program sees the root file system of the bundle and nothing of the host", () => {
  const b = box.bundle({ args: ["ls", "/"] });
  expect(box.run(b).stdout.trim().split("\n")).toEqual(["bin", "dev", "proc", "sys"]);
  const paths = `${box.directory} /etc/passwd /root /../etc/passwd`;
  const output = box.outputOf({ args: `for p in ${paths}; do test -e $p && echo $p; done; true` });
  expect(output).toBe("");
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
  expect(stderr).toContain(
    `root.path: cannot open the root file system ${b.directory}/nowhere: no such file or directory`,
  );
});

test("--no-pivot gives the same view", () => {
  const b = box.bundle({ args: `ls /; test -e ${box.directory} || echo hidden` });
  expect(box.run(b, "--no-pivot")).toMatchObject({ status: 0, stdout: "bin\ndev\nproc\nsys\nhidden\n" });
});

const withoutMountNamespace = (config: TestConfig) => {
  config.linux = { namespaces: [{ type: "uts" }, { type: "pid" }] };
  config.mounts = [];
  config.root.readonly = false;
};

test("without a mount namespace the program is in a chroot, with nothing mounted", () => {
  const before = readFileSync("/proc/self/mountinfo", "utf8");
  const b = box.bundle({
    args: `ls /; hostname; test -e ${box.directory} || echo hidden`,
    patch: withoutMountNamespace,
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "bin\nkontena\nhidden\n", stderr: "" });
  expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
});

for (const [what, at, change] of [
  [
    "mounts",
    "mounts",
    (c: TestConfig) => c.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs" }),
  ],
  ["a read-only root", "root.readonly", (c: TestConfig) => Object.assign(c.root, { readonly: true })],
  ["masked paths", "linux.maskedPaths", (c: TestConfig) => Object.assign(c.linux, { maskedPaths: ["/bin"] })],
  [
    "read-only paths",
    "linux.readonlyPaths",
    (c: TestConfig) => Object.assign(c.linux, { readonlyPaths: ["/bin"] }),
  ],
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
