import { describe, expect, test } from "bun:test";
import { sharesToWeight } from "../../../src/cgroup/controllers/cpu.ts";
import { itemsOf, NOWHERE, onV1, onV2 } from "../facts.ts";

const V1 = {
  "cpu.cfs_period_us": "100000",
  "cpu.cfs_burst_us": "0",
  "cpu.idle": "0",
  "cpu.rt_runtime_us": "0",
};
const V2 = { "cpu.max.burst": "0", "cpu.idle": "0" };

describe("cpu on v1", () => {
  test("has a file for each limit", () => {
    const cpu = {
      shares: 512,
      quota: 50000,
      period: 100000,
      burst: 1000,
      realtimeRuntime: 10,
      realtimePeriod: 1000,
    };
    expect(itemsOf({ cpu }, onV1(V1))).toEqual([
      "cpu.shares=512",
      "cpu.cfs_period_us=100000",
      "cpu.cfs_quota_us=50000",
      "cpu.cfs_burst_us=1000",
      "cpu.rt_period_us=1000",
      "cpu.rt_runtime_us=10",
    ]);
  });

  test.each([
    ["a longer period goes first", { quota: 1000, period: 200000 }, ["period_us=200000", "quota_us=1000"]],
    ["a shorter one last", { quota: 1000, period: 50000 }, ["quota_us=1000", "period_us=50000"]],
    ["no limit", { quota: -1 }, ["quota_us=-1"]],
    ["period alone", { period: 50000 }, ["period_us=50000"]],
  ])("%s", (_, cpu, files) => {
    expect(itemsOf({ cpu }, onV1(V1))).toEqual(files.map((file) => `cpu.cfs_${file}`));
  });

  test("a burst that the new quota has no room for goes first", () => {
    const facts = onV1({ ...V1, "cpu.cfs_burst_us": "40000" });
    expect(itemsOf({ cpu: { quota: 20000, burst: 10000 } }, facts)).toEqual([
      "cpu.cfs_burst_us=10000",
      "cpu.cfs_quota_us=20000",
    ]);
    expect(itemsOf({ cpu: { quota: 60000, burst: 50000 } }, facts)).toEqual([
      "cpu.cfs_quota_us=60000",
      "cpu.cfs_burst_us=50000",
    ]);
  });

  test("real time: a period that is shorter than the runtime of now goes last", () => {
    const facts = onV1({ ...V1, "cpu.rt_runtime_us": "5000" });
    expect(itemsOf({ cpu: { realtimeRuntime: 100, realtimePeriod: 1000 } }, facts)).toEqual([
      "cpu.rt_runtime_us=100",
      "cpu.rt_period_us=1000",
    ]);
    expect(itemsOf({ cpu: { realtimeRuntime: 100 } }, onV1({}))).toEqual([
      "cpu.realtimeRuntime: this kernel has no limits of real-time scheduling (CONFIG_RT_GROUP_SCHED)",
    ]);
  });
});

describe("cpu on v2", () => {
  test("has a file for each limit; shares become a weight, quota and period one value", () => {
    const cpu = { shares: 2048, quota: 50000, period: 200000, burst: 1000 };
    expect(itemsOf({ cpu }, onV2(V2))).toEqual([
      "cpu.weight=174",
      "cpu.max=50000 200000",
      "cpu.max.burst=1000",
    ]);
  });

  test.each([
    ["no limit", { quota: -1, period: 100000 }, "max 100000"],
    ["quota alone leaves the period", { quota: 5000 }, "5000"],
    ["period alone", { period: 50000 }, "max 50000"],
  ])("%s", (_, cpu, value) => {
    expect(itemsOf({ cpu }, onV2(V2))).toEqual([`cpu.max=${value}`]);
  });

  test("real-time limits are refused", () => {
    expect(itemsOf({ cpu: { realtimeRuntime: 1, realtimePeriod: 2 } }, onV2(V2))).toEqual([
      "cpu.realtimeRuntime: cgroup v2 has nothing like it",
      "cpu.realtimePeriod: cgroup v2 has nothing like it",
    ]);
    expect(itemsOf({ cpu: { realtimeRuntime: 0, realtimePeriod: 0 } }, onV2(V2))).toEqual([]);
  });
});

