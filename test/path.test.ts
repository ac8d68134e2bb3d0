import { describe, expect, test } from "bun:test";
import { posix } from "node:path";
import { basename, dirname, isAbsolute, join, normalize, resolve } from "../src/path.ts";

const PARTS = [
  "",
  "/",
  ".",
  "..",
  "a",
  "a/",
  "/a",
  "a//b",
  "./a",
  "../a",
  "a/..",
  "é",
  " ",
  "...",
  ".a",
  "a.",
];
const PAIRS = PARTS.flatMap((one) => PARTS.map((other) => [one, other] as const));
const PATHS = [
  ...PARTS,
  ...PAIRS.flatMap(([one, other]) => [`${one}/${other}`, `/${one}/${other}/`, `${one}//..//${other}`]),
];

describe("as node:path has it:", () => {
  test.each([
    ["normalize", normalize, posix.normalize],
    ["dirname", dirname, posix.dirname],
    ["basename", basename, posix.basename],
    ["isAbsolute", isAbsolute, posix.isAbsolute],
  ] as const)("%s", (_, ours, theirs) => {
    for (const path of PATHS) expect({ path, is: ours(path) }).toEqual({ path, is: theirs(path) });
  });

  test.each([
    ["join", join, posix.join],
    ["resolve", resolve, posix.resolve],
  ] as const)("%s", (_, ours, theirs) => {
    expect(ours()).toBe(theirs());
    for (const [one, other] of PAIRS) {
      expect({ one, other, is: ours(one, other) }).toEqual({ one, other, is: theirs(one, other) });
      for (const last of ["", "..", "/x/", "y"])
        expect(ours(one, other, last)).toBe(theirs(one, other, last));
    }
  });
});
