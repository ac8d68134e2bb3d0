/** A directory of ordinary files stands for a cgroup on v2 alone: what an update writes, and what is there when it fails. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import { updateLimits } from "../../src/cgroup/apply-limits.ts";
import type { Cgroup } from "../../src/cgroup/cgroup.ts";
import { contentsOf, fakeV2 } from "./fake-v2.ts";

const top = mkdtempSync(join(tmpdir(), "kontena-apply-limits-"));
afterAll(() => rmSync(top, { recursive: true }));

const FILES = {
  "cpu.max": "20000 50000",
  "cpu.weight": "100",
  "memory.max": "max",
  "memory.high": "max",
  "pids.max": "70",
};

function update(cgroup: Cgroup, change: Resources): string[] {
  const warnings: string[] = [];
  updateLimits(cgroup, change, (message) => warnings.push(message));
  return warnings;
}

describe("unified from before", () => {
  const unified = { "cpu.max": "20000 50000", "memory.high": "9" };

  test("is written again after a change of the same controller, which is told where it has no effect", () => {
    const cgroup = fakeV2(top, FILES, { unified });
    expect(update(cgroup, { cpu: { period: 70_000 }, memory: { limit: 50 } })).toEqual([
      "cpu.max stays as it is: 20000 50000",
    ]);
    expect(contentsOf(cgroup)).toEqual({
      ...FILES,
      "cpu.max": "20000 50000",
      "memory.max": "50x",
      "memory.high": "9ax",
    });
  });

  test("is not written after a change of another one", () => {
    const cgroup = fakeV2(top, FILES, { unified });
    expect(update(cgroup, { pids: { limit: 30 } })).toEqual([]);
    expect(contentsOf(cgroup)).toEqual({ ...FILES, "pids.max": "30" });
  });
});

test("a change that fails leaves the files and the resources of the state as they were", () => {
  const cgroup = fakeV2(top, FILES, { pids: { limit: 70 } });
  const change: Resources = { pids: { limit: 30 }, memory: { limit: 500 }, unified: { "misc.max": "a 1" } };
  expect(() => update(cgroup, change)).toThrow("cannot write a 1 to misc.max: no such file or directory");
  expect(contentsOf(cgroup)).toEqual(FILES);
  expect(cgroup.resources).toEqual({ pids: { limit: 70 } });
});
