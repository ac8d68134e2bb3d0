import { describe, expect, test } from "bun:test";
import type { DeviceRule } from "../../../spec/resources.ts";
import { encodeInstructions, jumpIfNot, move } from "../../../src/cgroup/devices/instruction.ts";
import { deviceProgram } from "../../../src/cgroup/devices/program.ts";
import { deviceRules, type Rule } from "../../../src/cgroup/devices/rules.ts";
import { type Access, run, unreachable } from "../helpers/interpreter.ts";

/** The rules as the spec says them: in order, each overruling those before, for each bit by itself. */
function allowed(rules: readonly Rule[], { type, major, minor, access }: Access): boolean {
  return [1, 2, 4]
    .filter((bit) => (access & bit) !== 0)
    .every((bit) => {
      let allow = false;
      for (const rule of rules) {
        const fits =
          (rule.type === "a" || rule.type === type) &&
          (rule.major === undefined || rule.major === major) &&
          (rule.minor === undefined || rule.minor === minor) &&
          (rule.access & bit) !== 0;
        if (fits) allow = rule.allow;
      }
      return allow;
    });
}

const compile = (rules: readonly Rule[]) => encodeInstructions(deviceProgram(rules));
const answer = (rules: readonly Rule[], access: Access) => run(compile(rules), access) === 1;

const config = (rules: DeviceRule[]) => deviceRules(rules);

describe("the filter", () => {
  const rules = config([
    { allow: false },
    { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
    { allow: true, type: "b", major: 8, access: "rwm" },
    { allow: false, type: "b", major: 8, minor: 16, access: "w" },
  ]);
  test.each([
    ["c 1:3 rw, a default device", "c", 1, 3, 6, true],
    ["c 1:1 r, memory", "c", 1, 1, 2, false],
    ["c 1:1 m, any node may be made", "c", 1, 1, 1, true],
    ["c 10:229 rw, allowed", "c", 10, 229, 6, true],
    ["c 10:229 m, by default", "c", 10, 229, 1, true],
    ["c 10:229 rwm, together", "c", 10, 229, 7, true],
    ["b 10:229 r, of the other type", "b", 10, 229, 2, false],
    ["b 8:1 rw, by a wildcard", "b", 8, 1, 6, true],
    ["b 8:16 r, only writing is forbidden", "b", 8, 16, 2, true],
    ["b 8:16 w, forbidden after it was allowed", "b", 8, 16, 4, false],
    ["b 8:16 rw, of which one is forbidden", "b", 8, 16, 6, false],
    ["c 136:1048575 rw, a terminal", "c", 136, 1_048_575, 6, true],
  ] as [string, "b" | "c", number, number, number, boolean][])(
    "%s",
    (_, type, major, minor, access, expected) => {
      expect(answer(rules, { type, major, minor, access })).toBe(expected);
      expect(allowed(rules, { type, major, minor, access })).toBe(expected);
    },
  );

  test("of no rules forbids, of a rule for everything does what that says", () => {
    const access: Access = { type: "c", major: 1, minor: 3, access: 2 };
    expect(answer([], access)).toBe(false);
    expect(answer(config([{ allow: true }]), access)).toBe(true);
    expect(answer(config([{ allow: true }]), { ...access, major: 99 })).toBe(true);
  });

  test("has nothing that can't be reached, which the verifier refuses", () => {
    for (const list of [
      [],
      rules,
      config([{ allow: true }]),
      config([{ allow: true }, { allow: false, access: "w" }]),
    ])
      expect(unreachable(compile(list))).toEqual([]);
  });
});

/** A generator with a fixed seed: a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("says what the rules say, for random lists and accesses", () => {
  const pick = random(20_260);
  const number = () => (pick(3) === 0 ? undefined : pick(4));
  let answers = 0;
  for (let round = 0; round < 400; round++) {
    const rules = Array.from(
      { length: pick(9) },
      (): Rule => ({
        allow: pick(2) === 1,
        type: (["a", "b", "c"] as const)[pick(3)] ?? "a",
        major: number(),
        minor: number(),
        access: pick(8),
      }),
    );
    const program = compile(rules);
    expect(unreachable(program)).toEqual([]);
    for (const type of ["b", "c"] as const)
      for (let i = 0; i < 32; i++) {
        const access: Access = { type, major: pick(4), minor: pick(4), access: 1 + pick(7) };
        const expected = allowed(rules, access);
        if (expected) answers++;
        expect({ rules, access, answer: run(program, access) === 1 }).toEqual({
          rules,
          access,
          answer: expected,
        });
      }
  }
  // Both answers were tried.
  expect(answers).toBeGreaterThan(1000);
});

test("an instruction that exceeds its fields isn't encoded", () => {
  expect(() => encodeInstructions([move(0, 2 ** 31)])).toThrow("exceeds");
  expect(() => encodeInstructions([jumpIfNot(0, 0, 32_768)])).toThrow("exceeds");
  expect(encodeInstructions([jumpIfNot(2, -1, -1)])).toEqual(
    new Uint8Array([0x55, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  );
});
