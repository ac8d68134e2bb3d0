/**
 * init enters the container's cgroups of v1: it writes "0", itself, to `tasks`. A single thread that moves itself takes no
 * lock, where a move from outside (`cgroup.procs`) waits until every CPU has passed a quiet state: milliseconds for each
 * hierarchy (kernel/cgroup/cgroup.c, cgroup_procs_write_start, Linux 5.15). In v2 it is born there.
 */

import { type Buffer, cell, type Failure, type Step } from "../init/step.ts";
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { sweep } from "./destination.ts";
import type { Hierarchy, PlanInput } from "./input.ts";
import { cgroupFile, joinsByItself } from "./texts.ts";

/** init, which is born in v2's already, enters the container's cgroups of v1. */
export function joinCgroups(input: PlanInput): Step[] {
  const { host, cgroupPath } = input;
  if (cgroupPath === undefined || !joinsByItself(input)) return [];
  const v1 = host.hierarchies.filter((h) => h.version === 1);
  return enterCgroups(v1.map((h) => ({ ...h, tasks: cgroupFile(input, h, "/tasks") })));
}

/** The process enters cgroups of v1 by their files `tasks`. */
export function enterCgroups(cgroups: readonly (Hierarchy & { tasks: string | Buffer })[]): Step[] {
  const at = "linux.cgroupsPath";
  const steps = cgroups.flatMap(({ options, mountpoint, tasks }): Step[] => {
    const name = `cgroup ${options.join()}`;
    const fail: Failure = {
      code: "CGROUP_FAILED",
      message: `cannot enter the container's ${name}`,
      path: mountpoint,
    };
    return [
      {
        call: "openat",
        args: [AT_FDCWD, tasks, O.O_WRONLY | O.O_CLOEXEC],
        why: `the container's cgroup of ${options.join()}`,
        at,
        save: name,
        fail,
      },
      {
        call: "write",
        args: [cell(name), "0", 1],
        why: "init enters it",
        at,
        fail: { ...fail, hints: { ENOSPC: "its cpuset has no CPUs or no memory nodes" } },
      },
    ];
  });
  return steps.length === 0 ? [] : [...steps, ...sweep("temporary")];
}
