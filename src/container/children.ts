/** Waiting for children without stopping the event loop: SIGCHLD tells that one may have ended. */
import { type Ended, reap } from "./wait.ts";

interface Waiting {
  pid: number;
  resolve(ended: Ended): void;
}

const waiting = new Set<Waiting>();

function look(): void {
  for (const one of waiting) {
    const ended = reap(one.pid, true);
    if (ended === undefined) continue;
    waiting.delete(one);
    one.resolve(ended);
  }
  if (waiting.size === 0) {
    process.off("SIGCHLD", look);
    clearInterval(keepAlive);
    keepAlive = undefined;
  }
}

/** A signal handler alone doesn't keep the event loop alive; the timer does, and covers a lost signal. */
let keepAlive: ReturnType<typeof setInterval> | undefined;
const LOST_SIGNAL_MS = 1000;

/** Resolves when the child has ended, and reaps it. */
export function awaitChild(pid: number): Promise<Ended> {
  return new Promise((resolve) => {
    if (waiting.size === 0) {
      process.on("SIGCHLD", look);
      keepAlive = setInterval(look, LOST_SIGNAL_MS);
    }
    waiting.add({ pid, resolve });
    look();
  });
}
