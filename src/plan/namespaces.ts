/** Namespaces (config-linux.md, "Namespaces"; namespaces(7)): which ones clone3 creates, and which init makes itself. */
import type { Config } from "../../spec/config.ts";
import type { Step } from "../init/step.ts";
import { CLONE } from "../kernel/consts/sched.ts";
import { isNew, namespaceAt, type PlanInput } from "./input.ts";

/** Flag of clone(2) and name under /proc/PID/ns of each type of the spec. */
export const NAMESPACES = {
  uts: { flag: CLONE.CLONE_NEWUTS, file: "uts" },
  mount: { flag: CLONE.CLONE_NEWNS, file: "mnt" },
  pid: { flag: CLONE.CLONE_NEWPID, file: "pid" },
  ipc: { flag: CLONE.CLONE_NEWIPC, file: "ipc" },
  network: { flag: CLONE.CLONE_NEWNET, file: "net" },
  user: { flag: CLONE.CLONE_NEWUSER, file: "user" },
  cgroup: { flag: CLONE.CLONE_NEWCGROUP, file: "cgroup" },
  time: { flag: CLONE.CLONE_NEWTIME, file: "time" },
} as const;

export type NamespaceType = keyof typeof NAMESPACES;

/**
 * What clone3 creates. Not the network namespace: see network.ts. Not the cgroup namespace: its root is the cgroup that its creator is in, and on v1 the child is
 * moved into the container's only after its birth. Not the time namespace: execve would freeze its offsets.
 */
export function cloneFlags(config: Config): number {
  let flags = 0;
  for (const type of ["uts", "mount", "pid", "ipc", "user"] as const)
    if (isNew(config, type)) flags |= NAMESPACES[type].flag;
  return flags;
}

/** The cgroup namespace, once init is in the container's cgroup: cgroup_namespaces(7). */
export function cgroupNamespace({ config }: PlanInput): Step[] {
  if (!isNew(config, "cgroup")) return [];
  return [
    {
      call: "unshare",
      args: [CLONE.CLONE_NEWCGROUP],
      why: "a cgroup namespace whose root is the container's cgroup",
      at: namespaceAt(config, "cgroup"),
      fail: { code: "NAMESPACE_FAILED", message: "cannot create the cgroup namespace" },
    },
  ];
}
