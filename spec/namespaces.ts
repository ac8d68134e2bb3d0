/** config-linux.md, "Namespaces", "Offset for Time Namespace" and "Network Devices". */
import * as v from "valibot";
import { optional } from "./common.ts";

export const NAMESPACE_TYPES = ["mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"] as const;
export type NamespaceType = (typeof NAMESPACE_TYPES)[number];

export const NamespaceSchema = v.object({
  type: v.picklist(NAMESPACE_TYPES),
  /** A namespace file of the host to join, absolute; a new namespace is made when absent. */
  path: optional.text,
});
export type Namespace = v.InferOutput<typeof NamespaceSchema>;

export const TimeOffsetSchema = v.object({
  /** Seconds that the clock is ahead of the host's. */
  secs: optional.int64,
  /** Nanoseconds on top of `secs`. */
  nanosecs: optional.uint32,
});
export type TimeOffset = v.InferOutput<typeof TimeOffsetSchema>;

/** By clock, as in time_namespaces(7). The names are values, and those of other clocks wrong ones. */
export const TimeOffsetsSchema = v.strictObject({
  boottime: v.exactOptional(TimeOffsetSchema),
  monotonic: v.exactOptional(TimeOffsetSchema),
});
export type TimeOffsets = v.InferOutput<typeof TimeOffsetsSchema>;

/** A network device that moves from the runtime's network namespace to the container's. */
export const NetDeviceSchema = v.object({
  /** Its name in the container; the same as on the host when absent. */
  name: optional.text,
});
export type NetDevice = v.InferOutput<typeof NetDeviceSchema>;
