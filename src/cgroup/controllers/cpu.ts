/** `cpu` but for cpuset (config-linux.md, "CPU"; sched-bwc.rst; cgroup-v2.rst, "CPU Interface Files"). */
import type { CpuResources } from "../../../spec/resources.ts";
import { type Facts, type Item, isSet, lacking, onlyV1, type Write } from "../item.ts";

const place = (name: keyof CpuResources) => `linux.resources.cpu.${name}`;

type Writer = (name: keyof CpuResources, file: string, value: number | bigint | string) => Write;

export function cpuItems(cpu: CpuResources, facts: Facts): Item[] {
  const version = facts.where("cpu");
  const write: Writer = (name, file, value) => ({
    controller: "cpu",
    version: version ?? 2,
    file,
    value: String(value),
    at: place(name),
  });
  const items = version === 1 ? v1(cpu, facts, write) : v2(cpu, facts, write);
  if (version !== undefined) return items;
  return items.map((item) => ("file" in item ? lacking(item.at, "cpu", facts) : item));
}

function v1(cpu: CpuResources, facts: Facts, write: Writer): Item[] {
  const shares = isSet(cpu.shares) ? [write("shares", "cpu.shares", cpu.shares)] : [];
  const quota = isSet(cpu.quota) ? write("quota", "cpu.cfs_quota_us", limitless(cpu.quota, "-1")) : undefined;
  return [
    ...weightAndIdle(cpu, facts, write, shares),
    ...bandwidthV1(cpu, facts, write, quota),
    ...realtime(cpu, facts, write),
  ];
}

function limitless(quota: number | bigint, none: string): string {
  return quota < 0 ? none : String(quota);
}

/** An idle cgroup has the least weight, and the kernel refuses to give it another. */
function weightAndIdle({ idle }: CpuResources, facts: Facts, write: Writer, weight: Write[]): Item[] {
  if (idle === undefined) return weight;
  const now = facts.read("cpu", "cpu.idle");
  if (now === undefined) {
    if (idle === 0) return weight;
    return [...weight, { refused: "this kernel has no cpu.idle (Linux 5.15)", at: place("idle") }];
  }
  const change = now === String(idle) ? [] : [write("idle", "cpu.idle", idle)];
  if (now !== "0") return [...change, ...(idle === 0 ? weight : [])];
  return [...weight, ...change];
}

/** Burst may never be above the quota: of the two, what makes room is written first. */
function withBurst(
  { burst, quota }: CpuResources,
  facts: Facts,
  write: Writer,
  file: string,
  others: Item[],
): Item[] {
  if (burst === undefined) return others;
  const now = facts.read("cpu", file);
  if (now === undefined) {
    if (burst === 0) return others;
    return [...others, { refused: `this kernel has no ${file} (Linux 5.14)`, at: place("burst") }];
  }
  const item = write("burst", file, burst);
  const shrinks = isSet(quota) && quota > 0 && BigInt(now) > BigInt(quota);
  return shrinks ? [item, ...others] : [...others, item];
}

/** A parent's limit bounds quota/period at every moment, so the one goes first that doesn't raise the ratio for a while. */
function bandwidthV1(cpu: CpuResources, facts: Facts, write: Writer, quota: Write | undefined): Item[] {
  const period = isSet(cpu.period) ? write("period", "cpu.cfs_period_us", cpu.period) : undefined;
  const now = facts.read("cpu", "cpu.cfs_period_us") ?? "100000";
  const periodFirst = isSet(cpu.period) && BigInt(cpu.period) >= BigInt(now);
  const both = (periodFirst ? [period, quota] : [quota, period]).filter((item) => item !== undefined);
  return withBurst(cpu, facts, write, "cpu.cfs_burst_us", both);
}

/** Runtime may never be above the period. */
function realtime({ realtimeRuntime, realtimePeriod }: CpuResources, facts: Facts, write: Writer): Item[] {
  const runtime = isSet(realtimeRuntime)
    ? [write("realtimeRuntime", "cpu.rt_runtime_us", realtimeRuntime)]
    : [];
  const period = isSet(realtimePeriod) ? [write("realtimePeriod", "cpu.rt_period_us", realtimePeriod)] : [];
  const now = facts.read("cpu", "cpu.rt_runtime_us");
  const asked = runtime[0] ?? period[0];
  if (now === undefined && asked !== undefined && facts.where("cpu") !== undefined)
    return [
      { refused: "this kernel has no limits of real-time scheduling (CONFIG_RT_GROUP_SCHED)", at: asked.at },
    ];
  const shrinks = isSet(realtimePeriod) && BigInt(realtimePeriod) < BigInt(now ?? 0);
  return shrinks ? [...runtime, ...period] : [...period, ...runtime];
}

function v2(cpu: CpuResources, facts: Facts, write: Writer): Item[] {
  const { shares, realtimeRuntime, realtimePeriod } = cpu;
  const weight = isSet(shares) ? [write("shares", "cpu.weight", sharesToWeight(Number(shares)))] : [];
  return [
    ...weightAndIdle(cpu, facts, write, weight),
    ...withBurst(cpu, facts, write, "cpu.max.burst", bandwidthV2(cpu, write)),
    ...(isSet(realtimeRuntime) ? [onlyV1(place("realtimeRuntime"))] : []),
    ...(isSet(realtimePeriod) ? [onlyV1(place("realtimePeriod"))] : []),
  ];
}

/** Quota and period are one value; a period that isn't given stays. */
function bandwidthV2({ quota, period }: CpuResources, write: Writer): Write[] {
  if (!isSet(quota) && !isSet(period)) return [];
  const first = isSet(quota) ? limitless(quota, "max") : "max";
  return [write(isSet(quota) ? "quota" : "period", "cpu.max", isSet(period) ? `${first} ${period}` : first)];
}

/**
 * Shares (2 to 262144, usually 1024) as a weight (1 to 10000, usually 100): the curve that runc 1.3.2 and crun 1.23 use,
 * quadratic between the logarithms, through both ends and both usual values.
 */
export function sharesToWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const l = Math.log2(shares);
  const exponent = (l * l + 125 * l) / 612 - 7 / 34;
  // Powers of two would be a hair above an integer.
  return Math.ceil(10 ** exponent - 1e-9);
}
