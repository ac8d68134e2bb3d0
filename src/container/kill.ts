/** kill (runtime.md, "Kill"): a signal for the container's process, or for all of its processes. */
import { closeSync } from "node:fs";
import { processesOf } from "../cgroup/directories.ts";
import { KontenaError } from "../error.ts";
import { ERRNO } from "../kernel/errno.ts";
import { rawSyscall, SyscallError } from "../kernel/libc.ts";
import { loadState, type StoredState } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { statusOf } from "./state.ts";
import { isAlive } from "./task.ts";

/** The words that engines take for "it is gone already". */
function notRunning(): KontenaError {
  return new KontenaError("WRONG_STATUS", "container not running");
}

/**
 * @param signal number of the signal
 * @throws KontenaError NOT_FOUND, WRONG_STATUS when it isn't running
 */
export function kill(runtime: Runtime, id: string, signal: number, options: { all?: boolean } = {}): void {
  const { directory, state } = loadState(runtime, id);
  if (options.all) {
    // Exit 0 on an empty cgroup, as engines expect after the process has ended.
    for (const pid of processesOf(state?.cgroup?.directories ?? [])) rawSyscall("kill", pid, signal);
    return;
  }
  const status = statusOf(directory, state);
  if (state === undefined || (status !== "created" && status !== "running")) throw notRunning();
  if (!signalInit(state, signal)) throw notRunning();
}

/** Through a pidfd, so that a process that took over the number is never hit; false when init is gone. */
export function signalInit(state: StoredState, signal: number): boolean {
  const pidfd = rawSyscall("pidfd_open", state.pid, 0);
  if (pidfd === -ERRNO.ESRCH) return false;
  if (pidfd < 0) throw new SyscallError("pidfd_open", -pidfd);
  try {
    if (!isAlive(state.pid, state.startTime)) return false;
    const result = rawSyscall("pidfd_send_signal", pidfd, signal, 0, 0);
    if (result === -ERRNO.ESRCH) return false;
    if (result === -ERRNO.EPERM)
      throw new KontenaError("PERMISSION", "no right to signal the container's process", {
        syscall: "pidfd_send_signal",
        errno: "EPERM",
      });
    if (result < 0) throw new SyscallError("pidfd_send_signal", -result);
    return true;
  } finally {
    closeSync(pidfd);
  }
}
