import { describe, expect, test } from "bun:test";
import type { Resources } from "../../../spec/resources.ts";
import { annotationProperties, resourceProperties } from "../../../src/cgroup/systemd/properties.ts";

const UNLIMITED = 0xffff_ffff_ffff_ffffn;

const valuesOf = (resources: Resources) =>
  Object.fromEntries(resourceProperties(resources).map(([name, { value }]) => [name, value]));

describe("limits as properties:", () => {
  test("none", () => {
    expect(resourceProperties(undefined)).toEqual([]);
    expect(valuesOf({})).toEqual({});
  });

  test("memory, with swap by itself", () => {
    expect(valuesOf({ memory: { limit: 100n, reservation: 50n, swap: 150n } })).toEqual({
      MemoryMax: 100n,
      MemoryLow: 50n,
      MemorySwapMax: 50n,
    });
    expect(valuesOf({ memory: { limit: -1 } })).toMatchObject({ MemoryMax: UNLIMITED });
  });

  test("processor time: a quota of a second, rounded up to ten milliseconds, and the period", () => {
    expect(valuesOf({ cpu: { quota: 50_000, period: 100_000 } })).toEqual({
      CPUQuotaPerSecUSec: 500_000n,
      CPUQuotaPeriodUSec: 100_000n,
    });
    expect(valuesOf({ cpu: { quota: 1001, period: 100_000 } })).toMatchObject({
      CPUQuotaPerSecUSec: 20_000n,
    });
    expect(valuesOf({ cpu: { quota: 5000 } })).toEqual({ CPUQuotaPerSecUSec: 50_000n });
    expect(valuesOf({ cpu: { quota: -1, period: 50_000 } })).toMatchObject({ CPUQuotaPerSecUSec: UNLIMITED });
  });

  test("weights; idle is a weight of 0", () => {
    expect(valuesOf({ cpu: { shares: 1024 } })).toEqual({ CPUWeight: 100n });
    expect(valuesOf({ cpu: { idle: 1 } })).toEqual({ CPUWeight: 0n });
    expect(valuesOf({ blockIO: { weight: 500 } })).toHaveProperty("IOWeight");
  });

  test("CPUs and memory nodes as bits", () => {
    expect(valuesOf({ cpu: { cpus: "0-2,9", mems: "0" } })).toEqual({
      AllowedCPUs: [0b111, 0b10],
      AllowedMemoryNodes: [1],
    });
  });

  test("processes", () => {
    expect(valuesOf({ pids: { limit: 20 } })).toEqual({ TasksMax: 20n });
    expect(valuesOf({ pids: { limit: -1 } })).toEqual({ TasksMax: UNLIMITED });
  });

  test("those of unified, which come last; files without a property are left to the files", () => {
    const unified = { "memory.high": "50", "memory.max": "max", "memory.oom.group": "1" };
    expect(valuesOf({ memory: { limit: 100 }, unified })).toEqual({ MemoryHigh: 50n, MemoryMax: UNLIMITED });
  });
});

describe("annotations as properties:", () => {
  const of = (annotations: Record<string, string>) =>
    annotationProperties({ ociVersion: "1.3.0", annotations });

  test("the value with its type, and nothing of other annotations", () => {
    expect(of({ "org.systemd.property.CollectMode": "'inactive'", "org.example.x": "5" })).toEqual([
      ["CollectMode", { signature: "s", value: "inactive" }],
    ]);
  });

  test("seconds become microseconds", () => {
    const usec = (value: bigint) => [["TimeoutStopUSec", { signature: "t", value }]];
    expect<unknown>(of({ "org.systemd.property.TimeoutStopSec": "uint64 123" })).toEqual(usec(123_000_000n));
    expect<unknown>(of({ "org.systemd.property.TimeoutStopSec": "1.5" })).toEqual(usec(1_500_000n));
    expect<unknown>(of({ "org.systemd.property.TimeoutStopUSec": "uint64 5" })).toEqual(usec(5n));
  });

  test.each([
    ["org.systemd.property.", "true"],
    ["org.systemd.property.No-Name", "true"],
    ["org.systemd.property.TimeoutStopSec", "'soon'"],
    ["org.systemd.property.TimeoutStopSec", "-1"],
    ["org.systemd.property.Delegate", "yes"],
  ])("%s=%s is refused by its name", (key, value) => {
    expect(() => of({ [key]: value })).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        details: expect.objectContaining({ at: `annotations["${key}"]` }),
      }),
    );
  });
});
