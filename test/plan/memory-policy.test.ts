import { expect, test } from "bun:test";
import type { MemoryPolicy } from "../../spec/linux.ts";
import { memoryPolicy } from "../../src/plan/memory-policy.ts";
import { callsIn, inputOf } from "./helpers.ts";

const argsFor = (asked: MemoryPolicy) =>
  callsIn(memoryPolicy(inputOf({ linux: { memoryPolicy: asked } })))[0]?.args;

test("nodes become bits, and the kernel is told of one more than the highest", () => {
  expect(argsFor({ mode: "MPOL_BIND", nodes: "0" })).toEqual([2, { words: [1n] }, 2]);
  expect(argsFor({ mode: "MPOL_INTERLEAVE", nodes: "0-2, 7" })).toEqual([3, { words: [0x87n] }, 9]);
  expect(argsFor({ mode: "MPOL_PREFERRED_MANY", nodes: "63,64,1023" })).toEqual([
    5,
    { words: [1n << 63n, 1n, ...new Array(13).fill(0n), 1n << 63n] },
    1025,
  ]);
});

test("a mode without nodes gets no mask", () => {
  for (const [mode, number] of [
    ["MPOL_DEFAULT", 0],
    ["MPOL_PREFERRED", 1],
    ["MPOL_LOCAL", 4],
  ] as const) {
    expect(argsFor({ mode })).toEqual([number, 0, 0]);
    expect(argsFor({ mode, nodes: "" })).toEqual([number, 0, 0]);
  }
});

test("flags are part of the mode", () => {
  const flags = ["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"] as const;
  expect(argsFor({ mode: "MPOL_WEIGHTED_INTERLEAVE", nodes: "1", flags: [...flags] })?.[0]).toBe(0xa006);
  expect(argsFor({ mode: "MPOL_BIND", nodes: "1", flags: ["MPOL_F_RELATIVE_NODES"] })?.[0]).toBe(0x4002);
});

test("nothing is set that isn't asked for", () => {
  expect(memoryPolicy(inputOf({}))).toEqual([]);
});
