import { describe, expect, test } from "bun:test";
import type { Resources } from "../../spec/resources.ts";
import { asksForNothing } from "../../src/cgroup/apply-limits.ts";
import { mergeResources, neededControllers, restOf, touchedBy } from "../../src/cgroup/resources.ts";
import { itemsOf, onV1, onV2 } from "./facts.ts";

test("no limits are no files", () => {
  for (const facts of [onV1(), onV2()]) {
    expect(itemsOf({}, facts)).toEqual([]);
    expect(itemsOf({ memory: {}, cpu: {}, blockIO: {}, network: {}, rdma: {}, unified: {} }, facts)).toEqual(
      [],
    );
  }
});

test("the controllers that v2 has to have are those of the limits", () => {
  const all: Resources = {
    memory: { limit: 1 },
    cpu: { cpus: "0" },
    pids: { limit: 1 },
    blockIO: { weight: 1 },
    hugepageLimits: [],
    rdma: {},
    unified: { "misc.max": "x 1" },
  };
  expect([...neededControllers(all)].sort()).toEqual(
    ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"].sort(),
  );
  expect([...neededControllers({ cpu: { shares: 5 } })]).toEqual(["cpu"]);
  expect([...neededControllers({})]).toEqual([]);
});

describe("a change", () => {
  const before: Resources = {
    memory: { limit: 100, swap: 200 },
    cpu: { shares: 5, cpus: "0" },
    pids: { limit: 9 },
  };

  test("replaces what it names, and nothing else", () => {
    expect(mergeResources(before, { memory: { limit: 150 }, pids: { limit: 0 } })).toEqual({
      memory: { limit: 150, swap: 200 },
      cpu: { shares: 5, cpus: "0" },
      pids: { limit: 0 },
    });
    expect(mergeResources({}, { cpu: { quota: 5 } })).toEqual({ cpu: { quota: 5 } });
  });

  test("of 0 and empty strings, as engines write what nobody has set, changes nothing", () => {
    const change: Resources = { memory: { limit: 0, reservation: 0 }, cpu: { shares: 0, cpus: "" } };
    expect(mergeResources(before, change)).toEqual(before);
  });

  test("of 0 where that means something is a change", () => {
    const change: Resources = { memory: { swappiness: 0 }, cpu: { idle: 0, burst: 0 } };
    expect(mergeResources(before, change)).toEqual({
      ...before,
      memory: { limit: 100, swap: 200, swappiness: 0 },
      cpu: { shares: 5, cpus: "0", idle: 0, burst: 0 },
    });
  });

  test("to no limit on memory is one to none on swap", () => {
    expect(mergeResources(before, { memory: { limit: -1 } }).memory).toEqual({ limit: -1, swap: -1 });
    expect(mergeResources(before, { memory: { limit: -1, swap: 0 } }).memory).toEqual({
      limit: -1,
      swap: -1,
    });
  });

  test("of devices replaces the whole list", () => {
    const rules = (major: number): Resources => ({
      devices: [{ allow: true, type: "c", major, access: "r" }],
    });
    expect(mergeResources(rules(1), rules(2))).toEqual(rules(2));
  });

  test("touches whole groups, whose values depend on each other", () => {
    const change: Resources = { memory: { limit: 150 } };
    expect(touchedBy(change, mergeResources(before, change))).toEqual({ memory: { limit: 150, swap: 200 } });
  });
});

describe("a change touches, of unified,", () => {
  const unified = { "cpu.max": "20000 50000", "memory.high": "5", "memory.reclaim": "7", "cpu.weight": "9" };
  const before: Resources = { memory: { limit: 100 }, unified };
  const touched = (change: Resources) => touchedBy(change, mergeResources(before, change));

  test("what the controllers of its groups have, as it counts last, but no orders from before", () => {
    expect(touched({ cpu: { period: 70_000 } })).toEqual({
      cpu: { period: 70_000 },
      unified: { "cpu.max": "20000 50000", "cpu.weight": "9" },
    });
    expect(touched({ memory: { limit: 7 } })).toEqual({
      memory: { limit: 7 },
      unified: { "memory.high": "5" },
    });
    expect(touched({ pids: { limit: 7 } })).toEqual({ pids: { limit: 7 } });
  });

  test("all but orders, when it changes that; and its own orders", () => {
    expect(touched({ unified: { "cpu.max": "max" } })).toEqual({
      unified: { "cpu.max": "max", "memory.high": "5", "cpu.weight": "9" },
    });
    expect(touched({ unified: { "memory.reclaim": "8" } }).unified).toEqual({
      ...unified,
      "memory.reclaim": "8",
    });
  });
});

test("the rest is what a change doesn't touch, group by group and key by key of unified", () => {
  const all: Resources = {
    ...{ memory: { limit: 1 }, pids: { limit: 2 } },
    unified: { "memory.high": "5", "cpu.weight": "9", "memory.reclaim": "7" },
  };
  expect(restOf(all, { memory: { limit: 1 }, unified: { "memory.high": "5" } })).toEqual({
    pids: { limit: 2 },
    unified: { "cpu.weight": "9" },
  });
});

describe("a container can do without a cgroup", () => {
  test.each([
    ["no limit", {}],
    ["values that nobody has set", { blockIO: { weight: 0 }, cpu: { shares: 0 }, pids: { limit: -1 } }],
    [
      "everybody's list of devices",
      {
        devices: [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10 },
        ],
      },
    ],
  ])("with %s", (_, resources) => {
    expect(asksForNothing(resources as Resources)).toBe(true);
  });

  test.each([
    ["a limit", { memory: { limit: 1 } }],
    ["a limit on processes", { pids: { limit: 100 } }],
    [
      "a device forbidden by name",
      { devices: [{ allow: true }, { allow: false, type: "c", major: 10, minor: 232 }] },
    ],
  ])("but not with %s", (_, resources) => {
    expect(asksForNothing(resources as Resources)).toBe(false);
  });
});
