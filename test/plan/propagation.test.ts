import { describe, expect, test } from "bun:test";
import { ROOTFS_PROPAGATIONS, type RootfsPropagation } from "../../spec/linux.ts";
import type { Call } from "../../src/init/step.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE } from "../../src/kernel/consts/fcntl.ts";
import { MS } from "../../src/kernel/consts/mount.ts";
import { enterRoot, prepareRoot } from "../../src/plan/root.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const inputWith = (rootfsPropagation: RootfsPropagation, noPivot = false) =>
  inputOf({ linux: { ...withNamespaces("mount"), rootfsPropagation } }, { noPivot });
/** Each change of propagation: what it is of, how far it goes, which it is. */
const changes = (list: readonly Call[]) =>
  list
    .filter((c) => c.call === "mount_setattr")
    .map((c) => [
      c.args[1] === "" ? (c.args[0] as { cell: string }).cell : c.args[1],
      ((c.args[2] as number) & AT_RECURSIVE) !== 0,
      structAt(c, 3, "mount_attr").propagation,
    ]);
const prepared = (p: RootfsPropagation) => changes(callsIn(prepareRoot(inputWith(p))));
const entered = (p: RootfsPropagation) => changes(callsIn(enterRoot(inputWith(p))));

test.each(ROOTFS_PROPAGATIONS.filter((p) => !p.endsWith("shared")))(
  "%s: all of the host's mounts are slaves first",
  (p) => {
    expect(prepared(p)[0]).toEqual(["/", true, MS.MS_SLAVE]);
  },
);

test.each([
  ["private", MS.MS_PRIVATE],
  ["rprivate", MS.MS_PRIVATE],
  ["unbindable", MS.MS_PRIVATE],
  ["slave", MS.MS_SLAVE],
  ["rslave", MS.MS_SLAVE],
] as const)("%s: the copy of the root that is attached has type %p", (p, type) => {
  expect(prepared(p)[1]).toEqual(["root", true, type]);
});

test.each([
  ["private", []],
  ["rprivate", []],
  ["slave", []],
  ["rslave", []],
  ["unbindable", [["root", false, MS.MS_UNBINDABLE]]],
  ["runbindable", [["root", true, MS.MS_UNBINDABLE]]],
] as const)("%s: in the entered root %j is set", (p, expected) => {
  expect(entered(p)).toEqual(expected.map((change) => [...change]));
});

describe.each(["shared", "rshared"] as const)("%s:", (p) => {
  const recursive = p === "rshared";

  test("the host's mounts stay peers but for the one that the root is attached to, which is found by going up", () => {
    const list = callsIn(prepareRoot(inputWith(p)));
    expect(changes(list)).toEqual([
      ["/", false, MS.MS_SHARED],
      ["mount of the root directory", false, MS.MS_PRIVATE],
      ["mount of the root directory", false, MS.MS_PRIVATE],
      ["root", true, MS.MS_PRIVATE],
    ]);
    const [first, second] = list.filter((c) => c.args[2] === AT_EMPTY_PATH);
    expect(callsIn(first?.on?.EINVAL as Call[]).map((c) => [c.call, c.args[1]])).toEqual([
      ["openat", ".."],
      ["mount_setattr", ""],
    ]);
    expect(second?.on).toEqual({ EINVAL: "restart" });
    const attach = list.findIndex((c) => c.call === "move_mount");
    expect(attach).toBeGreaterThan(list.findIndex((c) => c.args[1] === ".."));
  });

  test("the old root is cut off before it is unmounted; then the new one is shared", () => {
    const list = callsIn(enterRoot(inputWith(p)));
    expect(list.map((c) => c.call)).toEqual([
      "fchdir",
      "openat",
      "pivot_root",
      "mount_setattr",
      "umount2",
      "fchdir",
      "mount_setattr",
    ]);
    expect(changes(list)).toEqual([
      ["old root", true, MS.MS_SLAVE],
      ["root", recursive, MS.MS_SHARED],
    ]);
  });
});

test("--no-pivot: nothing is unmounted, the root's propagation is set all the same", () => {
  expect(callsIn(enterRoot(inputWith("shared", true))).map(short)).toEqual([
    "fchdir(<root>)",
    'chroot(".")',
    'mount_setattr(<root>, "", 4096, mount_attr, 32)',
  ]);
});
