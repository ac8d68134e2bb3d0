/** Waiting for children without stopping the event loop: SIGCHLD tells that one may have ended. */
import { KontenaError } from "../error.ts";
import { type Ended, onEnd, poll, reap, reapEnded, reapOthers } from "./wait.ts";

/** Children that are waited for, and whom to tell when there is nothing to wait for. */
const waiting = new Map<number, (reason: KontenaError) => void>();
/** A signal handler alone doesn't keep the event loop alive; the timer does, and makes up for a lost signal. */
let keepAlive: ReturnType<typeof setInterval> | undefined;
const LOST_SIGNAL_MS = 1000;

function lookAt(pid: number): void {
  if (reap(pid, true) !== "gone") return;
  const reject = waiting.get(pid);
  forget(pid);
  reject?.(
    new KontenaError("WRONG_STATUS", `process ${pid} isn't a child of this one, or its end was told before`),
  );
}

function lookAtAll(): void {
  reapOthers();
  for (const pid of waiting.keys()) lookAt(pid);
}

function forget(pid: number): void {
  waiting.delete(pid);
  if (waiting.size > 0) return;
  process.off("SIGCHLD", reapEnded);
  clearInterval(keepAlive);
}

/**
 * A child that ends within so many milliseconds is waited for without the event loop, which takes longer than many a program to
 * get going. Nothing else of this process, a signal to be passed on least of all, waits longer than that for it.
 */
const SHORT_MS = 2;

/** The end of a child that ends very soon; it is reaped then. Undefined for one that goes on. */
export function awaitSoon({ pid, pidfd }: { pid: number; pidfd: number }): Ended | undefined {
  if (poll([pidfd], SHORT_MS).length === 0) return undefined;
  const ended = reap(pid, true);
  return typeof ended === "object" ? ended : undefined;
}

/**
 * Resolves when the child has ended, and reaps it.
 * @throws KontenaError WRONG_STATUS for a process that isn't a child, or has been reaped before
 */
export function awaitChild(pid: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    if (waiting.size === 0) {
      process.on("SIGCHLD", reapEnded);
      keepAlive = setInterval(lookAtAll, LOST_SIGNAL_MS);
    }
    waiting.set(pid, reject);
    onEnd(pid, (ended) => {
      forget(pid);
      resolve(ended);
    });
    reapOthers();
    if (waiting.has(pid)) lookAt(pid);
  });
}
