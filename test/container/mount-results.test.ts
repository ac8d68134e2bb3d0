import { expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { checkMounts } from "../../src/container/mount-results.ts";
import type { EncodedPlan } from "../../src/init/memory.ts";
import { PROC_SUPER_MAGIC } from "../../src/kernel/consts/mount.ts";
import { outsideOf } from "../../src/plan/outside.ts";
import { inputOf, withNamespaces } from "../plan/helpers.ts";

const TMPFS_MAGIC = 0x01021994;

/** What init has left in plan memory: a type of file system, an inode's number, what a symlink says. */
function check(mount: Mount, { type = TMPFS_MAGIC, ino = 1, link = "" } = {}, sources = {}): void {
  const memory = new Uint8Array(1024);
  const view = new DataView(memory.buffer);
  view.setBigInt64(8, BigInt(type), true);
  view.setBigUint64(128 + 32, BigInt(ino), true);
  new TextEncoder().encodeInto(link, memory.subarray(512));
  const buffers = new Map([
    ["statfs mounts[0]", 8],
    ["statx mounts[0]", 128],
    ["link mounts[0]", 512],
  ]);
  const input = inputOf({ mounts: [mount], linux: withNamespaces("mount") }, { host: { sources } });
  checkMounts(outsideOf(input).checks, { buffers } as unknown as EncodedPlan, memory);
}

test("a mount that a symlink has led onto procfs is refused, others aren't", () => {
  const mount = { destination: "/data", type: "tmpfs" };
  expect(() => check(mount)).not.toThrow();
  expect(() => check(mount, { type: PROC_SUPER_MAGIC })).toThrow("/data lies on a procfs");
});

test("what is bound to /proc has to be the root of a procfs", () => {
  const mount = { destination: "/proc", source: "/x", options: ["bind"] };
  expect(() => check(mount, { type: PROC_SUPER_MAGIC })).not.toThrow();
  expect(() => check(mount, { type: PROC_SUPER_MAGIC, ino: 2 })).toThrow("only a whole procfs");
  expect(() => check(mount)).toThrow("only a whole procfs");
});

test("lxcfs's files may lie on procfs", () => {
  const mount = { destination: "/proc/stat", source: "/x", options: ["bind"] };
  expect(() => check(mount, { type: PROC_SUPER_MAGIC })).not.toThrow();
});

test("a symlink that stood where another one is to be copied has to say the same", () => {
  const mount = { destination: "/a", source: "/b", options: ["bind", "copy-symlink"] };
  const sources = { "nofollow /b": "link ../c" };
  expect(() => check(mount, { link: "../c" }, sources)).not.toThrow();
  expect(() => check(mount, {}, sources), "it was made").not.toThrow();
  expect(() => check(mount, { link: "/etc" }, sources)).toThrow('is a symlink to "/etc", not to "../c"');
});
