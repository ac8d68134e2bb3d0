/** pause and resume: all processes of a container stand still, and go on, without noticing. */
import type { Cgroup } from "../cgroup/cgroup.ts";
import { freezeCgroup, thawCgroup } from "../cgroup/freezer.ts";
import { KontenaError } from "../error.ts";
import { loadState, withLock } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { type Status, statusOf } from "./state.ts";

/** Engines know these two sentences of runc. */
const NOT_RUNNING = "container not running";
const NOT_PAUSED = "container not paused";

/**
 * Returns when every process of the container stands still.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, CGROUP_FAILED when it doesn't freeze; then it runs on
 */
export function pause(runtime: Runtime, id: string): void {
  locked(runtime, id, (status, cgroup) => {
    if (status !== "created" && status !== "running") throw wrong(NOT_RUNNING, id, status);
    freezeCgroup(cgroup());
  });
}

/** @throws KontenaError NOT_FOUND, WRONG_STATUS, CGROUP_FAILED */
export function resume(runtime: Runtime, id: string): void {
  locked(runtime, id, (status, cgroup) => {
    if (status !== "paused") throw wrong(NOT_PAUSED, id, status);
    thawCgroup(cgroup());
  });
}

function locked(runtime: Runtime, id: string, action: (status: Status, cgroup: () => Cgroup) => void): void {
  const { directory } = loadState(runtime, id);
  withLock(directory, id, () => {
    const { state } = loadState(runtime, id);
    action(statusOf(directory, state), () => {
      if (state?.cgroup !== undefined) return state.cgroup;
      throw new KontenaError("CGROUP_FAILED", `container ${id} has no cgroup that could be frozen`, {
        hint: "it was made without: by --cgroup-manager disabled, or for want of rights",
      });
    });
  });
}

function wrong(message: string, id: string, status: Status): KontenaError {
  return new KontenaError("WRONG_STATUS", message, { hint: `${id} is ${status}` });
}
