import { describe, expect, test } from "bun:test";
import { O, RESOLVE } from "../../src/kernel/consts/fcntl.ts";
import {
  close,
  type Destination,
  keepAs,
  openInRoot,
  openOrMake,
  relative,
  sweep,
  swept,
} from "../../src/plan/destination.ts";
import { SLOTS } from "../../src/plan/names.ts";
import { callsIn, short, structAt } from "./helpers.ts";

const fail = { code: "MOUNT_FAILED", message: "cannot mount", path: "/x" } as const;
const place = (change: Partial<Destination>): Destination => ({
  path: "/a",
  kind: "directory",
  save: "place",
  at: "mounts[0].destination",
  why: "a test",
  fail,
  ...change,
});

describe("relative:", () => {
  test.each([
    ["/", "."],
    ["", "."],
    [".", "."],
    ["//", "."],
    ["/..", "."],
    ["..", "."],
    ["../../etc/passwd", "etc/passwd"],
    ["/a/../../b", "b"],
    ["/a/b/..", "a"],
    ["/a/b/../", "a"],
    ["a", "a"],
    ["/a", "a"],
    ["/a/", "a"],
    ["/a//", "a"],
    ["//a///b//", "a/b"],
    ["/a/./b/.", "a/b"],
    ["/...", "..."],
    ["/..a", "..a"],
    ["/a b/ü", "a b/ü"],
    ["/ ", " "],
  ])("%j is %j below the root", (path, expected) => {
    expect(relative(path)).toBe(expected);
  });

  test("no path leads above the root", () => {
    for (const path of ["/../../x", "..//../x", "/a/../../../x", "./../x"]) expect(relative(path)).toBe("x");
  });
});

test("a place is opened below the root's descriptor, never through a magic link, and again when disturbed", () => {
  const [call] = callsIn([openInRoot(place({ path: "/a/b" }))]);
  expect(short(call as never)).toBe('openat2(<root>, "a/b", open_how, 24) = place');
  expect(structAt(call, 2, "open_how")).toEqual({
    flags: O.O_PATH | O.O_CLOEXEC | O.O_DIRECTORY,
    resolve: RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS,
  });
  expect(call?.on).toEqual({ EAGAIN: "again" });
});

test("a place of any kind may be a file, and one without symlinks has none in its path", () => {
  const [any] = callsIn([openInRoot(place({ kind: "any" }))]);
  expect(structAt(any, 2, "open_how").flags & O.O_DIRECTORY).toBe(0);
  const [plain] = callsIn([openInRoot(place({ noSymlinks: true }))]);
  expect(structAt(plain, 2, "open_how").resolve & RESOLVE.RESOLVE_NO_SYMLINKS).not.toBe(0);
});

test("a missing directory is made component by component, each opened anew from the root", () => {
  expect(callsIn([openOrMake(place({ path: "/a/b/c" }))]).map(short)).toEqual([
    'openat2(<root>, "a/b/c", open_how, 24) = place',
    'mkdirat(<root>, "a", 493)',
    'openat2(<root>, "a", open_how, 24) = place /a',
    'mkdirat(<place /a>, "b", 493)',
    'openat2(<root>, "a/b", open_how, 24) = place /a/b',
    'mkdirat(<place /a/b>, "c", 493)',
    'openat2(<root>, "a/b/c", open_how, 24) = place',
  ]);
});

test("a missing file is a regular one, in directories that are made", () => {
  const list = callsIn([openOrMake(place({ path: "etc/hosts", kind: "file" }))]);
  expect(list.map(short)).toEqual([
    'openat2(<root>, "etc/hosts", open_how, 24) = place',
    'mkdirat(<root>, "etc", 493)',
    'openat2(<root>, "etc", open_how, 24) = place /etc',
    `mknodat(<place /etc>, "hosts", ${0o100644}, 0)`,
    'openat2(<root>, "etc/hosts", open_how, 24) = place',
  ]);
  expect(structAt(list[2], 2, "open_how").flags & O.O_DIRECTORY).not.toBe(0);
  expect(structAt(list[4], 2, "open_how").flags & O.O_DIRECTORY).toBe(0);
});

test("the opening again after making isn't followed by another making", () => {
  const list = callsIn([openOrMake(place({ path: "/a/b" }))]);
  expect(list.slice(1).every((c) => c.on?.ENOENT === undefined)).toBe(true);
});

test("no symlink is allowed in any part of the way when none is allowed at all", () => {
  const opens = callsIn([openOrMake(place({ path: "/a/b", noSymlinks: true }))]).filter(
    (c) => c.call === "openat2",
  );
  expect(opens).toHaveLength(3);
  for (const open of opens)
    expect(structAt(open, 2, "open_how").resolve & RESOLVE.RESOLVE_NO_SYMLINKS).not.toBe(0);
});

test("a failed making names the directory that couldn't be made", () => {
  const made = callsIn([openOrMake(place({ path: "/a/b" }))]).filter((c) => c.call === "mkdirat");
  expect(made.map((c) => [c.fail?.path, c.fail?.message])).toEqual([
    ["/a", "cannot mount: cannot make /a"],
    ["/a/b", "cannot mount: cannot make /a/b"],
  ]);
});

test("each slot is a number of its own, and a kept descriptor closes at execve", () => {
  expect(new Set(SLOTS).size).toBe(SLOTS.length);
  expect(callsIn([keepAs("root", "x", "root.path")])[0]?.args).toEqual([
    { cell: "x" },
    { cell: "root" },
    O.O_CLOEXEC,
  ]);
});

test("a sweep closes on both sides of what is kept; one of all takes the root and the masks too", () => {
  expect(callsIn(sweep("temporary")).map(short)).toEqual([
    "close_range(<lowest descriptor>, <last descriptor below the kept ones>, 0)",
    "close_range(<first descriptor above the kept ones>, 4294967295, 0)",
  ]);
  expect(callsIn(sweep("all")).map(short)[1]).toBe(
    "close_range(<first descriptor of the root and the mask>, 4294967295, 0)",
  );
});

test("there is a sweep after the last block, and after every eighth", () => {
  const block = [close("x")];
  const kinds = (count: number) =>
    swept(Array.from({ length: count }, () => block))
      .map((step) => ("block" in step ? "b" : "s"))
      .join("");
  expect(kinds(0)).toBe("");
  expect(kinds(1)).toBe("bss");
  expect(kinds(8)).toBe("bbbbbbbbss");
  expect(kinds(9)).toBe("bbbbbbbbssbss");
});
