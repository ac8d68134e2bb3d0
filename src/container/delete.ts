/** delete (runtime.md, "Delete"): undoes what create has made. */

import type { Config } from "../../spec/config.ts";
import { removeCgroup } from "../cgroup/cgroup.ts";
import { KontenaError } from "../error.ts";
import { closeSync, existsSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { join } from "../path.ts";
import {
  CONFIG,
  directoryOf,
  isSame,
  readState,
  removeDirectory,
  type StoredState,
  storedConfig,
  withLock,
} from "./directory.ts";
import { killInit } from "./kill.ts";
import type { RdtGroups } from "./rdt.ts";
import type { Runtime } from "./runtime.ts";
import { statusOf, toState } from "./state.ts";
import { readStat } from "./task.ts";
import { awaitEnd, reap } from "./wait.ts";

/**
 * Removes a container. A created one may be removed as a stopped one may: engines rely on that, where the spec has only
 * stopped ones. `force` kills what runs, and isn't astonished by an id that nobody has.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS
 */
export function remove(runtime: Runtime, id: string, options: { force?: boolean } = {}): void {
  try {
    if (options.force) endFirst(runtime, id);
    const directory = directoryOf(runtime, id);
    withLock(directory, id, () => removeLocked(runtime, directory, id, options.force ?? false));
  } catch (error) {
    if (options.force && error instanceof KontenaError && error.code === "NOT_FOUND") return;
    throw error;
  }
}

/** What its maker knows of a container. */
interface Own {
  id: string;
  directory: string;
  state: StoredState;
}

/** Ends and removes a container for who has made it, unless somebody has done so already, and maybe made another one with its id. */
export function removeOwn(runtime: Runtime, { id, directory, state }: Own): void {
  try {
    withLock(directory, id, () => removeLocked(runtime, directory, id, true, state));
  } catch (error) {
    if (!(error instanceof KontenaError && error.code === "NOT_FOUND")) throw error;
  }
}

/** A create or a start that is under way holds the lock; without its init it ends by itself. */
function endFirst(runtime: Runtime, id: string): void {
  const state = readState(directoryOf(runtime, id));
  if (state !== undefined && state.pid > 0) killInit(state);
}

/** The same for who holds the lock. Another container than `only`, if that is given, is left alone. */
export function removeLocked(
  runtime: Runtime,
  directory: string,
  id: string,
  force: boolean,
  only?: Pick<StoredState, "pid" | "startTime">,
): void {
  const state = readState(directory);
  if (only !== undefined && !isSame(state, only)) return;
  const status = statusOf(directory, state);
  if ((status === "running" || status === "paused") && !force)
    throw new KontenaError("WRONG_STATUS", `cannot delete container ${id} that is not stopped: ${status}`, {
      hint: `\`kontena kill ${id} KILL\` ends it, \`kontena delete --force ${id}\` does both`,
    });
  const poststop = state?.hooks ? poststopOf(runtime, directory, state) : undefined;
  if (state !== undefined) {
    endProcess(state);
    if (state.cgroup !== undefined) removeCgroup(state.cgroup, state.status === "created");
    if (state.resctrl !== undefined) removeGroups(state.resctrl);
  }
  removeDirectory(directory);
  // "after the container is deleted but before the delete operation returns" (config.md, "Poststop").
  poststop?.();
}

/** What they need is read while it is there; a create that was killed early has left no whole config, and has run no hook. */
function poststopOf(runtime: Runtime, directory: string, stored: StoredState): (() => void) | undefined {
  if (!existsSync(join(directory, CONFIG))) return undefined;
  const { runPoststop } = require("./hooks.ts") as typeof import("./hooks.ts");
  const config = readConfig(runtime, directory, stored);
  if (config === undefined) return undefined;
  const state = { ...toState(directory, stored.id, stored), pid: 0, status: "stopped" as const };
  return () => runPoststop({ config, stored, state }, runtime.warn);
}

function readConfig(runtime: Runtime, directory: string, { status }: StoredState): Config | undefined {
  try {
    return storedConfig(directory);
  } catch (error) {
    if (!(error instanceof KontenaError)) throw error;
    // Nothing keeps a container from being removed.
    if (status === "created") runtime.warn(`no poststop hook runs: ${error.message}`);
    return undefined;
  }
}

function removeGroups(groups: RdtGroups): void {
  const { leaveRdt } = require("./rdt.ts") as typeof import("./rdt.ts");
  leaveRdt(groups);
}

/** SIGKILL, and waiting until the process is gone: what it holds can be removed only then. A child is reaped as well. */
function endProcess(state: StoredState): void {
  // Also a zombie is that very process, until it is reaped; a number that was given anew isn't.
  if (state.pid <= 0 || readStat(state.pid)?.startTime !== state.startTime) return;
  const pidfd = rawSyscall("pidfd_open", state.pid, 0);
  if (pidfd >= 0)
    try {
      killInit(state);
      awaitEnd(pidfd, 10_000);
    } finally {
      closeSync(pidfd);
    }
  reap(state.pid, pidfd < 0);
}
