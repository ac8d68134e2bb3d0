/** state (runtime.md, "Query State"): what a container is and what it does now. */

import type { State } from "../../spec/state.ts";
import { ownState } from "../cgroup/freezer.ts";
import { existsSync } from "../kernel/fs.ts";
import { join } from "../path.ts";
import { INIT_NAME } from "../plan/names.ts";

import { FIFO, loadState, type StoredState } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { liveStat } from "./task.ts";

/** The spec's, and what all runtimes call a frozen container. */
export type Status = "creating" | "created" | "running" | "paused" | "stopped";

/** The spec's state, and the four properties that runc's callers know besides. */
export interface ContainerState extends Omit<State, "status"> {
  status: Status;
  rootfs: string;
  /** RFC 3339. */
  created: string;
  /** uid of the caller of create, in decimal. */
  owner: string;
}

/** The process and the FIFO tell; the file only knows how far create got. */
export function statusOf(directory: string, state: StoredState | undefined): Status {
  if (state === undefined || state.pid === 0) return "creating";
  const stat = liveStat(state.pid, state.startTime);
  if (stat === undefined) return "stopped";
  if (state.status === "creating") return "creating";
  if (isPaused(state)) return "paused";
  // The name as well as the FIFO: a `start` that was killed late has left the FIFO of a program that runs.
  return stat.name === INIT_NAME && existsSync(join(directory, FIFO)) ? "created" : "running";
}

/**
 * Whether the container's own cgroup is frozen, by `pause` or by whoever else wrote its freezer; one file is read. On its way
 * there counts too: nothing may be asked of such a container. A freeze from above doesn't: `resume` couldn't end it.
 */
export function isPaused(state: StoredState): boolean {
  return state.cgroup !== undefined && ownState(state.cgroup) !== "thawed";
}

/** Whether a container of this status has a process: created, running or paused. */
export function hasProcess(status: Status): boolean {
  return status === "created" || status === "running" || status === "paused";
}

export function toState(directory: string, id: string, stored: StoredState | undefined): ContainerState {
  const status = statusOf(directory, stored);
  const pid = hasProcess(status) ? (stored?.pid ?? 0) : 0;
  return {
    ociVersion: stored?.ociVersion ?? "1.3.0",
    id,
    pid,
    status,
    bundle: stored?.bundle ?? "",
    rootfs: stored?.rootfs ?? "",
    created: stored?.created ?? "",
    annotations: stored?.annotations ?? {},
    owner: String(stored?.owner ?? 0),
  };
}

/** @throws KontenaError NOT_FOUND, STATE_INVALID */
export function state(runtime: Runtime, id: string): ContainerState {
  const { directory, state: stored } = loadState(runtime, id);
  return toState(directory, id, stored);
}
