import { expect, test } from "bun:test";
import { makeKit } from "../../src/init/kit.ts";
import type { Shape } from "../../src/init/loader.ts";

const shape: Shape = {
  namespaces: 0,
  handed: 3,
  preserved: 0,
  lastCap: 40,
};

test("a list for more descriptors than it has room for is refused in words for people", () => {
  expect(makeKit(shape)).toBeDefined();
  for (const more of [{ handed: 600 }, { preserved: 600 }])
    expect(() => makeKit({ ...shape, ...more })).toThrow(/^init can't be given 60\d descriptors$/);
});
