import { expect, test } from "bun:test";
import { parseConfig } from "../../spec/parse.ts";

/** Broken text, then what the problem says. */
const CASES: [text: string, message: string, hint?: string][] = [
  ["", "line 1, column 1: expected a value, found the end"],
  ["{]", "line 1, column 2: expected a property name in double quotes, found ]"],
  ['{\n  "a": 1,\n}', "line 3, column 1: expected a property name in double quotes, found }", "comma"],
  ["[1,]", "line 1, column 4: expected a value, found ]", "comma"],
  ['{"a" 1}', "line 1, column 6: expected : after the property name, found 1"],
  ['{"a": 1 "b": 2}', 'line 1, column 9: expected a comma before the next element, found "b"'],
  ['{"a": nil}', "line 1, column 7: expected a value: true, false, null"],
  ['{"a": 1', "line 1, column 8: expected } or a comma, found the end"],
  ['{"a": 1} x', "line 1, column 10: expected"],
  ['{\n\t// no\n "a": 1}', "line 2, column 2: expected no comment"],
  ["{'a': 1}", "line 1, column 2: expected", "double quotes"],
  ['\uFEFF{"a": 1}', "", "byte order mark"],
];

for (const [text, message, hint] of CASES) {
  test(`${JSON.stringify(text)} is refused with line and column`, () => {
    const parsed = parseConfig(text);
    if (!("problems" in parsed)) throw new Error("was accepted");
    expect(parsed.syntax).toBe(true);
    expect(parsed.problems).toHaveLength(1);
    expect(parsed.problems[0]?.at).toBe("");
    expect(parsed.problems[0]?.message).toStartWith(message);
    if (hint) expect(parsed.problems[0]?.hint).toContain(hint);
  });
}

test("whatever JSON.parse refuses has a message, even when only it sees the error", () => {
  for (const text of ['{"a": "\u0001"}', '{"a": 01}', '{"a": "\\x"}', "[".repeat(200_000), '{"a": "x\n"}']) {
    const parsed = parseConfig(text);
    expect("problems" in parsed && parsed.problems[0]?.message.length).toBeGreaterThan(10);
  }
});
