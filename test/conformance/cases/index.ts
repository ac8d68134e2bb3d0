/** All cases, in the spec's order. */
import type { Case } from "../case.ts";
import { BUNDLE_CASES } from "./bundle.ts";
import { BASIC_CASES } from "./config-basics.ts";
import { HOOK_CASES } from "./config-hooks.ts";
import { HOOK_TIME_CASES } from "./config-hooks-when.ts";
import { LIMIT_CASES } from "./config-limits.ts";
import { OPTION_CASES } from "./config-mount-options.ts";
import { TREE_CASES } from "./config-mount-trees.ts";
import { MOUNT_CASES } from "./config-mounts.ts";
import { PROCESS_CASES } from "./config-process.ts";
import { SCHEDULING_CASES } from "./config-scheduling.ts";
import { USER_CASES } from "./config-user.ts";
import { FEATURE_CASES } from "./features.ts";
import { CGROUP_CASES } from "./linux-cgroups.ts";
import { DEVICE_CASES } from "./linux-devices.ts";
import { MAPPING_CASES } from "./linux-mappings.ts";
import { NAMESPACE_CASES } from "./linux-namespaces.ts";
import { NETWORK_CASES } from "./linux-network.ts";
import { OTHER_CASES } from "./linux-others.ts";
import { PATH_CASES } from "./linux-paths.ts";
import { RESOURCE_CASES } from "./linux-resources.ts";
import { SECCOMP_CASES } from "./linux-seccomp.ts";
import { SECCOMP_WORD_CASES } from "./linux-seccomp-words.ts";
import { WHOLE_CASES } from "./linux-whole.ts";
import { RUNTIME_CASES } from "./runtime.ts";
import { END_CASES } from "./runtime-end.ts";
import { RUNTIME_LINUX_CASES } from "./runtime-linux.ts";

export const CASES: readonly Case[] = [
  ...BUNDLE_CASES,
  ...BASIC_CASES,
  ...MOUNT_CASES,
  ...OPTION_CASES,
  ...TREE_CASES,
  ...PROCESS_CASES,
  ...USER_CASES,
  ...LIMIT_CASES,
  ...SCHEDULING_CASES,
  ...HOOK_CASES,
  ...HOOK_TIME_CASES,
  ...NAMESPACE_CASES,
  ...MAPPING_CASES,
  ...NETWORK_CASES,
  ...DEVICE_CASES,
  ...CGROUP_CASES,
  ...RESOURCE_CASES,
  ...OTHER_CASES,
  ...SECCOMP_CASES,
  ...SECCOMP_WORD_CASES,
  ...PATH_CASES,
  ...WHOLE_CASES,
  ...RUNTIME_CASES,
  ...END_CASES,
  ...RUNTIME_LINUX_CASES,
  ...FEATURE_CASES,
];
