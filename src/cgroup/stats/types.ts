/** What the kernel counts for a cgroup, v1 and v2 alike. A part is undefined where the host doesn't count it. */
import type { BlockEntry, Pressure } from "./text.ts";

export interface CpuStats {
  /** All in nanoseconds since the cgroup was made. */
  usage: {
    total: bigint;
    kernel: bigint;
    user: bigint;
    /** v1 only: one for each CPU. */
    perCpu: bigint[];
    perCpuKernel: bigint[];
    perCpuUser: bigint[];
  };
  throttling: {
    /** Periods of the quota, and those in which it was used up. */
    periods: bigint;
    throttledPeriods: bigint;
    /** Nanoseconds. */
    throttledTime: bigint;
  };
  pressure?: Pressure | undefined;
}

export interface CpusetStats {
  cpus: number[];
  mems: number[];
  /** v1: the other files of the controller, by name without `cpuset.`. */
  flags: ReadonlyMap<string, bigint>;
  /** v1: −1 … 5. */
  schedRelaxDomainLevel: bigint;
}

/** Bytes, and how often the limit was met. */
export interface MemoryCounter {
  usage: bigint;
  /** UNLIMITED on v2 for none, 2^63 − 4096 on v1. */
  limit: bigint;
  max: bigint;
  failures: bigint;
}

export interface MemoryStats {
  cache: bigint;
  usage: MemoryCounter;
  /** Memory and swap together. */
  swap: MemoryCounter;
  kernel: MemoryCounter;
  kernelTcp: MemoryCounter;
  /** memory.stat as it is. */
  raw: ReadonlyMap<string, bigint>;
  pressure?: Pressure | undefined;
}

export interface PidsStats {
  current: bigint;
  /** UNLIMITED for none. */
  limit: bigint;
}

export interface IoStats {
  bytes: BlockEntry[];
  operations: BlockEntry[];
  queued: BlockEntry[];
  serviceTime: BlockEntry[];
  waitTime: BlockEntry[];
  merged: BlockEntry[];
  time: BlockEntry[];
  sectors: BlockEntry[];
  pressure?: Pressure | undefined;
}

export interface HugetlbStats {
  usage: bigint;
  max: bigint;
  failures: bigint;
}

export interface CgroupStats {
  cpu?: CpuStats;
  cpuset?: CpusetStats;
  memory?: MemoryStats;
  pids?: PidsStats;
  io?: IoStats;
  /** By size of a page, `2MB`. */
  hugetlb: Record<string, HugetlbStats>;
}
