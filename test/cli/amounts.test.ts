import { describe, expect, test } from "bun:test";
import { parseBytes, parseWhole } from "../../src/cli/amounts.ts";
import { changeOf } from "../../src/cli/commands/update.ts";

describe("bytes", () => {
  test.each([
    ["0", 0],
    ["4096", 4096],
    ["-1", -1],
    ["64m", 64 * 2 ** 20],
    ["64M", 64 * 2 ** 20],
    ["64MB", 64 * 2 ** 20],
    ["64MiB", 64 * 2 ** 20],
    ["1k", 1024],
    ["512b", 512],
    ["2g", 2 ** 31],
    ["1.5g", 1.5 * 2 ** 30],
    ["0.5k", 512],
    ["1t", 2 ** 40],
    ["9223372036854775807", 9223372036854775807n],
  ])("%s", (text, bytes) => {
    expect(parseBytes(text, "--memory")).toBe(bytes);
  });

  test.each(["", "m", "-2", "1x", "1.g", "0x10", "1 0", "8191p5", "9223372036854775808", "99999999p"])(
    "%p is none",
    (text) => {
      expect(() => parseBytes(text, "--memory")).toThrow(`--memory: "${text}" isn't a size`);
    },
  );
});

describe("whole numbers", () => {
  test("end at 64 bits; -1 is one where it means something", () => {
    expect(parseWhole("18446744073709551615", "x")).toBe(18446744073709551615n);
    expect(parseWhole("-1", "x", -1)).toBe(-1);
    for (const text of ["18446744073709551616", "-1", "1.5", "", "1e3"])
      expect(() => parseWhole(text, "x")).toThrow("isn't a whole number");
    expect(() => parseWhole("-2", "x", -1)).toThrow("isn't a whole number, or -1");
  });
});

test("the options of update are properties of linux.resources", () => {
  expect(changeOf({ memory: "64m", "memory-swap": "-1", "cpu-share": "512", "cpuset-cpus": "0-1" })).toEqual({
    memory: { limit: 64 * 2 ** 20, swap: -1 },
    cpu: { shares: 512, cpus: "0-1" },
  });
  expect(changeOf({ "pids-limit": "0", "cpu-idle": "1", "blkio-weight": "10" })).toEqual({
    pids: { limit: 0 },
    cpu: { idle: 1 },
    blockIO: { weight: 10 },
  });
  expect(changeOf({})).toEqual({});
});
