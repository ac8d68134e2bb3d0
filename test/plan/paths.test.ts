import { describe, expect, test } from "bun:test";
import type { Step } from "../../src/init/step.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE } from "../../src/kernel/consts/fcntl.ts";
import { MOUNT_ATTR } from "../../src/kernel/consts/mount.ts";
import { maskPaths, prepareMasks, readonlyPaths } from "../../src/plan/paths.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const masked = (...paths: string[]) => inputOf({ linux: { ...withNamespaces("mount"), maskedPaths: paths } });
const readonly = (...paths: string[]) =>
  inputOf({ linux: { ...withNamespaces("mount"), readonlyPaths: paths } });
/** Calls of which none is the second try for a path that leads through a file, nor a sweep. */
const once = (steps: readonly Step[]) => {
  const seconds = callsIn(steps).flatMap((c) =>
    typeof c.otherwise === "object" ? callsIn(c.otherwise) : [],
  );
  return callsIn(steps).filter((c) => c.call !== "close_range" && !seconds.includes(c));
};
const blocks = (steps: readonly Step[]) => steps.filter((s) => "block" in s);

test("without masked paths no mask is prepared", () => {
  for (const input of [masked(), inputOf({}), inputOf({ linux: withNamespaces("mount") })])
    expect([...prepareMasks(input), ...maskPaths(input), ...readonlyPaths(input)]).toEqual([]);
});

describe("the masks", () => {
  const list = callsIn(prepareMasks(masked("/a")));

  test("have one empty file system for all directories", () => {
    const values = list.filter((c) => c.call === "fsconfig").map((c) => [c.args[2], c.args[3]]);
    expect(values).toContainEqual(["mode", "555"]);
    expect(values).toContainEqual(["nr_inodes", "1"]);
    expect(list.filter((c) => c.call === "fsmount")).toHaveLength(1);
  });

  test("are read-only, and nothing on them is executed or owned by anybody", () => {
    const A = MOUNT_ATTR;
    const file = callsIn(maskPaths(masked("/a"))).find((c) => c.call === "mount_setattr");
    const flags = A.MOUNT_ATTR_RDONLY | A.MOUNT_ATTR_NOSUID | A.MOUNT_ATTR_NOEXEC;
    expect(structAt(file, 3, "mount_attr")).toEqual({ attr_set: flags });
    expect(list.find((c) => c.call === "fsmount")?.args[2]).toBe(flags | A.MOUNT_ATTR_NODEV);
  });

  test("are kept in slots, so that no sweep closes them", () => {
    expect(list.filter((c) => c.call === "dup3").map(short)).toEqual([
      "dup3(<empty file system>, <mask for directories>, 524288)",
      "dup3(<empty file system>, <unused mask for directories>, 524288)",
    ]);
  });
});

test("a masked path is covered by the mask that fits: the host's /dev/null for a file, not the container's", () => {
  const list = once(maskPaths(masked("/proc/kcore")));
  expect(list.map(short)).toEqual([
    'openat2(<root>, "proc/kcore", open_how, 24) = linux.maskedPaths[0] place',
    `openat(<linux.maskedPaths[0] place>, ".", ${0o12000000}) = linux.maskedPaths[0] inside`,
    'open_tree(-100, "/dev/null", 524289) = linux.maskedPaths[0] cover',
    `mount_setattr(<linux.maskedPaths[0] cover>, "", ${AT_EMPTY_PATH}, mount_attr, 32)`,
    "close(<unused mask for directories>)",
    `open_tree(<mask for directories>, "", ${524289 | AT_EMPTY_PATH}) = linux.maskedPaths[0] cover`,
    "fcntl(<mask for directories>, 1030, <lowest descriptor>) = linux.maskedPaths[0] cover",
    'move_mount(<linux.maskedPaths[0] cover>, "", <linux.maskedPaths[0] place>, "", 68)',
  ]);
  expect(list[0]?.on).toEqual({ ENOENT: "leave", EAGAIN: "again" });
  expect(callsIn(list[1]?.on?.ENOTDIR as never).map((c) => c.call)).toEqual(["open_tree", "mount_setattr"]);
  // A file has its mask then, and goes past the one for directories.
  expect(list[3]?.after).toBe("leave");
});

