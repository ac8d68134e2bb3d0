import { describe, expect, test } from "bun:test";
import { AT_EMPTY_PATH, AT_RECURSIVE } from "../../src/kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MS } from "../../src/kernel/consts/mount.ts";
import { enterRoot, prepareRoot, readonlyRoot } from "../../src/plan/root.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const inMountNamespace = (change = {}) => inputOf({ linux: withNamespaces("uts", "mount") }, change);
const OPEN = `openat(-100, "/bundle/rootfs", ${0o12200000}) = root directory`;
const isX64 = process.arch === "x64";

describe("in a mount namespace", () => {
  const list = callsIn(prepareRoot(inMountNamespace()));

  test("the first thing is that no mount made here shows on the host", () => {
    expect(list[0]?.args.slice(1, 3)).toEqual(["/", AT_RECURSIVE]);
    expect(structAt(list[0], 3, "mount_attr")).toEqual({ propagation: MS.MS_SLAVE });
    expect(list[0]?.at).toBe("linux.namespaces[1]");
  });

  test("the root's path is looked up once, and its mount copied with all below", () => {
    if (isX64) expect(short(list[1] as never)).toBe(OPEN);
    expect(list.filter((c) => c.args.includes("/bundle/rootfs"))).toHaveLength(1);
    expect(list[2]?.call).toBe("open_tree");
    expect((list[2]?.args[2] as number) & (AT_RECURSIVE | AT_EMPTY_PATH)).toBe(AT_RECURSIVE | AT_EMPTY_PATH);
  });

  test("the copy is private before it is attached, as pivot_root wants it", () => {
    expect(list.slice(3).map((c) => c.call)).toEqual([
      "dup3",
      "mount_setattr",
      "move_mount",
      "close_range",
      "close_range",
    ]);
    expect(structAt(list[4], 3, "mount_attr")).toEqual({ propagation: MS.MS_PRIVATE });
    expect(short(list[5] as never)).toBe('move_mount(<root>, "", <root directory>, "", 68)');
  });

  test("pivot_root stacks the old root on the new one, which then goes", () => {
    expect(callsIn(enterRoot(inMountNamespace())).map(short)).toEqual([
      "fchdir(<root>)",
      'pivot_root(".", ".")',
      'umount2(".", 2)',
      "fchdir(<root>)",
    ]);
  });

  test("--no-pivot changes the root by chroot", () => {
    expect(callsIn(enterRoot(inMountNamespace({ noPivot: true }))).map(short)).toEqual([
      "fchdir(<root>)",
      'chroot(".")',
    ]);
  });
});

describe("without a mount namespace", () => {
  const input = inputOf({ linux: withNamespaces("uts") });

  test("nothing is mounted, and no propagation changed", () => {
    const names = callsIn([...prepareRoot(input), ...enterRoot(input)]).map((c) => c.call);
    expect(names).toEqual(["openat", "dup3", "fchdir", "chroot"]);
  });
});

test("a root that is to be read-only becomes so by its mount's flag, of that mount alone", () => {
  expect(readonlyRoot(inMountNamespace())).toEqual([]);
  expect(readonlyRoot(inputOf({ root: { path: "r", readonly: false } }))).toEqual([]);
  const [call] = callsIn(readonlyRoot(inputOf({ root: { path: "r", readonly: true } })));
  expect(call?.args.slice(0, 3)).toEqual([{ cell: "root" }, "", AT_EMPTY_PATH]);
  expect(structAt(call, 3, "mount_attr")).toEqual({ attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY });
  expect(call?.at).toBe("root.readonly");
});

test("every failure names the root file system", () => {
  const input = inMountNamespace();
  for (const call of callsIn([...prepareRoot(input), ...enterRoot(input)])) {
    if (call.fail?.code === "INTERNAL") continue;
    expect(call.fail?.code).toBe("ROOT_FAILED");
    expect(call.fail?.path).toMatch(/^\/(bundle\/rootfs)?$/);
  }
});
