/** kill (runtime.md, "Kill"): a signal for the container's process, or for all of its processes. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import { unifiedOf } from "../cgroup/directories.ts";
import { freezeCgroup, ownState, thawCgroup, thawTree } from "../cgroup/freezer.ts";
import { KontenaError } from "../error.ts";
import { SIGKILL } from "../kernel/consts/signal.ts";
import { ERRNO } from "../kernel/errno.ts";
import { closeSync, existsSync, writeFileSync } from "../kernel/fs.ts";
import { rawSyscall, SyscallError } from "../kernel/libc.ts";
import { join } from "../path.ts";
import { loadState, type StoredState } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { hasProcess, statusOf } from "./state.ts";
import { isAlive } from "./task.ts";

/** Loaded for a signal to all of them. */
const loadProcesses = () => require("./processes.ts") as typeof import("./processes.ts");

/** The words that engines take for "it is gone already". */
export function notRunning(): KontenaError {
  return new KontenaError("WRONG_STATUS", "container not running");
}

function noRight(call: string): KontenaError {
  return new KontenaError("PERMISSION", "no right to signal the container's process", {
    syscall: call,
    errno: "EPERM",
  });
}

/**
 * @param signal number of the signal
 * @throws KontenaError NOT_FOUND, WRONG_STATUS when it isn't running, PERMISSION
 */
export function kill(runtime: Runtime, id: string, signal: number, options: { all?: boolean } = {}): void {
  const { directory, state } = loadState(runtime, id);
  if (options.all) {
    // No error for a stopped container or an empty cgroup, as engines expect after the process has ended.
    if (state !== undefined) killAll(state, signal);
    return;
  }
  if (state === undefined || !hasProcess(statusOf(directory, state))) throw notRunning();
  if (!signalOwn(state, signal)) throw notRunning();
}

/** A signal to init; false when it is gone. */
export const signalOwn = (state: StoredState, signal: number): boolean =>
  signal === SIGKILL ? killInit(state) : signalInit(state, signal);

/** SIGKILL to init, frozen or not; false when init is gone. */
export function killInit(state: StoredState): boolean {
  const isThere = signalInit(state, SIGKILL);
  if (isThere && state.cgroup !== undefined) thawTree(state.cgroup);
  return isThere;
}

/** Through a pidfd, so that a process that took over the number is never hit; false when init is gone. */
export function signalInit(state: StoredState, signal: number): boolean {
  const pidfd = rawSyscall("pidfd_open", state.pid, 0);
  if (pidfd === -ERRNO.ESRCH) return false;
  if (pidfd < 0) throw new SyscallError("pidfd_open", -pidfd);
  try {
    if (!isAlive(state.pid, state.startTime)) return false;
    return signalThrough(pidfd, signal);
  } finally {
    closeSync(pidfd);
  }
}

/** The process that a pidfd refers to; false when it is gone. @throws KontenaError PERMISSION */
export function signalThrough(pidfd: number, signal: number): boolean {
  const result = rawSyscall("pidfd_send_signal", pidfd, signal, 0, 0);
  if (result === -ERRNO.ESRCH) return false;
  if (result === -ERRNO.EPERM) throw noRight("pidfd_send_signal");
  if (result === -ERRNO.EINVAL)
    throw new KontenaError("USAGE", `${signal} is the number of no signal`, { hint: "1 to 64 are" });
  if (result < 0) throw new SyscallError("pidfd_send_signal", -result);
  return true;
}

/**
 * A signal to every process of the container. While they are counted they stand still, so that none forks away from it, and no
 * number is given anew.
 */
function killAll(state: StoredState, signal: number): void {
  const { cgroup } = state;
  if (cgroup === undefined) {
    signalAll(loadProcesses().containerProcesses(state), signal);
    return;
  }
  if (signal === SIGKILL) killUnified(cgroup);
  if (loadProcesses().containerProcesses(state).length === 0) return;
  const wasPaused = ownState(cgroup) !== "thawed";
  if (!wasPaused) tryFreeze(cgroup);
  try {
    signalAll(loadProcesses().containerProcesses(state), signal);
  } finally {
    // On v1 a frozen process doesn't die.
    if (signal === SIGKILL) thawTree(cgroup);
    if (!wasPaused) tryThaw(cgroup);
  }
}

/** cgroup.kill of v2 (Linux 5.14) kills all at once, those below included; without it, the signals that follow do. */
function killUnified(cgroup: Cgroup): void {
  const directory = unifiedOf(cgroup);
  if (directory === undefined || !existsSync(join(directory, "cgroup.kill"))) return;
  try {
    writeFileSync(join(directory, "cgroup.kill"), "1");
  } catch {
    // The cgroup is gone, or isn't ours to kill so.
  }
}

/** What doesn't freeze, or is gone, gets the signal all the same. */
function tryFreeze(cgroup: Cgroup): void {
  try {
    freezeCgroup(cgroup);
  } catch (error) {
    if (!(error instanceof KontenaError)) throw error;
  }
}

function tryThaw(cgroup: Cgroup): void {
  try {
    thawCgroup(cgroup);
  } catch (error) {
    const errno = error instanceof KontenaError ? error.details.errno : undefined;
    if (errno !== "ENOENT" && errno !== "ENODEV") throw error;
  }
}

function signalAll(pids: readonly number[], signal: number): void {
  const results = pids.map((pid) => rawSyscall("kill", pid, signal));
  if (results.includes(-ERRNO.EPERM)) throw noRight("kill");
}
