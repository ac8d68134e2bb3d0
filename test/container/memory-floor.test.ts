import { expect, test } from "bun:test";
import type { Cgroup } from "../../src/cgroup/cgroup.ts";
import { explainMemory, killedForMemory, smallLimit, stalled } from "../../src/container/memory-floor.ts";
import { KontenaError } from "../../src/error.ts";

const withLimit = (limit: number | bigint | undefined): Cgroup => ({
  ...{ manager: "cgroupfs", path: "/x", hierarchies: [], directories: [], made: [] },
  resources: { memory: limit === undefined ? {} : { limit } },
});

test("a limit counts as small below 16 MiB, and none at all doesn't", () => {
  expect(smallLimit(withLimit(65_536))).toBe(65_536);
  for (const limit of [-1, 0, 16 * 2 ** 20, 2n ** 60n, undefined])
    expect(smallLimit(withLimit(limit))).toBeUndefined();
  expect(smallLimit(undefined)).toBeUndefined();
});

test.each([
  ["NAMESPACE_FAILED", { syscall: "clone3", errno: "ENOMEM" }],
  ["HOST_UNSUPPORTED", { syscall: "execveat", errno: "E2BIG" }],
] as const)("%s for want of memory is told as a limit that is too small", (code, details) => {
  const error = new KontenaError(code, "it failed", details);
  expect(explainMemory(error, withLimit(4096))).toMatchObject({
    code: "RESOURCE_FAILED",
    message: "the memory limit of 4096 bytes is too small for the container to start",
    details: { at: "linux.resources.memory.limit", hint: "it failed" },
  });
  expect(explainMemory(error, withLimit(-1))).toBe(error);
  expect(explainMemory(error, undefined)).toBe(error);
});

test("other failures stay what they are", () => {
  const error = new KontenaError("EXEC_NOT_FOUND", "no such program", { errno: "ENOENT" });
  expect(explainMemory(error, withLimit(4096))).toBe(error);
  const fault = new RangeError("a fault");
  expect(explainMemory(fault, withLimit(4096))).toBe(fault);
});

test("an init that doesn't go on is told as that", () => {
  expect(stalled(131_072)).toMatchObject({ details: { hint: "nothing went on for 20 s" } });
});

test("a program that was killed is told of only where the OOM killer was in its cgroup", () => {
  expect(killedForMemory(withLimit(131_072))).toBeUndefined();
  expect(killedForMemory(withLimit(-1))).toBeUndefined();
  expect(killedForMemory(undefined)).toBeUndefined();
});
