import { expect, test } from "bun:test";
import { editDistance, nearest } from "../../spec/nearest.ts";

test("edit distance counts insertions, deletions and replacements", () => {
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("abc", "abc")).toBe(0);
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("flaw", "lawn")).toBe(2);
});

test("the nearest name is found, and only when it is near", () => {
  const known = ["maskedPaths", "readonlyPaths", "vm", "path", "uidMappings", "gidMappings"];
  expect(nearest("maskedpaths", known)).toBe("maskedPaths");
  expect(nearest("maskPath", known)).toBeUndefined();
  expect(nearest("readOnlyPath", known)).toBe("readonlyPaths");
  expect(nearest("pth", known)).toBe("path");
  expect(nearest("x", known)).toBeUndefined();
  expect(nearest("gidMapping", known)).toBe("gidMappings");
  expect(nearest("p".repeat(100_000), known)).toBeUndefined();
});
