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
    // systemd refuses 0.
    expect(valuesOf({ pids: { limit: 0 } })).toEqual({ TasksMax: 1n });
  });

  test("those of unified, which come last; files without a property are left to the files", () => {
    const unified = { "memory.high": "50", "memory.max": "max", "memory.oom.group": "1" };
    expect(valuesOf({ memory: { limit: 100 }, unified })).toEqual({ MemoryHigh: 50n, MemoryMax: UNLIMITED });
  });
});

describe("texts of unified as properties:", () => {
  const of = (file: string, text: string) => valuesOf({ unified: { [file]: text } });

  test("amounts with a suffix, in either case, and with a prefix, as the kernel reads them", () => {
    const bytes = (text: string) => of("memory.max", text)["MemoryMax"];
    const texts = ["512M", "512m", "2k", "1g", "1T", "1p", "1E", "0x1e", "0x1M", "010", " 7 ", "max", "0"];
    const M = 1n << 20n;
    expect(texts.map(bytes)).toEqual([
      ...[512n * M, 512n * M, 2048n, 1n << 30n, 1n << 40n, 1n << 50n, 1n << 60n],
      ...[30n, M, 8n, 7n, UNLIMITED, 1n],
    ]);
    expect(of("memory.low", "0")).toEqual({ MemoryLow: 0n });
    expect(of("pids.max", "+0x10")).toEqual({ TasksMax: 16n });
  });

  test.each([
    ...["", "-1", "much", "5MB", "1.5G", "08", "99999999999999999999", "16E", "1 2"].map((text) => [
      "memory.max",
      text,
    ]),
    ...["5M", "-1", "x"].map((text) => ["pids.max", text]),
    ...["0", "10001", "max", "x"].map((text) => ["cpu.weight", text]),
    ...["0", "default 0", "8:0 50", "x"].map((text) => ["io.weight", text]),
    ...["2", "x"].map((text) => ["cpu.idle", text]),
    ...[
      "50000 0",
      "50000 x",
      "x",
      "",
      "0",
      "999",
      "max 999",
      "max 1000001",
      "50000 100000 1",
      "9".repeat(19),
    ].map((text) => ["cpu.max", text]),
    ...["0-4294967295", "8192", "all", "0-1:1/2", "3-1", "x", "1-", "-1", "0,x"].map((text) => [
      "cpuset.cpus",
      text,
    ]),
  ] as [string, string][])("%s: %s is none, and the kernel's to judge", (file, text) => {
    expect(of(file, text)).toEqual({});
  });

  test("bandwidth, and CPUs, with blanks where the kernel takes them", () => {
    expect(of("cpu.max", "50000  200000")).toEqual({
      CPUQuotaPerSecUSec: 250_000n,
      CPUQuotaPeriodUSec: 200_000n,
    });
    expect(of("cpu.max", "max")).toEqual({ CPUQuotaPerSecUSec: UNLIMITED });
    expect(of("cpuset.cpus", "0-1, 3 8")).toEqual({ AllowedCPUs: [0b1011, 1] });
    expect(of("cpuset.mems", "8191")["AllowedMemoryNodes"]).toHaveLength(1024);
  });

  test("weights, by default or without the word", () => {
    expect([of("io.weight", "default 50"), of("io.weight", "50")]).toEqual([
      { IOWeight: 50n },
      { IOWeight: 50n },
    ]);
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
