/**
 * features (features.md, features-linux.md): what kontena knows, from the tables that the planner itself uses. Whether this
 * host has it as well is another question; only `seccomp.supportedFlags` answers that, as the spec says.
 */
import type { Features } from "../../spec/features.ts";
import { HOOK_NAMES } from "../../spec/hooks.ts";
import { MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES } from "../../spec/linux.ts";
import {
  SECCOMP_ACTIONS,
  SECCOMP_ARCHITECTURES,
  SECCOMP_FLAGS,
  SECCOMP_OPERATORS,
} from "../../spec/seccomp.ts";
import { CAPABILITIES } from "../kernel/consts/capability.ts";
import { SECCOMP_FILTER_FLAG, SECCOMP_SET_MODE_FILTER } from "../kernel/consts/seccomp.ts";
import { ERRNO } from "../kernel/errno.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { NAMESPACES, type NamespaceType } from "../plan/namespaces.ts";
import { MOUNT_OPTIONS } from "../plan/options.ts";
import { OCI_VERSION } from "./create.ts";

/** The oldest version that the spec's JSON forms are compatible with. */
const OCI_VERSION_MIN = "1.0.0";

const F = SECCOMP_FILTER_FLAG;

/** The kernel looks at the flags first: one that it knows gets as far as the missing filter (seccomp(2)). */
function kernelHas(name: (typeof SECCOMP_FLAGS)[number]): boolean {
  const flag = F[name];
  // It is about a listener, and refused without one.
  const isListeners = flag === F.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const flags = isListeners ? flag | F.SECCOMP_FILTER_FLAG_NEW_LISTENER : flag;
  return rawSyscall("seccomp", SECCOMP_SET_MODE_FILTER, flags, 0) === -ERRNO.EFAULT;
}

/** `versions` are told as annotations, by their names. */
export function features(versions: Readonly<Record<string, string>>): Features {
  const enabled = { enabled: true };
  return {
    ociVersionMin: OCI_VERSION_MIN,
    ociVersionMax: OCI_VERSION,
    hooks: [...HOOK_NAMES],
    mountOptions: MOUNT_OPTIONS.toSorted(),
    linux: {
      namespaces: (Object.keys(NAMESPACES) as NamespaceType[]).sort(),
      capabilities: [...CAPABILITIES],
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: {
        ...enabled,
        actions: [...SECCOMP_ACTIONS],
        operators: [...SECCOMP_OPERATORS],
        archs: [...SECCOMP_ARCHITECTURES],
        knownFlags: [...SECCOMP_FLAGS],
        supportedFlags: SECCOMP_FLAGS.filter(kernelHas),
      },
      apparmor: enabled,
      selinux: enabled,
      intelRdt: { ...enabled, schemata: true, monitoring: true },
      memoryPolicy: { modes: [...MEMORY_POLICY_MODES], flags: [...MEMORY_POLICY_FLAGS] },
      mountExtensions: { idmap: enabled },
      netDevices: enabled,
    },
    annotations: versions,
    potentiallyUnsafeConfigAnnotations: ["org.systemd.property."],
  };
}
