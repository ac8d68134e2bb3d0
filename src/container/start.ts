/**
 * start (runtime.md, "Start"): opens the exec FIFO, which lets init go on, and waits until the program runs or hasn't been
 * able to: then the failure record says why.
 */

import { KontenaError } from "../error.ts";
import { reachedExecve } from "../init/memory.ts";
import { POLL } from "../kernel/consts/socket.ts";
import { ERRNO } from "../kernel/errno.ts";
import { readPiece } from "../kernel/files.ts";
import { closeSync, constants, existsSync, openSync, readFileSync, unlinkSync } from "../kernel/fs.ts";
import { rawSyscall, SyscallError } from "../kernel/libc.ts";
import { join } from "../path.ts";
import { INIT_NAME, READY } from "../plan/names.ts";

import { end } from "./birth.ts";
import {
  directoryOf,
  doesNotExist,
  FIFO,
  isSame,
  LETS_GO,
  PLAN,
  readState,
  START_OPS,
  type StoredState,
  storedConfig,
  withLock,
} from "./directory.ts";
import { type KnownCalls, readHead, recordedError, silentEnd } from "./failure.ts";
import type { HandOver } from "./listener.ts";
import { explainMemory } from "./memory-floor.ts";
import type { Notifier } from "./notify.ts";
import type { Runtime } from "./runtime.ts";
import { type Status, statusOf, toState } from "./state.ts";
import { isAlive, readStat } from "./task.ts";
import { endInit, openPidfd, poll, reap } from "./wait.ts";

const HINTS: Partial<Record<Status, string>> = {
  running: "it has been started already",
  paused: "resume it first",
};

/**
 * With `notifySocket`, waits until the program has said that it is ready, which that socket is then told. `own` is the container
 * that is meant, when that is known: another with its id isn't there.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, or what stopped the program from running
 */
export function start(runtime: Runtime, id: string, notifySocket?: string, own?: StoredState): void {
  const directory = directoryOf(runtime, id);
  const started = withLock(directory, id, () => {
    const state = readState(directory);
    if (own !== undefined && !isSame(state, own)) throw doesNotExist(id);
    // Before the status is looked at, which then says of this very process that it waits.
    const pidfd = state === undefined ? -1 : rawSyscall("pidfd_open", state.pid, 0);
    try {
      if (state !== undefined && own === undefined && hasLetGo())
        return { pid: state.pid, notifier: finish(directory, state) };
      checkCreated(directory, id, state);
      const known = pidfd < 0 ? undefined : pidfd;
      return { pid: state.pid, notifier: listenAndLetGo(directory, state, notifySocket, known) };
    } finally {
      if (pidfd >= 0) closeSync(pidfd);
    }
  });
  // Without the lock: the container can be killed while this waits.
  if (started.notifier !== undefined) loadNotify().awaitReady(runtime, started.notifier, started.pid);
}

/** This very process did, before Bun began, and something was unusual then: the status is no longer that of before. */
const hasLetGo = (): boolean => readPiece("/proc/self/comm") === `${LETS_GO}\n`;

/** What is left to do then: to hear what comes of it. @throws KontenaError for what stopped the program */
function finish(directory: string, state: StoredState): undefined {
  const pidfd = pidfdOf(state);
  try {
    if (pidfd !== undefined) lead(directory, state, pidfd, undefined);
    else {
      const failure = failureOf(directory, state, undefined, "");
      reap(state.pid, true);
      if (failure !== undefined) throw failure;
    }
    unlinkSync(join(directory, FIFO));
  } catch (error) {
    throw explainMemory(error, state.cgroup);
  } finally {
    if (pidfd !== undefined) closeSync(pidfd);
  }
}

