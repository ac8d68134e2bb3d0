/** The end of a process: waiting for it, and bringing it about. */

import { KontenaError } from "../error.ts";
import { SIGKILL } from "../kernel/consts/signal.ts";
import { POLL } from "../kernel/consts/socket.ts";
import { ERRNO } from "../kernel/errno.ts";
import { rawSyscall, SyscallError, syscall } from "../kernel/libc.ts";
import { chosen, mapped } from "../lists.ts";

export interface Ended {
  /** Exit status as a shell tells it: 128+N for signal N. */
  code: number;
  signal?: number;
  /** ` (exit status 3)`, for the end of a sentence. */
  text: string;
}

function decode(status: number): Ended {
  const signal = status & 0x7f;
  if (signal !== 0) return { code: 128 + signal, signal, text: ` (killed by signal ${signal})` };
  const code = (status >> 8) & 0xff;
  return { code, text: ` (exit status ${code})` };
}

const WNOHANG = 1;

type Listener = (ended: Ended) => void;

/** Who wants to know of the end of which child, whoever in this process reaps it. */
const listeners = new Map<number, Listener[]>();

/** Calls back once, when the child is reaped. */
export function onEnd(pid: number, listener: Listener): void {
  const others = listeners.get(pid);
  if (others === undefined) listeners.set(pid, [listener]);
  else others.push(listener);
}

/** Reaps a child: how it ended, or that it runs still (with `noHang`), or that it isn't (or no longer) this process's child. */
export function reap(pid: number, noHang: boolean): Ended | "running" | "gone" {
  const status = new Int32Array(1);
  for (;;) {
    const got = rawSyscall("wait4", pid, new Uint8Array(status.buffer), noHang ? WNOHANG : 0, 0);
    if (got === 0) return "running";
    if (got === -ERRNO.ECHILD) return "gone";
    if (got === pid) {
      const ended = decode(status[0] as number);
      const called = listeners.get(pid) ?? [];
      listeners.delete(pid);
      for (const listener of called) listener(ended);
      return ended;
    }
    if (got !== -ERRNO.EINTR) throw new SyscallError("wait4", -got);
  }
}

const P_ALL = 0;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
/** siginfo_t (asm-generic/siginfo.h): 128 bytes, si_pid at 16 where pointers have 64 bits. */
const SIGINFO = { size: 128, pid: 16 } as const;

/**
 * One of the children of this process that have ended and aren't reaped, whoever made it; it stays one (waitid(2), WNOWAIT).
 * Unless `noHang`, waits for one to end.
 */
export function endedChild(noHang: boolean): number | undefined {
  const info = new Uint8Array(SIGINFO.size);
  for (;;) {
    const got = rawSyscall("waitid", P_ALL, 0, info, WEXITED | WNOWAIT | (noHang ? WNOHANG : 0), 0);
    if (got === -ERRNO.EINTR) continue;
    const pid = got < 0 ? 0 : new DataView(info.buffer).getInt32(SIGINFO.pid, true);
    return pid === 0 ? undefined : pid;
  }
}

/**
 * Reaps all children that have ended and whose end somebody here wants to know. A process that `exec` has added is such a child,
 * in the container's pid namespace, whose init can't end while it is a zombie: so no wait for an init may leave it one.
 */
export function reapEnded(): void {
  for (let pid = endedChild(true); pid !== undefined; pid = endedChild(true)) {
    if (listeners.has(pid)) {
      reap(pid, true);
      continue;
    }
    // Somebody else's child, Bun's own say, isn't reaped here, and stays the one that is told of.
    for (const known of [...listeners.keys()]) reap(known, true);
    return;
  }
}

/** The same for who looks at the only child itself. */
export function reapOthers(): void {
  if (listeners.size > 1) reapEnded();
}

/** How long somebody else's ended child, which can't be waited past, keeps an end from being seen. */
const TURN_MS = 5;

/** Waits until a child has ended and reaps it, and meanwhile the others that somebody here wants to know of. */
export function reapAmongOthers(pid: number): void {
  const isAlone = () => listeners.size === 0 || (listeners.size === 1 && listeners.has(pid));
  while (!isAlone()) {
    const ended = endedChild(false);
    if (ended === undefined) return;
    if (!listeners.has(ended)) Bun.sleepSync(TURN_MS);
    reapEnded();
    if (!listeners.has(pid)) return;
  }
  reap(pid, false);
}

export interface Readiness {
  fd: number;
  /** POLL* bits that are true now. */
  events: number;
}

/** poll(2) for reading on several descriptors; waits `milliseconds`, for ever when negative. */
export function poll(fds: readonly number[], milliseconds: number): Readiness[] {
  return pollFor(
    mapped(fds, (fd) => ({ fd, events: POLL.POLLIN })),
    milliseconds,
  );
}

/** The same for other events: `events` are POLL* bits. */
export function pollFor(fds: readonly Readiness[], milliseconds: number): Readiness[] {
  const set = new Uint8Array(8 * fds.length);
  const view = new DataView(set.buffer);
  const end = milliseconds < 0 ? Number.POSITIVE_INFINITY : Date.now() + milliseconds;
  for (;;) {
    let at = 0;
    for (const { fd, events } of fds) {
      view.setInt32(at, fd, true);
      view.setUint16(at + 4, events, true);
      view.setUint16(at + 6, 0, true);
      at += 8;
    }
    const left = end === Number.POSITIVE_INFINITY ? undefined : Math.max(0, end - Date.now());
    const timeout =
      left === undefined
        ? undefined
        : new Uint8Array(
            new BigInt64Array([BigInt(Math.floor(left / 1000)), BigInt((left % 1000) * 1_000_000)]).buffer,
          );
    const ready = rawSyscall("ppoll", set, fds.length, timeout, 0, 8);
    if (ready === -ERRNO.EINTR) continue;
    if (ready < 0) throw new SyscallError("ppoll", -ready);
    const answers = mapped(fds, ({ fd }, i) => ({ fd, events: view.getUint16(8 * i + 6, true) }));
    return chosen(answers, (r) => r.events !== 0);
  }
}

/** A descriptor for a process that may not be our child. @throws SyscallError ESRCH when there is none */
export function openPidfd(pid: number): number {
  return syscall("pidfd_open", pid, 0);
}

/** Kills init and waits until it is gone, reaping it when it is our child. */
export function endInit(pid: number, pidfd: number): Ended | undefined {
  rawSyscall("pidfd_send_signal", pidfd, SIGKILL, 0, 0);
  awaitEnd(pidfd, 10_000);
  // It has ended; when it is our child, it is reaped here for sure.
  const ended = reap(pid, false);
  return typeof ended === "string" ? undefined : ended;
}

/** A process in an uninterruptible call outlives SIGKILL: after `milliseconds` that is an error. */
export function awaitEnd(pidfd: number, milliseconds: number): void {
  const end = Date.now() + milliseconds;
  let left = milliseconds;
  do {
    if (poll([pidfd], listeners.size > 0 ? Math.min(left, TURN_MS) : left).length > 0) return;
    reapEnded();
    left = end - Date.now();
  } while (left > 0);
  throw new KontenaError(
    "INIT_DIED",
    "the container's process doesn't die: it waits for a device or a file system",
    { hint: "see /proc/PID/stack of the process" },
  );
}
