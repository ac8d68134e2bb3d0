/**
 * The counters in the JSON form of `runc events`, which programs parse: its names, its order, and Go's habit of leaving out a
 * number that is 0 and a list that is empty, though not where a field is always there.
 */
import type { BlockEntry, Pressure } from "./text.ts";
import { UNLIMITED } from "./text.ts";
import type { CgroupStats, CpusetStats, HugetlbStats, MemoryCounter, MemoryStats } from "./types.ts";

/** Counters of one interface, as /proc/PID/net/dev has them. */
export interface NetworkInterface {
  Name: string;
  RxBytes: bigint;
  RxPackets: bigint;
  RxErrors: bigint;
  RxDropped: bigint;
  TxBytes: bigint;
  TxPackets: bigint;
  TxErrors: bigint;
  TxDropped: bigint;
}

type Json = Record<string, unknown>;

/** Without zeros, empty texts, empty lists and what is undefined. */
function omitEmpty(fields: Json): Json {
  const isEmpty = (value: unknown) =>
    value === undefined ||
    value === 0n ||
    value === 0 ||
    value === "" ||
    (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

const memoryEntry = ({ limit, usage, max, failures }: MemoryCounter): Json => ({
  limit,
  ...omitEmpty({ usage, max }),
  failcnt: failures,
});

const NOTHING: MemoryCounter = { usage: 0n, limit: 0n, max: 0n, failures: 0n };

const pressureOf = (pressure: Pressure | undefined): Json =>
  pressure === undefined ? {} : { psi: pressure };

/** Go sorts the keys of a map. */
const sorted = (map: ReadonlyMap<string, bigint>): Json => Object.fromEntries([...map].sort());

function memoryJson(memory: MemoryStats | undefined): Json {
  return {
    ...omitEmpty({ cache: memory?.cache }),
    usage: memoryEntry(memory?.usage ?? NOTHING),
    swap: memoryEntry(memory?.swap ?? NOTHING),
    kernel: memoryEntry(memory?.kernel ?? NOTHING),
    kernelTCP: memoryEntry(memory?.kernelTcp ?? NOTHING),
    ...(memory !== undefined && memory.raw.size > 0 && { raw: sorted(memory.raw) }),
    ...pressureOf(memory?.pressure),
  };
}

function cpusetJson(cpuset: CpusetStats | undefined): Json {
  const flag = (name: string) => cpuset?.flags.get(name) ?? 0n;
  return {
    ...omitEmpty({ cpus: cpuset?.cpus }),
    cpu_exclusive: flag("cpu_exclusive"),
    ...omitEmpty({ mems: cpuset?.mems }),
    mem_hardwall: flag("mem_hardwall"),
    mem_exclusive: flag("mem_exclusive"),
    memory_migrate: flag("memory_migrate"),
    memory_spread_page: flag("memory_spread_page"),
    memory_spread_slab: flag("memory_spread_slab"),
    memory_pressure: flag("memory_pressure"),
    sched_load_balance: flag("sched_load_balance"),
    sched_relax_domain_level: cpuset?.schedRelaxDomainLevel ?? 0n,
  };
}

function cpuJson(cpu: CgroupStats["cpu"]): Json {
  const usage = cpu?.usage;
  return {
    usage: {
      ...omitEmpty({
        total: usage?.total,
        percpu: usage?.perCpu,
        percpu_kernel: usage?.perCpuKernel,
        percpu_user: usage?.perCpuUser,
      }),
      kernel: usage?.kernel ?? 0n,
      user: usage?.user ?? 0n,
    },
    throttling: omitEmpty({ ...cpu?.throttling }),
    ...pressureOf(cpu?.pressure),
  };
}

function blkioJson(io: CgroupStats["io"]): Json {
  if (io === undefined) return {};
  const entries = (list: BlockEntry[]) => list.map((entry) => omitEmpty({ ...entry }));
  return {
    ...omitEmpty({
      ioServiceBytesRecursive: entries(io.bytes),
      ioServicedRecursive: entries(io.operations),
      ioQueueRecursive: entries(io.queued),
      ioServiceTimeRecursive: entries(io.serviceTime),
      ioWaitTimeRecursive: entries(io.waitTime),
      ioMergedRecursive: entries(io.merged),
      ioTimeRecursive: entries(io.time),
      sectorsRecursive: entries(io.sectors),
    }),
    ...pressureOf(io.pressure),
  };
}

function hugetlbJson({ usage, max, failures }: HugetlbStats): Json {
  return { ...omitEmpty({ usage, max }), failcnt: failures };
}

/** What isn't counted by cgroups. */
export interface OtherStats {
  /** Null for none. */
  interfaces: NetworkInterface[] | null;
  rdt: Record<string, unknown>;
}

/** The `data` of an event of the type `stats`. */
export function toRuncStats(
  stats: CgroupStats,
  { interfaces, rdt }: OtherStats = { interfaces: null, rdt: {} },
): Json {
  const limit = stats.pids?.limit;
  return {
    cpu: cpuJson(stats.cpu),
    cpuset: cpusetJson(stats.cpuset),
    memory: memoryJson(stats.memory),
    pids: omitEmpty({ current: stats.pids?.current, limit: limit === UNLIMITED ? 0n : limit }),
    blkio: blkioJson(stats.io),
    hugetlb: Object.fromEntries(Object.entries(stats.hugetlb).map(([size, h]) => [size, hugetlbJson(h)])),
    intel_rdt: rdt,
    network_interfaces: interfaces,
  };
}