/** @throws KontenaError WRONG_STATUS, or why init isn't there any more */
function checkCreated(
  directory: string,
  id: string,
  state: StoredState | undefined,
): asserts state is StoredState {
  const status = statusOf(directory, state);
  // Stopped before it was ever started: init may have said why.
  if (status === "stopped" && existsSync(join(directory, FIFO))) {
    const failure = recorded(directory, readHead(join(directory, PLAN)));
    if (state !== undefined) reap(state.pid, true);
    if (failure !== undefined) throw failure;
  }
  if (status !== "created")
    throw new KontenaError("WRONG_STATUS", `cannot start a container in the ${status} state`, {
      hint: HINTS[status] ?? `\`kontena delete ${id}\` removes it`,
    });
}

const loadNotify = () => require("./notify.ts") as typeof import("./notify.ts");

/** Lets init go on; where a service manager waits for READY, the program finds whom to tell. @throws KontenaError */
export function listenAndLetGo(
  directory: string,
  state: StoredState,
  notifySocket: string | undefined,
  pidfd?: number,
): Notifier | undefined {
  const notifier =
    notifySocket === undefined ? undefined : loadNotify().listenForReady(directory, notifySocket);
  try {
    letGo(directory, state, pidfd);
    return notifier;
  } catch (error) {
    if (notifier !== undefined) closeSync(notifier.fd);
    throw error;
  }
}

/**
 * Lets a parked init go on, with the hooks before and after that. A hook that fails is the container's end (runtime.md,
 * "Lifecycle", steps 7 and 9).
 * @param own a descriptor of init, when the caller has one; it stays open
 * @throws KontenaError for what stopped the program, HOOK_FAILED
 */
export function letGo(directory: string, state: StoredState, own?: number): void {
  if (!state.hooks) {
    goOn(directory, state, own);
    return;
  }
  const { runHooks } = require("./hooks.ts") as typeof import("./hooks.ts");
  const config = storedConfig(directory);
  const hooks = (name: "startContainer" | "poststart", status: Status) => {
    const now = { ...toState(directory, state.id, state), status, pid: state.pid };
    try {
      runHooks([name], { config, stored: state, state: now });
    } catch (error) {
      const pidfd = pidfdOf(state);
      if (pidfd !== undefined) end({ pid: state.pid, pidfd });
      throw error;
    }
  };
  hooks("startContainer", "created");
  goOn(directory, state, own);
  hooks("poststart", "running");
}

function goOn(directory: string, state: StoredState, own?: number): void {
  try {
    release(directory, state, own);
  } catch (error) {
    throw explainMemory(error, state.cgroup);
  }
}

function release(directory: string, state: StoredState, own?: number): void {
  // One that has ended is no sign that this state is its own: the id may be another's by now.
  const pidfd = own !== undefined && poll([own], 0).length === 0 ? own : pidfdOf(state);
  if (pidfd === undefined) {
    const failure = recorded(directory, readHead(join(directory, PLAN))) ?? died("", state.pid);
    reap(state.pid, true);
    throw failure;
  }
  let handOver: HandOver | undefined;
  try {
    if (state.listener !== undefined) handOver = loadListener().openStart(directory, state, pidfd);
    lead(directory, state, pidfd, handOver);
    unlinkSync(join(directory, FIFO));
  } finally {
    handOver?.close();
    if (pidfd !== own) closeSync(pidfd);
  }
}

const loadListener = () => require("./listener.ts") as typeof import("./listener.ts");

/** From init's first word to the program. @throws KontenaError for what stopped it; then init is gone */
function lead(directory: string, state: StoredState, pidfd: number, handOver: HandOver | undefined): void {
  const fifo = openSync(join(directory, FIFO), constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const said = listen(state.pid, fifo, pidfd, handOver);
    const failure = failureOf(directory, state, pidfd, said);
    if (failure === undefined) return;
    reap(state.pid, false);
    throw failure;
  } catch (error) {
    // Without an agent there is no way on for init.
    if (handOver !== undefined) endInit(state.pid, pidfd);
    throw error;
  } finally {
    closeSync(fifo);
  }
}

