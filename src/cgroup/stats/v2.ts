/** The counters of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst), from the texts of a cgroup's files. */
import {
  type BlockEntry,
  parseFlat,
  parseIoStat,
  parsePressure,
  parseRanges,
  parseValue,
  UNLIMITED,
} from "./text.ts";
import type {
  CpuStats,
  CpusetStats,
  HugetlbStats,
  IoStats,
  MemoryCounter,
  MemoryStats,
  PidsStats,
} from "./types.ts";
import type { Files } from "./v1.ts";

const MICRO = 1000n;

/** cpu.stat has the usage without the controller too, throttling only with it. */
export function cpuV2(files: Files): CpuStats {
  const stat = parseFlat(files("cpu.stat"));
  const get = (key: string) => stat.get(key) ?? 0n;
  return {
    usage: {
      total: get("usage_usec") * MICRO,
      kernel: get("system_usec") * MICRO,
      user: get("user_usec") * MICRO,
      perCpu: [],
      perCpuKernel: [],
      perCpuUser: [],
    },
    throttling: {
      periods: get("nr_periods"),
      throttledPeriods: get("nr_throttled"),
      throttledTime: get("throttled_usec") * MICRO,
    },
    pressure: parsePressure(files("cpu.pressure")),
  };
}

export function cpusetV2(files: Files): CpusetStats {
  return {
    cpus: parseRanges(files("cpuset.cpus.effective")),
    mems: parseRanges(files("cpuset.mems.effective")),
    flags: new Map(),
    schedRelaxDomainLevel: 0n,
  };
}

const NOTHING: MemoryCounter = { usage: 0n, limit: 0n, max: 0n, failures: 0n };

export function memoryV2(files: Files): MemoryStats {
  const raw = parseFlat(files("memory.stat"));
  const usage: MemoryCounter = {
    usage: parseValue(files("memory.current")),
    limit: parseValue(files("memory.max")),
    // Since Linux 5.19.
    max: parseValue(files("memory.peak")),
    failures: 0n,
  };
  return {
    cache: raw.get("file") ?? 0n,
    usage,
    swap: withSwap(files, usage),
    kernel: NOTHING,
    kernelTcp: NOTHING,
    raw,
    pressure: parsePressure(files("memory.pressure")),
  };
}

/** v2 counts swap alone; the sum is what v1 has. Without swap accounting there is no such file. */
function withSwap(files: Files, memory: MemoryCounter): MemoryCounter {
  const current = files("memory.swap.current");
  const swap = current === "" ? NOTHING : { ...NOTHING, limit: parseValue(files("memory.swap.max")) };
  const isUnlimited = swap.limit === UNLIMITED || memory.limit === UNLIMITED;
  return {
    usage: parseValue(current) + memory.usage,
    limit: isUnlimited ? UNLIMITED : swap.limit + memory.limit,
    max: 0n,
    failures: 0n,
  };
}

export function pidsV2(files: Files): PidsStats {
  return { current: parseValue(files("pids.current")), limit: parseValue(files("pids.max")) };
}

export function ioV2(files: Files): IoStats {
  const bytes: BlockEntry[] = [];
  const operations: BlockEntry[] = [];
  const columns = [
    ["rbytes", "Read", bytes],
    ["wbytes", "Write", bytes],
    ["rios", "Read", operations],
    ["wios", "Write", operations],
  ] as const;
  for (const { major, minor, values } of parseIoStat(files("io.stat")))
    for (const [key, op, list] of columns) {
      const value = values.get(key);
      if (value !== undefined) list.push({ major, minor, op, value });
    }
  return {
    bytes,
    operations,
    queued: [],
    serviceTime: [],
    waitTime: [],
    merged: [],
    time: [],
    sectors: [],
    pressure: parsePressure(files("io.pressure")),
  };
}

export function hugetlbV2(files: Files, size: string): HugetlbStats {
  return {
    usage: parseValue(files(`hugetlb.${size}.current`)),
    max: 0n,
    failures: parseFlat(files(`hugetlb.${size}.events`)).get("max") ?? 0n,
  };
}