test("looking whether it is a directory leaves only the choice of the mask, not the masking", () => {
  const [block] = blocks(maskPaths(masked("/x")));
  if (block === undefined || !("block" in block)) throw new Error("no block");
  const inner = block.block.filter((s) => "block" in s);
  expect(inner).toHaveLength(1);
  expect(callsIn(inner).map((c) => c.call)).toEqual([
    "openat",
    "open_tree",
    "mount_setattr",
    "close",
    "open_tree",
    "fcntl",
  ]);
  expect(callsIn(block.block.slice(-1)).map((c) => c.call)).toEqual(["move_mount"]);
});

test("the first masked directory gets the mask itself, so that it doesn't end unattached; the others get copies", () => {
  const first = callsIn(maskPaths(masked("/a", "/b"))).filter((c) => c.call === "close");
  expect(first.map((c) => c.args[0])).toEqual([
    { cell: "unused mask for directories" },
    { cell: "unused mask for directories" },
  ]);
  for (const { on } of first) {
    const copy = callsIn(on?.EBADF as Step[]);
    expect(copy.map((c) => [c.call, c.args[0], c.after])).toEqual([
      ["open_tree", { cell: "mask for directories" }, "leave"],
    ]);
  }
});

test("a read-only path is mounted over itself, with everything below it", () => {
  const list = once(readonlyPaths(readonly("/proc/sys")));
  expect(list.map(short)).toEqual([
    'openat2(<root>, "proc/sys", open_how, 24) = linux.readonlyPaths[0] place',
    `open_tree(<linux.readonlyPaths[0] place>, "", ${524289 | AT_EMPTY_PATH | AT_RECURSIVE}) = linux.readonlyPaths[0] tree`,
    `mount_setattr(<linux.readonlyPaths[0] tree>, "", ${AT_EMPTY_PATH | AT_RECURSIVE}, mount_attr, 32)`,
    'move_mount(<linux.readonlyPaths[0] tree>, "", <linux.readonlyPaths[0] place>, "", 68)',
  ]);
  expect(structAt(list[2], 3, "mount_attr")).toEqual({ attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY });
});

test("a path that doesn't exist is left out and the next one is still protected", () => {
  for (const steps of [maskPaths(masked("/a", "/b")), readonlyPaths(readonly("/a", "/b"))]) {
    const list = blocks(steps);
    expect(list).toHaveLength(2);
    for (const block of list) expect(callsIn([block])[0]?.on?.ENOENT).toBe("leave");
  }
});

test("a path through a file counts as one that doesn't exist", () => {
  for (const steps of [maskPaths(masked("/a/b")), readonlyPaths(readonly("/a/b"))]) {
    const [first, second] = callsIn(steps);
    expect([first?.call, second?.call]).toEqual(["openat2", "openat2"]);
    expect(second?.args).toEqual(first?.args as never);
    expect(second?.on?.ENOTDIR).toBe("leave");
  }
});

test("each path has its own place in the config", () => {
  const places = callsIn(maskPaths(masked("/a", "/b")))
    .filter((c) => c.call === "move_mount")
    .map((c) => c.at);
  expect(places).toEqual(["linux.maskedPaths[0]", "linux.maskedPaths[1]"]);
});

test("`..` and a trailing slash don't lead elsewhere", () => {
  const opened = once(maskPaths(masked("/../proc/kcore", "/sys/firmware/")))
    .filter((c) => c.call === "openat2")
    .map((c) => c.args[1]);
  expect(opened).toEqual(["proc/kcore", "sys/firmware"]);
});
