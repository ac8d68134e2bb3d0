import { expect, test } from "bun:test";
import { constants } from "node:os";
import { parseSignal, SIGNALS } from "../../src/cli/signals.ts";
import { formatError } from "../../src/error.ts";

test.each([
  ["9", 9],
  ["0", 0],
  ["64", 64],
  ["KILL", 9],
  ["SIGKILL", 9],
  ["sigkill", 9],
  ["usr1", 10],
  ["RTMIN", 34],
  ["SIGRTMIN+3", 37],
  ["RTMAX-1", 63],
  ["RTMAX", 64],
])("%s is a signal", (text: string, number: number) => {
  expect(parseSignal(text)).toBe(number);
});

test("the numbers are the host's", () => {
  for (const [name, number] of Object.entries(SIGNALS)) {
    const host = (constants.signals as Record<string, number | undefined>)[`SIG${name}`];
    if (host !== undefined) expect<unknown[]>([name, number]).toEqual([name, host]);
  }
});

test.each([
  "",
  "65",
  "-1",
  "1.5",
  "RTMIN-1",
  "RTMAX+1",
  "RTMIN+31",
  "SIG",
  "SIGSIGKILL",
  "constructor",
  "__proto__",
])("%p is none", (text) => {
  expect(() => parseSignal(text)).toThrow(`unknown signal "${text}"`);
});

test.each([
  ["KIL", "did you mean KILL?"],
  ["SIGTERN", "did you mean TERM?"],
  ["-9", "did you mean 9?"],
  ["FOO", "(legal are 0 to 64"],
])("%s gets a suggestion", (text, hint) => {
  try {
    parseSignal(text);
    expect.unreachable();
  } catch (error) {
    expect(formatError(error)).toContain(hint);
    expect(formatError(error)).toContain("SYS)");
  }
});
