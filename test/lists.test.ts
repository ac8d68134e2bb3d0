import { expect, test } from "bun:test";
import { chosen, hasAny, mapped } from "../src/lists.ts";

const LISTS = [[], [1], [3, 0, 7, 2, 7]];

test("map, filter and some, as the engine has them", () => {
  for (const list of LISTS) {
    expect(mapped(list, (n, i) => n * 10 + i)).toEqual(list.map((n, i) => n * 10 + i));
    expect(chosen(list, (n, i) => n > 2 && i !== 2)).toEqual(list.filter((n, i) => n > 2 && i !== 2));
    expect(hasAny(list, (n) => n === 7)).toBe(list.some((n) => n === 7));
  }
});
