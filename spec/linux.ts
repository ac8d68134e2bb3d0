/** config-linux.md: what only Linux has. Longer sections have files of their own. */
import * as v from "valibot";
import { optional, optionalIdMappings, text, textLike } from "./common.ts";
import { DeviceSchema } from "./devices.ts";
import { NamespaceSchema, NetDeviceSchema, TimeOffsetsSchema } from "./namespaces.ts";
import { ResourcesSchema } from "./resources.ts";
import { SeccompSchema } from "./seccomp.ts";

/** The spec has those without r; Podman writes `rslave`, and runc and crun take all as mount(8) does. */
export const ROOTFS_PROPAGATIONS = [
  "private",
  "shared",
  "slave",
  "unbindable",
  "rprivate",
  "rshared",
  "rslave",
  "runbindable",
] as const;
export type RootfsPropagation = (typeof ROOTFS_PROPAGATIONS)[number];

export const MEMORY_POLICY_MODES = [
  "MPOL_DEFAULT",
  "MPOL_BIND",
  "MPOL_INTERLEAVE",
  "MPOL_WEIGHTED_INTERLEAVE",
  "MPOL_PREFERRED",
  "MPOL_PREFERRED_MANY",
  "MPOL_LOCAL",
] as const;

export const MEMORY_POLICY_FLAGS = [
  "MPOL_F_NUMA_BALANCING",
  "MPOL_F_RELATIVE_NODES",
  "MPOL_F_STATIC_NODES",
] as const;

/** "Memory policy": set_mempolicy(2). */
export const MemoryPolicySchema = v.object({
  mode: v.picklist(MEMORY_POLICY_MODES),
  /** Memory nodes, a list as in cpuset(7). */
  nodes: optional.text,
  flags: v.exactOptional(v.array(v.picklist(MEMORY_POLICY_FLAGS))),
});
export type MemoryPolicy = v.InferOutput<typeof MemoryPolicySchema>;

/** "IntelRdt": the container's group in the resctrl file system. */
export const IntelRdtSchema = v.object({
  /** Directory of the class of service; the container's id when absent. */
  closID: optional.text,
  /** Lines for the schemata file, written last. */
  schemata: optional.texts,
  /** Lines on the L3 cache. */
  l3CacheSchema: optional.text,
  /** One line on memory bandwidth. */
  memBwSchema: v.exactOptional(textLike(/^MB:[^\n]*$/, "one line that begins with MB:")),
  /** Give the container a monitoring group. */
  enableMonitoring: optional.boolean,
});
export type IntelRdt = v.InferOutput<typeof IntelRdtSchema>;

export const PERSONALITY_DOMAINS = ["LINUX", "LINUX32"] as const;

/** "Personality": personality(2). */
export const PersonalitySchema = v.object({
  domain: v.picklist(PERSONALITY_DOMAINS),
  /** The spec defines none so far. */
  flags: optional.texts,
});
export type Personality = v.InferOutput<typeof PersonalitySchema>;

export const LinuxSchema = v.object({
  /** What the container doesn't share with the host; types not listed are the runtime's. */
  namespaces: v.exactOptional(v.array(NamespaceSchema)),
  /** "User namespace mappings". */
  uidMappings: optionalIdMappings,
  /** "User namespace mappings". */
  gidMappings: optionalIdMappings,
  timeOffsets: v.exactOptional(TimeOffsetsSchema),
  /** By name in the runtime's network namespace. */
  netDevices: v.exactOptional(v.record(text, NetDeviceSchema)),
  /** Beside the ones that every container has. */
  devices: v.exactOptional(v.array(DeviceSchema)),
  /** Where in the cgroup tree; absolute is from its mount point, relative from a place that the runtime chooses. */
  cgroupsPath: optional.text,
  resources: v.exactOptional(ResourcesSchema),
  /** "Rootfs Mount Propagation": mount_namespaces(7). */
  rootfsPropagation: v.exactOptional(v.picklist(ROOTFS_PROPAGATIONS)),
  seccomp: v.exactOptional(SeccompSchema),
  /** Kernel parameters by name, as in sysctl(8). */
  sysctl: optional.textMap,
  /** Paths of the container that can't be read, absolute. */
  maskedPaths: optional.texts,
  /** Paths of the container that can't be written, absolute. */
  readonlyPaths: optional.texts,
  /** SELinux label of the mounts. */
  mountLabel: optional.text,
  intelRdt: v.exactOptional(IntelRdtSchema),
  memoryPolicy: v.exactOptional(MemoryPolicySchema),
  personality: v.exactOptional(PersonalitySchema),
});
export type Linux = v.InferOutput<typeof LinuxSchema>;
