import { describe, expect, test } from "bun:test";
import {
  allowsEverything,
  deviceRules,
  forbidsByName,
  type Rule,
  rulesFor,
} from "../../../src/cgroup/devices/rules.ts";
import { textOf } from "../../../src/cgroup/devices/v1.ts";

const texts = (rules: readonly Rule[]) => rules.map((rule) => `${rule.allow ? "+" : "-"}${textOf(rule)}`);
const DEFAULTS = [
  "+c *:* m",
  "+b *:* m",
  "+c 1:3 rwm",
  "+c 1:5 rwm",
  "+c 1:7 rwm",
  "+c 1:8 rwm",
  "+c 1:9 rwm",
  "+c 5:0 rwm",
  "+c 5:2 rwm",
  "+c 136:* rwm",
];

describe("the list of rules", () => {
  test("begins with everything forbidden, and ends with the default devices", () => {
    expect(texts(deviceRules([]))).toEqual(["-a *:* rwm", ...DEFAULTS]);
  });

  test("has the config's rules between, in their order; what isn't set means all", () => {
    const rules = deviceRules([
      { allow: false },
      { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
      { allow: true, type: "b", major: 8, access: "r" },
      { allow: true, type: "", major: -1, minor: -1, access: "" },
      { allow: false, type: "a", access: "m" },
    ]);
    expect(texts(rules).slice(1, -DEFAULTS.length)).toEqual([
      "-a *:* rwm",
      "+c 10:229 rw",
      "+b 8:* r",
      "+a *:* rwm",
      "-a *:* m",
    ]);
  });

  test("is that of linux.devices when the config has no rules", () => {
    const devices = [
      { type: "c", path: "/dev/fuse", major: 10, minor: 229 },
      { type: "u", path: "/dev/x", major: 11, minor: 1 },
      { type: "b", path: "/dev/sda", major: 8, minor: 0 },
      { type: "p", path: "/dev/pipe" },
    ];
    expect(texts(deviceRules(rulesFor(devices as never))).slice(1, -DEFAULTS.length)).toEqual([
      "+c 10:229 rwm",
      "+c 11:1 rwm",
      "+b 8:0 rwm",
    ]);
    expect(rulesFor(undefined)).toEqual([]);
  });
});

test.each([
  [true, [{ allow: true }]],
  [true, [{ allow: false }, { allow: true, access: "rwm" }]],
  [false, [{ allow: true }, { allow: false, type: "c", major: 1, access: "r" }]],
  [
    false,
    [
      { allow: true, type: "c" },
      { allow: true, type: "b" },
    ],
  ],
  [false, [{ allow: true, access: "rw" }]],
  [false, []],
])("everything is allowed: %p, by %j", (everything, rules) => {
  expect(allowsEverything(deviceRules(rules as never))).toBe(everything);
});

test.each([
  [false, [{ allow: false }, { allow: true, type: "c", major: 10 }]],
  [true, [{ allow: false, type: "c", major: 10, minor: 232 }]],
  [true, [{ allow: true }, { allow: false, type: "b" }]],
])("a device is forbidden by name: %p, by %j", (byName, rules) => {
  expect(forbidsByName(deviceRules(rules as never))).toBe(byName);
});
