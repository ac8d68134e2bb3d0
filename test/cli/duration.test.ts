import { expect, test } from "bun:test";
import { parseDuration } from "../../src/cli/duration.ts";

test.each([
  ["5s", 5000],
  ["5", 5000],
  ["0.5", 500],
  ["500ms", 500],
  ["1m30s", 90_000],
  ["1.5h", 5_400_000],
  [".5s", 500],
  ["1h2m3.5s", 3_723_500],
  ["1us", 1],
  ["20µs", 1],
] as const)("%s is a duration", (text, milliseconds) => {
  expect(parseDuration(text, "x")).toBe(milliseconds);
});

test.each(["", "s", "5x", "5 s", "-5s", "5s5", "1e3s", "s5", "5s "])("%p is no duration", (text) => {
  expect(() => parseDuration(text, "events: --interval")).toThrow(
    `events: --interval: "${text}" isn't a duration`,
  );
});

test.each(["0", "0s", "0ms", "1000h"])("%s is too short or too long", (text) => {
  expect(() => parseDuration(text, "x")).toThrow("isn't between 1 ms and 24 days");
});
