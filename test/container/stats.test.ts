/** stats of a state directory whose containers change between two samples. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoredState } from "../../src/container/directory.ts";
import { openRuntime } from "../../src/container/runtime.ts";
import { openStats } from "../../src/container/stats.ts";
import { readStat } from "../../src/container/task.ts";

const root = mkdtempSync(join(tmpdir(), "kontena-stats-"));
afterAll(() => rmSync(root, { recursive: true }));
const warnings: string[] = [];
const runtime = openRuntime({ root, warn: (message) => warnings.push(message), debug: () => {} });

function write(id: string, more: Partial<StoredState>): void {
  mkdirSync(join(root, id), { recursive: true });
  const state: StoredState = {
    format: 1,
    ociVersion: "1.3.0",
    id,
    status: "creating",
    pid: 0,
    startTime: "",
    bundle: "/b",
    rootfs: "/b/rootfs",
    created: "2026-11-24T09:15:30Z",
    owner: 0,
    ...more,
  };
  writeFileSync(join(root, id, "state.json"), JSON.stringify(state));
}

/** This very process, as the container's. */
const alive = () => ({ pid: process.pid, startTime: readStat(process.pid)?.startTime ?? "" });

test("a container that was seen while it was made is seen when it runs, when it ends, and as a new one of its name", () => {
  const take = openStats(runtime, { ids: [], all: true });
  const seen = () => take().map(({ id, status, pid }) => [id, status, pid]);
  write("c1", {});
  expect(seen()).toEqual([["c1", "creating", 0]]);
  write("c1", alive());
  expect(seen()).toEqual([["c1", "creating", 0]]);
  write("c1", { ...alive(), status: "created" });
  expect(seen()).toEqual([["c1", "running", process.pid]]);
  expect(seen()).toEqual([["c1", "running", process.pid]]);
  rmSync(join(root, "c1"), { recursive: true });
  expect(seen()).toEqual([]);
  write("c1", { pid: 4_194_304, startTime: "1", status: "created" });
  expect(seen()).toEqual([["c1", "stopped", 0]]);
  write("c1", { ...alive(), status: "created" });
  expect(seen()).toEqual([["c1", "running", process.pid]]);
});

test("without --all only those with a process are told; a name that isn't there is an error, a broken one a warning", () => {
  write("c2", { pid: 4_194_304, startTime: "1", status: "created" });
  expect(openStats(runtime, { ids: [] })().map(({ id }) => id)).toEqual(["c1"]);
  expect(openStats(runtime, { ids: ["c2", "c1", "c2"] })().map(({ id }) => id)).toEqual(["c1", "c2"]);
  expect(() => openStats(runtime, { ids: ["c1", "c3"] })).toThrow("container does not exist: c3");
  const take = openStats(runtime, { ids: [] });
  writeFileSync(join(root, "c2", "state.json"), "{");
  expect(take().map(({ id }) => id)).toEqual(["c1"]);
  expect(warnings.join()).toContain("c2");
});