describe("an idle cgroup has no weight of its own:", () => {
  const with_ = (now: string) => onV2({ ...V2, "cpu.idle": now });
  test.each([
    ["weight, then idle", "0", { shares: 1024, idle: 1 }, ["cpu.weight=100", "cpu.idle=1"]],
    ["idle no longer, then weight", "1", { shares: 1024, idle: 0 }, ["cpu.idle=0", "cpu.weight=100"]],
    ["idle still: no weight", "1", { shares: 1024, idle: 1 }, []],
    ["neither before nor after", "0", { shares: 1024, idle: 0 }, ["cpu.weight=100"]],
  ])("%s", (_, now, cpu, items) => {
    expect(itemsOf({ cpu }, with_(now))).toEqual(items);
  });
});

test("what the kernel is too old for is refused, unless it is the default", () => {
  expect(itemsOf({ cpu: { burst: 5, idle: 1 } }, onV1())).toEqual([
    "cpu.idle: this kernel has no cpu.idle (Linux 5.15)",
    "cpu.burst: this kernel has no cpu.cfs_burst_us (Linux 5.14)",
  ]);
  expect(itemsOf({ cpu: { burst: 0, idle: 0 } }, onV2())).toEqual([]);
});

test("cpus and mems are cpuset's, the same on both", () => {
  const cpu = { cpus: "0-1,3", mems: "0" };
  expect(itemsOf({ cpu }, onV1())).toEqual(["cpuset.cpus=0-1,3", "cpuset.mems=0"]);
  expect(itemsOf({ cpu }, onV2())).toEqual(["cpuset.cpus=0-1,3", "cpuset.mems=0"]);
  expect(itemsOf({ cpu: { cpus: "", mems: "" } }, NOWHERE)).toEqual([]);
  expect(itemsOf({ cpu }, onV2({}, ["cpuset"]))).toEqual([
    'cpu.cpus: this host has no cgroup controller "cpuset"',
    'cpu.mems: this host has no cgroup controller "cpuset"',
  ]);
});

test("0 is how engines write what nobody has set", () => {
  const cpu = { shares: 0, quota: 0, period: 0, realtimeRuntime: 0, realtimePeriod: 0 };
  expect(itemsOf({ cpu }, onV1(V1))).toEqual([]);
  expect(itemsOf({ cpu }, onV2(V2))).toEqual([]);
  expect(itemsOf({ cpu }, NOWHERE)).toEqual([]);
});

test("without the controller each limit is refused by its name", () => {
  expect(itemsOf({ cpu: { shares: 100, quota: 5000 } }, NOWHERE)).toEqual([
    'cpu.shares: this host has no cgroup controller "cpu"',
    'cpu.quota: this host has no cgroup controller "cpu"',
  ]);
});

describe("shares as a weight", () => {
  // Both ends and both usual values, then those that runc 1.3.2 was seen to give.
  test.each([
    [0, 1],
    [2, 1],
    [3, 2],
    [4, 2],
    [1024, 100],
    [2000, 170],
    [2048, 174],
    [262_144, 10_000],
    [1_000_000, 10_000],
  ])("%d is %d", (shares, weight) => {
    expect(sharesToWeight(shares)).toBe(weight);
  });

  test("never falls as shares grow, and stays in the range", () => {
    let last = 0;
    for (let shares = 2; shares <= 262_144; shares += 37) {
      const weight = sharesToWeight(shares);
      expect(weight).toBeGreaterThanOrEqual(Math.max(last, 1));
      expect(weight).toBeLessThanOrEqual(10_000);
      last = weight;
    }
  });
});
