/** events: what a container uses, every so often, and when the kernel has killed for want of memory. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import { type OomWatch, watchOom } from "../cgroup/oom.ts";
import { readStats } from "../cgroup/stats/read.ts";
import { toRuncStats } from "../cgroup/stats/runc.ts";
import { KontenaError } from "../error.ts";
import { POLL } from "../kernel/consts/socket.ts";
import { readText } from "../kernel/files.ts";
import { closeSync } from "../kernel/fs.ts";
import { SyscallError } from "../kernel/libc.ts";
import { loadState, type StoredState } from "./directory.ts";
import { readInterfaces } from "./interfaces.ts";
import { findResctrl, type RdtGroups } from "./rdt.ts";
import { rdtStats } from "./rdt-stats.ts";
import type { Runtime } from "./runtime.ts";
import { hasProcess, statusOf } from "./state.ts";
import { isAlive } from "./task.ts";
import { openPidfd, pollFor } from "./wait.ts";

/** As `runc events` has them, one JSON object a line. */
export type ContainerEvent =
  | { type: "stats"; id: string; data: Record<string, unknown> }
  | { type: "oom"; id: string };

/** Somebody who is told; false when there is nobody any more. */
export type Listener = (event: ContainerEvent) => boolean;

type Counted = StoredState & { cgroup: Cgroup };

/** @throws KontenaError NOT_FOUND, WRONG_STATUS, CGROUP_FAILED for a container without a cgroup */
function loadCounted(runtime: Runtime, id: string): Counted {
  const { directory, state } = loadState(runtime, id);
  if (state === undefined || !hasProcess(statusOf(directory, state)))
    throw new KontenaError("WRONG_STATUS", `container with id ${id} is not running`);
  if (state.cgroup === undefined)
    throw new KontenaError("CGROUP_FAILED", `container ${id} has no cgroup: nobody counts what it uses`, {
      hint: "it was made without: by --cgroup-manager disabled, or for want of rights",
    });
  return { ...state, cgroup: state.cgroup };
}

function statsEvent({ id, pid, cgroup, resctrl: rdt }: Counted): ContainerEvent {
  const other = { interfaces: readInterfaces(pid), rdt: rdt === undefined ? {} : readRdt(rdt) };
  return { type: "stats", id, data: toRuncStats(readStats(cgroup), other) };
}

function readRdt(groups: RdtGroups): Record<string, unknown> {
  const root = findResctrl(readText("/proc/self/mountinfo"));
  return root === undefined ? {} : rdtStats(groups, root);
}

/** The event that `--stats` prints. @throws KontenaError NOT_FOUND, WRONG_STATUS, CGROUP_FAILED */
export function statsOnce(runtime: Runtime, id: string): ContainerEvent {
  return statsEvent(loadCounted(runtime, id));
}

/**
 * Tells of statistics every `interval` milliseconds, and of out-of-memory kills at once, until the container's process ends or
 * nobody listens. It holds this thread.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, CGROUP_FAILED
 */
export function events(runtime: Runtime, id: string, interval: number, listener: Listener): void {
  const state = loadCounted(runtime, id);
  let pidfd: number;
  try {
    pidfd = openPidfd(state.pid);
  } catch (error) {
    if (error instanceof SyscallError) return;
    throw error;
  }
  const watch = watchOom(state.cgroup);
  if (watch === undefined)
    runtime.warn(`the host has no memory controller for ${id}: out-of-memory kills can't be told`);
  try {
    if (isAlive(state.pid, state.startTime)) follow(state, pidfd, watch, interval, listener);
  } finally {
    watch?.close();
    closeSync(pidfd);
  }
}

function follow(
  state: Counted,
  pidfd: number,
  watch: OomWatch | undefined,
  interval: number,
  listener: Listener,
): void {
  const { id } = state;
  const wanted = [{ fd: pidfd, events: POLL.POLLIN }, ...(watch === undefined ? [] : [watch])];
  let next = performance.now() + interval;
  for (;;) {
    const ready = pollFor(wanted, Math.max(0, Math.ceil(next - performance.now())));
    const hasEnded = ready.some(({ fd }) => fd === pidfd);
    // The kill may have ended the container, and v2 tells of a change up to 10 ms late when it has just told of another.
    const mayBeKill = hasEnded || ready.some(({ fd }) => fd === watch?.fd);
    if (mayBeKill && watch?.happened() && !listener({ type: "oom", id })) return;
    if (hasEnded) return;
    if (performance.now() < next) continue;
    if (!listener(statsEvent(state))) return;
    // One that was missed isn't made up for.
    next = Math.max(next + interval, performance.now());
  }
}
