import { expect, test } from "bun:test";
import { parseJson, stringifyJson } from "../../spec/json.ts";
import { parseConfig } from "../../spec/parse.ts";

test("integers beyond 2^53 arrive as exact bigints, smaller ones as numbers", () => {
  const cases: [string, unknown][] = [
    ["18446744073709551615", 18446744073709551615n],
    ["-9223372036854775808", -9223372036854775808n],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["9007199254740993", 9007199254740993n],
    ["-9007199254740993", -9007199254740993n],
    ["1e3", 1000],
    ["1.5e3", 1500],
    ["1.0", 1],
    ["12.50", 12.5],
    ["0e5", 0],
    ["1e-2", 0.01],
    ["9e18", 9000000000000000000n],
    ["1.8446744073709551615e19", 18446744073709551615n],
    ["1844674407370955161500e-2", 18446744073709551615n],
    ["9007199254740993.5", Number.NaN],
    ["0.1234567890123456789", 0.12345678901234568],
    ["1e50", 1e50],
    ["1e999999999", Number.POSITIVE_INFINITY],
  ];
  for (const [literal, value] of cases) {
    expect(parseJson(`{"a": ${literal}}`)).toEqual({ a: value });
    expect(parseJson(`[1, ${literal} ]`)).toEqual([1, value]);
  }
});

test("digits in strings change nothing", () => {
  const text = '{"a": "x, 18446744073709551615", "b": [7, "1e9"]}';
  expect(parseJson(text)).toEqual(JSON.parse(text));
});

test("RLIM_INFINITY reaches the config exactly", () => {
  const limit = (hard: string) =>
    parseConfig(
      `{"ociVersion":"1.3.0","process":{"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":${hard}}]}}`,
    );
  expect(limit("18446744073709551615")).toMatchObject({
    config: { process: { rlimits: [{ soft: 0, hard: 18446744073709551615n }] } },
  });
  for (const bad of ["18446744073709551616", "-1", "1e20", "1e50", "1e999", "0.5", "9007199254740993.5"]) {
    expect(limit(bad)).toMatchObject({ problems: [{ at: "process.rlimits[0].hard" }] });
  }
  expect(limit("1e3")).toMatchObject({ config: { process: { rlimits: [{ hard: 1000 }] } } });
});

test("what is written is read again as it was", () => {
  const value = { hard: 18446744073709551615n, soft: 1024, list: [-9223372036854775808n, "x"] };
  expect(stringifyJson(value)).toBe(
    '{"hard":18446744073709551615,"soft":1024,"list":[-9223372036854775808,"x"]}',
  );
  expect(parseJson(stringifyJson(value, 2))).toEqual(value);
});
