/**
 * init enters the container's cgroups of v1: it writes "0", itself, to `tasks`. A single thread that moves itself takes no
 * lock, where a move from outside (`cgroup.procs`) waits until every CPU has passed a quiet state: milliseconds for each
 * hierarchy (kernel/cgroup/cgroup.c, cgroup_procs_write_start, Linux 5.15). In v2 it is born there.
 */
import { type Buffer, buffer, cell, type Failure, type Step } from "../init/step.ts";
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { sweep } from "./destination.ts";
import { type Hierarchy, hasNamespace, type PlanInput } from "./input.ts";

/** Whether init has the rights to do it: as root of the first user namespace. Otherwise the runtime does. */
export function joinsByItself({ config }: PlanInput): boolean {
  return !hasNamespace(config, "user");
}

/** Bytes for a path of a cgroup, in steps, so that the plans of containers with different ids are equal to the byte. */
export function cgroupRoom(path: string): number {
  const STEP = 512;
  return Math.ceil((path.length * 3 + 1) / STEP) * STEP;
}

/** The path below a hierarchy's mount point as an argument that is filled in for each container. */
export function cgroupFile(input: PlanInput, h: Hierarchy, file: string): Buffer {
  const text = `${h.mountpoint}${input.cgroupPath ?? ""}${file}`;
  return buffer(`${h.mountpoint} … ${file || "directory"}`, cgroupRoom(text), text);
}

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

/** The texts of all such arguments, for a plan that was made for another container. */
export function cgroupTexts(input: PlanInput): Buffer[] {
  return input.host.hierarchies.flatMap((h) => [cgroupFile(input, h, "/tasks"), cgroupFile(input, h, "")]);
}
