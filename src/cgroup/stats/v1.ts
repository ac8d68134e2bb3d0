/** The counters of cgroup v1 (Documentation/admin-guide/cgroup-v1), from the texts of a controller's files. */
import { parseBlkio, parseFlat, parseNumbers, parseRanges, parseValue } from "./text.ts";
import type {
  CpuStats,
  CpusetStats,
  HugetlbStats,
  IoStats,
  MemoryCounter,
  MemoryStats,
  PidsStats,
} from "./types.ts";

/** The text of a file of the cgroup; empty when it isn't there. */
export type Files = (file: string) => string;

/** cpuacct.stat counts in ticks of USER_HZ, which is 100 wherever Linux runs. */
const NANOSECONDS_PER_TICK = 10_000_000n;

/** @param cpuacct files of the hierarchy of cpuacct, which may be another than that of cpu */
export function cpuV1(cpuacct: Files, cpu: Files): CpuStats {
  const ticks = parseFlat(cpuacct("cpuacct.stat"));
  const throttling = parseFlat(cpu("cpu.stat"));
  // A head line, then `cpu user system`.
  const modes = cpuacct("cpuacct.usage_all").split("\n").slice(1).filter(Boolean).map(parseNumbers);
  return {
    usage: {
      total: parseValue(cpuacct("cpuacct.usage")),
      kernel: (ticks.get("system") ?? 0n) * NANOSECONDS_PER_TICK,
      user: (ticks.get("user") ?? 0n) * NANOSECONDS_PER_TICK,
      perCpu: parseNumbers(cpuacct("cpuacct.usage_percpu")),
      perCpuKernel: modes.map((m) => m[2] ?? 0n),
      perCpuUser: modes.map((m) => m[1] ?? 0n),
    },
    throttling: {
      periods: throttling.get("nr_periods") ?? 0n,
      throttledPeriods: throttling.get("nr_throttled") ?? 0n,
      throttledTime: throttling.get("throttled_time") ?? 0n,
    },
  };
}

const CPUSET_FLAGS = [
  "cpu_exclusive",
  "mem_hardwall",
  "mem_exclusive",
  "memory_migrate",
  "memory_spread_page",
  "memory_spread_slab",
  "memory_pressure",
  "sched_load_balance",
] as const;

export function cpusetV1(files: Files): CpusetStats {
  return {
    cpus: parseRanges(files("cpuset.cpus")),
    mems: parseRanges(files("cpuset.mems")),
    flags: new Map(CPUSET_FLAGS.map((name) => [name, parseValue(files(`cpuset.${name}`))])),
    schedRelaxDomainLevel: BigInt(files("cpuset.sched_relax_domain_level").trim() || 0),
  };
}

function counter(files: Files, name: string): MemoryCounter {
  return {
    usage: parseValue(files(`${name}.usage_in_bytes`)),
    limit: parseValue(files(`${name}.limit_in_bytes`)),
    max: parseValue(files(`${name}.max_usage_in_bytes`)),
    failures: parseValue(files(`${name}.failcnt`)),
  };
}

export function memoryV1(files: Files): MemoryStats {
  const raw = parseFlat(files("memory.stat"));
  return {
    cache: raw.get("cache") ?? 0n,
    usage: counter(files, "memory"),
    swap: counter(files, "memory.memsw"),
    kernel: counter(files, "memory.kmem"),
    kernelTcp: counter(files, "memory.kmem.tcp"),
    raw,
  };
}

export function pidsV1(files: Files): PidsStats {
  return { current: parseValue(files("pids.current")), limit: parseValue(files("pids.max")) };
}

/**
 * Which files count depends on the scheduler of the disks: bfq's own, those of the CFQ of old kernels, or, for any other, those
 * of throttling.
 */
export function ioV1(files: Files): IoStats {
  const list = (file: string) => parseBlkio(files(file));
  for (const prefix of ["blkio.bfq", "blkio"]) {
    const operations = list(`${prefix}.io_serviced_recursive`);
    if (operations.length === 0) continue;
    return {
      bytes: list(`${prefix}.io_service_bytes_recursive`),
      operations,
      queued: list(`${prefix}.io_queued_recursive`),
      serviceTime: list(`${prefix}.io_service_time_recursive`),
      waitTime: list(`${prefix}.io_wait_time_recursive`),
      merged: list(`${prefix}.io_merged_recursive`),
      time: list(`${prefix}.time_recursive`),
      sectors: list(`${prefix}.sectors_recursive`),
    };
  }
  return {
    bytes: list("blkio.throttle.io_service_bytes_recursive"),
    operations: list("blkio.throttle.io_serviced_recursive"),
    queued: [],
    serviceTime: [],
    waitTime: [],
    merged: [],
    time: [],
    sectors: [],
  };
}

export function hugetlbV1(files: Files, size: string): HugetlbStats {
  return {
    usage: parseValue(files(`hugetlb.${size}.usage_in_bytes`)),
    max: parseValue(files(`hugetlb.${size}.max_usage_in_bytes`)),
    failures: parseValue(files(`hugetlb.${size}.failcnt`)),
  };
}
