import { expect, test } from "bun:test";
import { isWithin, rangesOf } from "../../src/container/id-helper.ts";

test("ranges are those of the user, by name or by number; other lines say nothing", () => {
  const text = "root:1:5\nme:100000:65536\n\n# me:1:1\nme:x:y\nmean:7:7\n1000:300000:10\nme:5:0\n";
  expect(rangesOf(text, ["me", "1000"])).toEqual([
    [100000, 165536],
    [300000, 300010],
  ]);
  expect(rangesOf("", ["me"])).toEqual([]);
});

test("ids are given when ranges hold them all, several that touch included", () => {
  const ranges = rangesOf("me:100:10\nme:110:5\nme:120:5\n", ["me"]);
  expect(isWithin(ranges, 100, 10)).toBe(true);
  expect(isWithin(ranges, 105, 10)).toBe(true);
  expect(isWithin(ranges, 114, 1)).toBe(true);
  expect(isWithin(ranges, 114, 2)).toBe(false);
  expect(isWithin(ranges, 99, 2)).toBe(false);
  expect(isWithin(ranges, 105, 20)).toBe(false);
  expect(isWithin([], 5, 1)).toBe(false);
});
