/**
 * A container on its way: what there is of it already, and how that is undone when something fails. What would need cleaning is
 * in the state before it exists (`writeState`), so that `delete --force` finds it even when this process is killed.
 */
import { removeCgroup } from "../cgroup/cgroup.ts";
import { type Child, type Descriptors, end } from "./birth.ts";
import { removeDirectory, type StoredState } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { readStat } from "./task.ts";

export interface Making {
  directory: string;
  state: StoredState;
  /** Of init, from its birth on. */
  pidfd?: number;
  descriptors: Descriptors;
  /** Directories that were made for its cgroup: of those that the state names, others may have made some meanwhile. */
  cgroups: string[];
  /** What has been done outside of the container, undone in the opposite order while init is there still. */
  undoing: (() => void)[];
  /** Hooks have run; when nothing is left of the container, those that undo their work do. */
  poststop?: () => void;
  /** Puts init into its resctrl groups, where the config asks for any. */
  enterRdt?: (pid: number) => void;
}

/** Whoever cleans up finds init from here on; others do when the state is written. Until then it ends with this process. */
export function take(making: Making, { pid, pidfd }: Child): void {
  const { state } = making;
  making.pidfd = pidfd;
  state.pid = pid;
  state.startTime = readStat(pid)?.startTime ?? "";
}

/** What was moved into the container comes back first, then init ends, then what it was in is removed. */
export function undo(runtime: Runtime, making: Making): void {
  const { directory, state, pidfd, undoing, poststop } = making;
  for (const action of undoing.toReversed())
    try {
      action();
    } catch (error) {
      runtime.warn(`not all could be undone: ${(error as Error).message}`);
    }
  if (pidfd !== undefined) end({ pid: state.pid, pidfd });
  try {
    undoCgroup(making);
    if (state.resctrl !== undefined) leaveRdt(state.resctrl);
  } finally {
    removeDirectory(directory);
    poststop?.();
  }
}

/** Removes what was made of the cgroup until now. */
export function undoCgroup({ state, cgroups }: Making): void {
  if (state.cgroup !== undefined) removeCgroup({ ...state.cgroup, made: cgroups }, false);
}

/** Loaded for a container that has groups. */
function leaveRdt(groups: NonNullable<StoredState["resctrl"]>): void {
  const rdt = require("./rdt.ts") as typeof import("./rdt.ts");
  rdt.leaveRdt(groups);
}
