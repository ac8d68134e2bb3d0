import { expect, test } from "bun:test";
import { type Variant, variant } from "../../../src/cgroup/systemd/marshal.ts";
import { parseText } from "../../../src/cgroup/systemd/text.ts";

const VALUES: [string, Variant][] = [
  ["true", variant("b", true)],
  ["5", variant("i", 5)],
  ["-5", variant("i", -5)],
  ["0x10", variant("i", 16)],
  ["uint64 18446744073709551615", variant("t", 0xffff_ffff_ffff_ffffn)],
  ["int64 -1", variant("x", -1n)],
  ["byte 0xff", variant("y", 255)],
  ["1.5", variant("d", 1.5)],
  ["double 2", variant("d", 2)],
  ["'it\\'s'", variant("s", "it's")],
  ['"tab\\tand \\u00e9"', variant("s", "tab\tand é")],
  ["objectpath '/a'", variant("o", "/a")],
  ["['a.service', 'b.service']", variant("as", ["a.service", "b.service"])],
  ["@as []", variant("as", [])],
  ["@at [1, 2]", variant("at", [1n, 2n])],
  ["[('/dev/null', uint64 5)]", variant("a(st)", [["/dev/null", 5n]])],
  ["<uint32 5>", variant("v", variant("u", 5))],
];

test.each(VALUES)("%s is read with its type", (text, value) => {
  expect(parseText(text)).toEqual(value);
});

test.each([
  "",
  "soon",
  "5 6",
  "uint64 -1",
  "byte 256",
  "2147483648",
  "[1, 'a']",
  "[]",
  "[1",
  "'open",
  "uint64 'text'",
  "@z 1",
])("%p is refused", (text) => {
  expect(() => parseText(text)).toThrow();
});