/**
 * What stopped the program, if anything did: the record tells; and init may have been killed before it got to execve, or
 * in it, when its name was init's to the end.
 */
function failureOf(
  directory: string,
  state: StoredState,
  pidfd: number | undefined,
  said: string,
): KontenaError | undefined {
  const head = readHead(join(directory, PLAN));
  const failure = recorded(directory, head);
  if (failure !== undefined) return failure;
  if (said !== READY && said !== "") return died(said, state.pid);
  return reachedExecve(head) && !diedAsInit(state, pidfd) ? undefined : died("", state.pid);
}

/** A process that ends has closed its descriptors some time before its end is told; one that executes has, before its new name is. */
const ENDING_MS = 1000;

/** Whether it has ended with init's name. With a filter, by which its execve may have been the end, an end under way is waited for. */
function diedAsInit({ pid, startTime, filtered }: StoredState, pidfd?: number): boolean {
  const isInit = () => {
    const stat = readStat(pid);
    return stat?.startTime === startTime && stat.name === INIT_NAME;
  };
  if (pidfd === undefined) return isInit();
  let hasEnded = poll([pidfd], 0).length > 0;
  for (let i = 0; filtered && !hasEnded && i < ENDING_MS && isInit(); i++)
    hasEnded = poll([pidfd], 1).length > 0;
  return hasEnded && isInit();
}

/** Undefined when init is gone. */
function pidfdOf(state: StoredState): number | undefined {
  let pidfd: number;
  try {
    pidfd = openPidfd(state.pid);
  } catch (error) {
    if (error instanceof SyscallError) return undefined;
    throw error;
  }
  if (isAlive(state.pid, state.startTime)) return pidfd;
  closeSync(pidfd);
  return undefined;
}

function died(said: string, pid: number): KontenaError {
  const message = "the container's init ended before the program ran";
  if (said === "") return silentEnd(message, readStat(pid));
  return new KontenaError("INIT_DIED", message, { hint: "it said something unexpected" });
}

const LOOK_AGAIN_MS = 100;
/** init says nothing when its filter is loaded, since the filter may forbid whatever it would say: it is looked at. */
export const LISTENER_MS = 1;

/**
 * What init says until it closes the FIFO, which execve does, or dies. Zero bytes mean nothing by themselves: before init
 * has opened its end, a read gives them too; poll doesn't report that end as hung up until it was once opened.
 */
function listen(pid: number, fifo: number, pidfd: number, handOver: HandOver | undefined): string {
  const byte = new Uint8Array(64);
  let said = "";
  for (;;) {
    // The program can run already without a word: an earlier `start` heard it, and was killed before it could say so.
    const pause = handOver?.isPending() ? LISTENER_MS : said === "" ? LOOK_AGAIN_MS : -1;
    const ready = poll([fifo, pidfd], pause);
    if (ready.length === 0) {
      if (readStat(pid)?.name !== INIT_NAME) return said;
      continue;
    }
    let gone = false;
    let events = 0;
    for (const one of ready)
      if (one.fd === pidfd) gone = true;
      else events = one.events;
    if (events !== 0) {
      const got = rawSyscall("read", fifo, byte, byte.length);
      if (got > 0) said += new TextDecoder().decode(byte.subarray(0, got));
      else if (got < 0 && got !== -ERRNO.EAGAIN && got !== -ERRNO.EINTR) throw new SyscallError("read", -got);
      if (got === 0 || (events & POLL.POLLHUP && !(events & POLL.POLLIN))) return said;
      continue;
    }
    if (gone) return said;
  }
}

/** The failure that the record in plan memory tells of. */
function recorded(directory: string, head: Uint8Array): KontenaError | undefined {
  return recordedError(head, (address) => {
    const known = JSON.parse(readFileSync(join(directory, START_OPS), "utf8")) as KnownCalls;
    return known[address];
  });
}
