import { describe, expect, test } from "bun:test";
import type { DeviceRule } from "../../../spec/resources.ts";
import { deviceRules, type Rule } from "../../../src/cgroup/devices/rules.ts";
import {
  type DeviceWrites,
  deviceWrites,
  type Exceptions,
  inForce,
  oppositeWrites,
  parseList,
  textOf,
  toExceptions,
} from "../../../src/cgroup/devices/v1.ts";

const rulesOf = (rules: DeviceRule[]): Rule[] => deviceRules(rules).slice(1, -10);
const exceptionsOf = (rules: DeviceRule[]): Exceptions => {
  const found = toExceptions([{ ...(rulesOf([{ allow: false }])[0] as Rule) }, ...rulesOf(rules)]);
  if ("hole" in found) throw new Error(`hole: ${found.hole}`);
  return found;
};
const texts = ({ allow, exceptions }: Exceptions) => [allow, ...exceptions.map(textOf)];

describe("an ordered list as exceptions of one kind", () => {
  test.each([
    ["forbids all", [{ allow: false }], [false]],
    ["allows all", [{ allow: true }], [true]],
    ["allows one", [{ allow: true, type: "c", major: 1, minor: 3, access: "rw" }], [false, "c 1:3 rw"]],
    [
      "joins what it says of one device",
      [
        { allow: true, type: "c", major: 1, minor: 3, access: "r" },
        { allow: true, type: "c", major: 1, minor: 3, access: "w" },
      ],
      [false, "c 1:3 rw"],
    ],
    [
      "takes back a part of the access",
      [
        { allow: true, type: "c", major: 1, minor: 3 },
        { allow: false, type: "c", major: 1, minor: 3, access: "w" },
      ],
      [false, "c 1:3 rm"],
    ],
    [
      "takes back all that a wider rule covers",
      [
        { allow: true, type: "c", major: 1, minor: 3 },
        { allow: true, type: "b", major: 1, minor: 3 },
        { allow: true, type: "c", major: 2, minor: 3 },
        { allow: false, major: 1 },
      ],
      [false, "c 2:3 rwm"],
    ],
    [
      "forgets what was before a rule for everything",
      [{ allow: true, type: "c", major: 1 }, { allow: false }, { allow: true, type: "b", major: 8 }],
      [false, "b 8:* rwm"],
    ],
    [
      "has denials when all is allowed",
      [{ allow: true }, { allow: false, type: "c", major: 10, minor: 232 }],
      [true, "c 10:232 rwm"],
    ],
    ["splits a rule for both types", [{ allow: true, major: 5, access: "r" }], [false, "b 5:* r", "c 5:* r"]],
  ] as [string, DeviceRule[], (string | boolean)[]][])("%s", (_, rules, expected) => {
    expect(texts(exceptionsOf(rules))).toEqual(expected);
  });

  test("can't forbid one device of many that are allowed together", () => {
    expect(
      toExceptions(
        rulesOf([
          { allow: true, type: "c", major: 1 },
          { allow: false, type: "c", major: 1, minor: 3 },
        ]).toSpliced(0, 0, rulesOf([{ allow: false }])[0] as Rule),
      ),
    ).toEqual({ hole: "c 1:3 rwm" });
  });
});

/** What the kernel makes of the writes: security/device_cgroup.c, devcgroup_update_access. */
function apply(now: Exceptions, writes: readonly DeviceWrites[]): Exceptions {
  let { allow, exceptions } = now;
  const single = writes.flatMap(({ file, values }) => values.map((value) => ({ file, value })));
  for (const { file, value } of single) {
    const isAllow = file === "devices.allow";
    if (value === "a") {
      allow = isAllow;
      exceptions = [];
      continue;
    }
    const [rule] = parseList(value)?.exceptions ?? [];
    if (rule === undefined) throw new Error(`EINVAL: ${value}`);
    const same = (e: Rule) => e.type === rule.type && e.major === rule.major && e.minor === rule.minor;
    if (isAllow === allow)
      exceptions = exceptions
        .map((e) => (same(e) ? { ...e, access: e.access & ~rule.access } : e))
        .filter((e) => e.access !== 0);
    else if (exceptions.some(same))
      exceptions = exceptions.map((e) => (same(e) ? { ...e, access: e.access | rule.access } : e));
    else exceptions = [...exceptions, rule];
  }
  return { allow, exceptions };
}

