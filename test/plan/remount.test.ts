import { expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE } from "../../src/kernel/consts/fcntl.ts";
import { MOUNT_ATTR as A } from "../../src/kernel/consts/mount.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

/** The calls of the last mount of a list. */
function last(...list: Mount[]) {
  const at = `mounts[${list.length - 1}]`;
  const steps = mounts(inputOf({ mounts: list, linux: withNamespaces("mount") }));
  return callsIn(steps).filter((c) => c.at?.startsWith(at));
}

test("nothing is made: the mount that is there changes, in what the options name", () => {
  const list = last({ destination: "/a", options: ["remount", "ro", "suid", "rnodev"] });
  expect(list.map(short)).toEqual([
    'openat2(<root>, "a", open_how, 24) = mounts[0] destination',
    'mount_setattr(<mounts[0] destination>, "", 4096, mount_attr, 32)',
    'mount_setattr(<mounts[0] destination>, "", 36864, mount_attr, 32)',
  ]);
  expect(list[0]?.on).toEqual({ EAGAIN: "again" });
  expect(structAt(list[1], 3, "mount_attr")).toEqual({
    attr_set: A.MOUNT_ATTR_RDONLY,
    attr_clr: A.MOUNT_ATTR_NOSUID,
  });
  expect(list[2]?.args[2]).toBe(AT_EMPTY_PATH | AT_RECURSIVE);
});

/** The words that reach the file system. */
const reconfigured = (...list: Mount[]) =>
  last(...list)
    .filter((c) => c.call === "fsconfig" && c.args[1] !== 7)
    .map((c) => c.args[2]);

test("data and flags of the file system change that, all in one", () => {
  const mount = { destination: "/a", options: ["remount", "sync", "nosuid", "size=2m"] };
  expect(reconfigured(mount)).toEqual(["sync", "size"]);
  const calls = last(mount).map((c) => c.call);
  expect(calls.filter((c) => c.startsWith("fs"))).toEqual(["fspick", "fsconfig", "fsconfig", "fsconfig"]);
});

test("with bind only the mount changes", () => {
  expect(reconfigured({ destination: "/a", options: ["remount", "bind", "ro", "sync"] })).toEqual([]);
  expect(reconfigured({ destination: "/a", type: "bind", options: ["remount", "rw"] })).toEqual([]);
});

test("ro and rw are the file system's only when this config has made it: the host's stays as it is", () => {
  const again: Mount = { destination: "/a/", options: ["remount", "ro"] };
  expect(reconfigured(again)).toEqual([]);
  expect(reconfigured({ destination: "/a", source: "/host", options: ["bind"] }, again)).toEqual([]);
  expect(reconfigured({ destination: "/a", type: "proc" }, again)).toEqual([]);
  expect(reconfigured({ destination: "/b", type: "tmpfs" }, again)).toEqual([]);
  const own: Mount = { destination: "/a", type: "tmpfs" };
  expect(reconfigured(own, again)).toEqual(["ro"]);
  expect(reconfigured(own, again, { destination: "/a", options: ["remount", "rw"] })).toEqual(["rw"]);
  expect(reconfigured(own, { destination: "/a", source: "/host", options: ["rbind"] }, again)).toEqual([]);
});

test("what the kernel says of a refusal is asked for", () => {
  const list = last({ destination: "/a", options: ["remount", "size=1"] });
  for (const call of list.filter((c) => c.call === "fsconfig"))
    expect([short(call), call.log]).toEqual([short(call), "mounts[0] context"]);
});
