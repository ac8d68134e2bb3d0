import { expect, test } from "bun:test";
import { parseResults } from "./lab.ts";

test("the tests of a machine are told with outcome, name and what was printed before", () => {
  const output = `bun test v1.4.5 (a7733435c)

test/integration/x.test.ts:
(pass) one holds [0.06ms]
error: expect(received).toBe(expected)
      at one.ts:3:1
(fail) group > another (with brackets) doesn't [1.20s]
(skip) a third

 1 pass
`;
  expect(parseResults(output)).toMatchObject([
    { outcome: "pass", name: "one holds" },
    {
      outcome: "fail",
      name: "group > another (with brackets) doesn't",
      text: "error: expect(received).toBe(expected)\n      at one.ts:3:1",
    },
    { outcome: "skip", name: "a third" },
  ]);
});