const sorted = (e: Exceptions) => ({ allow: e.allow, list: e.exceptions.map(textOf).sort() });

describe("the writes", () => {
  const one = exceptionsOf([
    { allow: true, type: "c", major: 1, minor: 3 },
    { allow: true, type: "c", major: 5, access: "r" },
  ]);
  const other = exceptionsOf([
    { allow: true, type: "c", major: 1, minor: 3, access: "rm" },
    { allow: true, type: "b", major: 8, access: "r" },
  ]);

  test("from anything begin with everything", () => {
    expect(deviceWrites(undefined, one)).toEqual([
      { file: "devices.deny", values: ["a"] },
      { file: "devices.allow", values: ["c 1:3 rwm", "c 5:* r"] },
    ]);
  });

  test("from one list to another are those that differ: what stays allowed is so all the time", () => {
    expect(deviceWrites(one, other)).toEqual([
      { file: "devices.allow", values: ["b 8:* r"] },
      { file: "devices.deny", values: ["c 1:3 w", "c 5:* r"] },
    ]);
    expect(deviceWrites(one, one).flatMap(({ values }) => values)).toEqual([]);
  });

  test("lead to the list that is meant, from any other", () => {
    const everything: Exceptions = { allow: true, exceptions: [] };
    const most = exceptionsOf([{ allow: true }, { allow: false, type: "c", major: 10, minor: 232 }]);
    const lists = [one, other, everything, most, exceptionsOf([])];
    for (const now of lists)
      for (const then of lists) {
        // devices.list doesn't tell the denials of a cgroup that allows all.
        const known = now.allow ? undefined : now;
        expect(sorted(apply(now, deviceWrites(known, then)))).toEqual(sorted(then));
      }
  });
});

describe("writes that were taken", () => {
  const lists = [
    exceptionsOf([{ allow: true, type: "c", major: 1, minor: 3, access: "r" }]),
    exceptionsOf([{ allow: true, type: "c", major: 1, minor: 3 }]),
    exceptionsOf([{ allow: true }, { allow: false, type: "c", major: 10, minor: 232 }]),
    exceptionsOf([{ allow: true }, { allow: false, type: "b", major: 8 }]),
    exceptionsOf([{ allow: true }]),
  ];

  test("are taken back by their opposites, however many there were", () => {
    for (const now of lists)
      for (const then of lists) {
        const writes = deviceWrites(now, then).flatMap(({ file, values }) =>
          values.map((value) => ({ file, value })),
        );
        for (let taken = 0; taken <= writes.length; taken++) {
          const done = writes.slice(0, taken);
          const half = apply(
            now,
            done.map(({ file, value }) => ({ file, values: [value] })),
          );
          expect(sorted(apply(half, oppositeWrites(done, now)))).toEqual(sorted(now));
        }
      }
  });
});

describe("what holds", () => {
  const everything = "a *:* rwm\n";

  test("where all is allowed is known by the rules from before, with what they forbid", () => {
    const rules = deviceRules([{ allow: true }, { allow: false, type: "c", major: 10, minor: 232 }]);
    expect(inForce(everything, rules)).toMatchObject({ allow: true, exceptions: [{ major: 10 }] });
    expect(inForce(everything, deviceRules([{ allow: true }]))).toEqual({ allow: true, exceptions: [] });
  });

  test("is unknown where all is allowed and the rules say something else, or nobody knows them", () => {
    expect(inForce(everything, deviceRules([]))).toBeUndefined();
    expect(inForce(everything, undefined)).toBeUndefined();
  });

  test("is what devices.list names where it does", () => {
    const found = inForce("c 1:3 rw\n", deviceRules([{ allow: true }]));
    expect(found?.exceptions.map(textOf)).toEqual(["c 1:3 rw"]);
  });
});

test("devices.list is read as the kernel writes it", () => {
  expect(parseList("a *:* rwm\n")).toBeUndefined();
  expect(parseList("")).toEqual({ allow: false, exceptions: [] });
  const list = ["c 1:3 rwm", "b *:* m", "c 136:* rw"];
  expect(parseList(`${list.join("\n")}\n`)?.exceptions.map(textOf)).toEqual(list);
});
