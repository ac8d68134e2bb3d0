/** update by systemd's driver: a process that answers as systemd, and a directory of ordinary files as the scope's cgroup. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Resources } from "../../../spec/resources.ts";
import type { Cgroup } from "../../../src/cgroup/cgroup.ts";
import { systemdDriver } from "../../../src/cgroup/systemd/driver.ts";
import { propertiesOf, release, systemd } from "../../../src/cgroup/systemd/manager.ts";
import { contentsOf, fakeV2 } from "../fake-v2.ts";

const top = mkdtempSync(join(tmpdir(), "kontena-driver-"));
const servers: Subprocess[] = [];
let count = 0;
let socket = "";

/** One for each test, with its properties as they were. */
beforeEach(async () => {
  const directory = join(top, String(++count), "systemd");
  mkdirSync(directory, { recursive: true });
  socket = join(directory, "private");
  const script = join(import.meta.dir, "fake-systemd.ts");
  const server = Bun.spawn([process.execPath, script, socket], { stdio: ["ignore", "pipe", "inherit"] });
  servers.push(server);
  await server.stdout.getReader().read();
});
afterAll(() => {
  for (const server of servers) server.kill();
  rmSync(top, { recursive: true });
});

const BEFORE: Resources = { memory: { limit: 64 }, cpu: { quota: 20_500, period: 100_000 } };
/** The quota isn't one that systemd could give. */
const FILES = { "cpu.max": "20500 100000", "memory.max": "64", "pids.max": "9" };

function scope(): Cgroup {
  const cgroup = fakeV2(top, FILES, BEFORE);
  const unit = cgroup.directories[0] as string;
  return { ...cgroup, manager: "systemd", unit, instance: "system", socket };
}

function propertiesNow(cgroup: Cgroup): unknown[] {
  const names = ["Changes", "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec"];
  const found = propertiesOf(systemd("system", socket), cgroup.unit as string, names);
  release("system");
  return found.map(([, { value }]) => value);
}

const update = (cgroup: Cgroup, change: Resources) => systemdDriver.update(cgroup, change, () => {});
const UNTOLD = [0, 64n, 9n, 200_000n, 100_000n];

test("a change is told systemd, and the exact values are in the files when both have written", () => {
  const cgroup = scope();
  update(cgroup, { cpu: { quota: 31_500 } });
  expect(propertiesNow(cgroup)).toEqual([1, 64n, 9n, 320_000n, 100_000n]);
  expect(contentsOf(cgroup)["cpu.max"]).toBe("31500 100000");
  expect(cgroup.resources?.cpu?.quota).toBe(31_500);
});

test("values that systemd writes though nobody has changed them are exact again, also after a failure", () => {
  const cgroup = scope();
  update(cgroup, { memory: { limit: 70 } });
  expect(contentsOf(cgroup)).toEqual({ ...FILES, "memory.max": "70" });
  const change: Resources = { memory: { limit: 80 }, unified: { "misc.max": "a 1" } };
  expect(() => update(cgroup, change)).toThrow("misc.max");
  expect(contentsOf(cgroup)).toEqual({ ...FILES, "memory.max": "70" });
});

describe("a change that fails", () => {
  test("for what can't be applied here isn't told systemd", () => {
    const cgroup = scope();
    expect(() => update(cgroup, { memory: { limit: 80, swappiness: 5 } })).toThrow(
      "cgroup v2 has nothing like it",
    );
    expect(propertiesNow(cgroup)).toEqual(UNTOLD);
    expect(contentsOf(cgroup)).toEqual(FILES);
  });

  test("at a file leaves properties and files as they were, also those that nobody had set", () => {
    const cgroup = scope();
    const change: Resources = {
      ...{ memory: { limit: 80 }, cpu: { quota: 30_000 }, pids: { limit: 5 } },
      unified: { "misc.max": "a 1" },
    };
    expect(() => update(cgroup, change)).toThrow("cannot write a 1 to misc.max");
    expect(propertiesNow(cgroup)).toEqual([2, ...UNTOLD.slice(1)]);
    expect(contentsOf(cgroup)).toEqual(FILES);
    expect(cgroup.resources).toEqual(BEFORE);
  });

  test("at systemd changes nothing", () => {
    const cgroup = scope();
    const change: Resources = { memory: { limit: 80 }, unified: { "memory.min": "5" } };
    expect(() => update(cgroup, change)).toThrow("systemd can't");
    expect(propertiesNow(cgroup)).toEqual(UNTOLD);
    expect(contentsOf(cgroup)).toEqual(FILES);
  });
});
