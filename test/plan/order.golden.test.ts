/**
 * Whole plans in readable form. A change that is meant is taken over with `UPDATE_GOLDEN=1 bun test test/plan`; the diff of
 * the golden files is then what there is to review.
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { describe as describePhases, flagNames, toText } from "../../src/plan/describe.ts";
import { planContainer } from "../../src/plan/order.ts";
import { SAMPLE_NAMES, sample } from "./samples.ts";

const GOLDEN = join(import.meta.dir, "golden");
const UPDATE = process.env["UPDATE_GOLDEN"] === "1";

function textOf(name: string): string {
  const plan = planContainer(sample(name));
  const parts = [
    `clone3: ${flagNames(plan.namespaces, CLONE)}`,
    toText("create", plan.create),
    toText("start", plan.start),
  ];
  return `${parts.join("\n\n")}\n`;
}

test.each(SAMPLE_NAMES)("the plan of %s is the golden one", (name) => {
  const path = join(GOLDEN, `${name}.txt`);
  const text = textOf(name);
  if (UPDATE) writeFileSync(path, text);
  if (!existsSync(path)) throw new Error(`${path} is missing: UPDATE_GOLDEN=1 writes it`);
  expect(text).toBe(readFileSync(path, "utf8"));
});

test("each golden file belongs to a sample", () => {
  expect(readdirSync(GOLDEN).sort()).toEqual(SAMPLE_NAMES.map((name) => `${name}.txt`).sort());
});

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}

test.each(SAMPLE_NAMES)(
  "planning %s is pure: the input stays as it is, and the plan comes out again",
  (name) => {
    const input = deepFreeze(sample(name));
    const first = planContainer(input);
    const second = planContainer(input);
    expect(second).toEqual(first);
    expect(planContainer(sample(name))).toEqual(first);
  },
);

test.each(SAMPLE_NAMES)(
  "the description of %s is JSON, with a place in the config for most steps",
  (name) => {
    const { create, start } = planContainer(sample(name));
    const described = describePhases([...create, ...start]);
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    for (const { call, why, phase } of described) {
      expect(call).not.toMatch(/undefined|NaN|\[object/);
      expect(why).not.toBe("");
      expect(phase).not.toBe("");
    }
  },
);
