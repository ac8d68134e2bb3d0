/** All cases, in the spec's order. */
import type { Case } from "../case.ts";
import { BUNDLE_CASES } from "./bundle.ts";
import { BASIC_CASES } from "./config-basics.ts";
import { HOOK_CASES } from "./config-hooks.ts";
import { LIMIT_CASES } from "./config-limits.ts";
import { OPTION_CASES } from "./config-mount-options.ts";
import { MOUNT_CASES } from "./config-mounts.ts";
import { PROCESS_CASES } from "./config-process.ts";
import { FEATURE_CASES } from "./features.ts";
import { CGROUP_CASES } from "./linux-cgroups.ts";
import { DEVICE_CASES, PATH_CASES } from "./linux-devices.ts";
import { NAMESPACE_CASES } from "./linux-namespaces.ts";
import { SECCOMP_CASES } from "./linux-seccomp.ts";
import { RUNTIME_CASES } from "./runtime.ts";
import { RUNTIME_LINUX_CASES } from "./runtime-linux.ts";

export const CASES: readonly Case[] = [
  ...BUNDLE_CASES,
  ...BASIC_CASES,
  ...MOUNT_CASES,
  ...OPTION_CASES,
  ...PROCESS_CASES,
  ...LIMIT_CASES,
  ...HOOK_CASES,
  ...NAMESPACE_CASES,
  ...DEVICE_CASES,
  ...CGROUP_CASES,
  ...SECCOMP_CASES,
  ...PATH_CASES,
  ...RUNTIME_CASES,
  ...RUNTIME_LINUX_CASES,
  ...FEATURE_CASES,
];
