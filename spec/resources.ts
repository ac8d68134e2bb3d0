/** config-linux.md, "Control groups": the limits under `linux.resources`. */
import * as v from "valibot";
import { int64, optional, text, textLike, uint32, uint64 } from "./common.ts";

/** One rule of the device access list, applied in order; "Allowed Device list". */
export const DeviceRuleSchema = v.object({
  allow: v.boolean(),
  /** `a` all, `c` character, `b` block; all when absent. */
  type: optional.text,
  /** All when absent. */
  major: optional.int64,
  /** All when absent. */
  minor: optional.int64,
  /** Letters out of `r` read, `w` write, `m` mknod. */
  access: optional.text,
});
export type DeviceRule = v.InferOutput<typeof DeviceRuleSchema>;

/** "Memory": bytes, -1 for no limit. */
export const MemorySchema = v.object({
  /** Memory, bytes. */
  limit: optional.int64,
  /** Memory that is kept under pressure, bytes. */
  reservation: optional.int64,
  /** Memory and swap together, bytes. */
  swap: optional.int64,
  /** Kernel memory, bytes; not recommended. */
  kernel: optional.int64,
  /** Kernel memory for TCP buffers, bytes; not recommended. */
  kernelTCP: optional.int64,
  /** Inclination to swap, 0 to 100. */
  swappiness: optional.uint64,
  /** Let tasks wait instead of killing one when memory is out. */
  disableOOMKiller: optional.boolean,
  /** Child cgroups share the limit. */
  useHierarchy: optional.boolean,
  /** Refuse a new limit below the present use. */
  checkBeforeUpdate: optional.boolean,
});
export type MemoryResources = v.InferOutput<typeof MemorySchema>;

/** "CPU". */
export const CpuSchema = v.object({
  /** Relative share of CPU time, 1024 being usual. */
  shares: optional.uint64,
  /** Microseconds of CPU time per period; negative for no limit. */
  quota: optional.int64,
  /** Microseconds of unused quota that may be used up later in one period. */
  burst: optional.uint64,
  /** Microseconds of a period. */
  period: optional.uint64,
  /** Microseconds of CPU time per real-time period. */
  realtimeRuntime: optional.int64,
  /** Microseconds of a real-time period. */
  realtimePeriod: optional.uint64,
  /** CPUs to run on, a list as in cpuset(7). */
  cpus: optional.text,
  /** Memory nodes to use, a list as in cpuset(7). */
  mems: optional.text,
  /** 1 gives the cgroup SCHED_IDLE, 0 the usual behaviour. */
  idle: optional.int64,
});
export type CpuResources = v.InferOutput<typeof CpuSchema>;

export const BlockIoWeightDeviceSchema = v.object({
  major: int64,
  minor: int64,
  /** Bandwidth weight on this device. */
  weight: optional.uint16,
  /** The same against child cgroups. */
  leafWeight: optional.uint16,
});
export type BlockIoWeightDevice = v.InferOutput<typeof BlockIoWeightDeviceSchema>;

export const BlockIoThrottleDeviceSchema = v.object({
  major: int64,
  minor: int64,
  /** Bytes or operations per second. */
  rate: uint64,
});
export type BlockIoThrottleDevice = v.InferOutput<typeof BlockIoThrottleDeviceSchema>;

const throttles = v.exactOptional(v.array(BlockIoThrottleDeviceSchema));

/** "Block IO". */
export const BlockIoSchema = v.object({
  /** Bandwidth weight on all devices without one of their own. */
  weight: optional.uint16,
  /** The same against child cgroups. */
  leafWeight: optional.uint16,
  weightDevice: v.exactOptional(v.array(BlockIoWeightDeviceSchema)),
  /** Bytes per second. */
  throttleReadBpsDevice: throttles,
  /** Bytes per second. */
  throttleWriteBpsDevice: throttles,
  /** Operations per second. */
  throttleReadIOPSDevice: throttles,
  /** Operations per second. */
  throttleWriteIOPSDevice: throttles,
});
export type BlockIoResources = v.InferOutput<typeof BlockIoSchema>;

/** "Huge page limits". */
export const HugepageLimitSchema = v.object({
  /** As in the name of hugetlb's control file; units are powers of 1024. */
  pageSize: textLike(/^[1-9][0-9]*[KMG]B$/, "a page size such as 64KB, 2MB or 1GB"),
  /** Bytes. */
  limit: uint64,
});
export type HugepageLimit = v.InferOutput<typeof HugepageLimitSchema>;

/** "Network": cgroup v1 only. */
export const NetworkSchema = v.object({
  /** net_cls tag of packets. */
  classID: optional.uint32,
  /** net_prio priorities by interface of the runtime's network namespace. */
  priorities: v.exactOptional(v.array(v.object({ name: text, priority: uint32 }))),
});
export type NetworkResources = v.InferOutput<typeof NetworkSchema>;

/** "RDMA": limits of one device; at least one of the two. */
export const RdmaSchema = v.object({
  hcaHandles: optional.uint32,
  hcaObjects: optional.uint32,
});
export type Rdma = v.InferOutput<typeof RdmaSchema>;

export const ResourcesSchema = v.object({
  devices: v.exactOptional(v.array(DeviceRuleSchema)),
  memory: v.exactOptional(MemorySchema),
  cpu: v.exactOptional(CpuSchema),
  /** "PIDs": how many tasks; not positive for no limit. */
  pids: v.exactOptional(v.object({ limit: int64 })),
  blockIO: v.exactOptional(BlockIoSchema),
  hugepageLimits: v.exactOptional(v.array(HugepageLimitSchema)),
  network: v.exactOptional(NetworkSchema),
  /** By RDMA device. */
  rdma: v.exactOptional(v.record(text, RdmaSchema)),
  /** "Unified": contents by cgroup v2 file name, written as they are. */
  unified: optional.textMap,
});
export type Resources = v.InferOutput<typeof ResourcesSchema>;
