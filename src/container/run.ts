/** run: create, start, wait, delete in one; signals pass through, and the program's end is the command's. */
import { closeSync } from "node:fs";
import { awaitChild } from "./children.ts";
import { type Container, type CreateOptions, create } from "./create.ts";
import { remove } from "./delete.ts";
import { kill } from "./kill.ts";
import type { Runtime } from "./runtime.ts";
import { start } from "./start.ts";

export interface RunOptions extends CreateOptions {
  /** Return as soon as the program runs, and leave the container. */
  detach?: boolean;
  /** Leave the stopped container when the program has ended. */
  keep?: boolean;
  /** runc's: don't become the reaper of the container's orphans. kontena never does. */
  noSubreaper?: boolean;
}

/** Those that mean something to this process itself: its child's end, and the runtime's own timers and collectors. */
const OWN_SIGNALS = new Set([
  "SIGCHLD",
  "SIGKILL",
  "SIGSTOP",
  "SIGPIPE",
  "SIGPWR",
  "SIGURG",
  "SIGPROF",
  "SIGVTALRM",
]);
const FORWARDED = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGWINCH",
  "SIGCONT",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
].filter((name) => !OWN_SIGNALS.has(name)) as NodeJS.Signals[];

/** Passes signals on to the program until the returned function is called. */
function forwardSignals(runtime: Runtime, id: string, numbers: Record<string, number>): () => void {
  const forward = (name: string) => {
    try {
      kill(runtime, id, numbers[name] as number);
    } catch (error) {
      runtime.debug(`${name} not passed on: ${(error as Error).message}`);
    }
  };
  for (const name of FORWARDED) process.on(name, forward);
  return () => {
    for (const name of FORWARDED) process.off(name, forward);
  };
}

/**
 * @returns the program's exit status, 128+N when signal N ended it; 0 at once with `detach`
 * @throws KontenaError as create and start do; the container is then removed
 */
export async function run(runtime: Runtime, options: RunOptions): Promise<number> {
  const container = create(runtime, options);
  const { constants } = await import("node:os");
  const stop = options.detach ? () => {} : forwardSignals(runtime, options.id, constants.signals);
  try {
    return await startAndWait(runtime, container, options);
  } finally {
    stop();
    closeSync(container.pidfd);
  }
}

async function startAndWait(runtime: Runtime, container: Container, options: RunOptions): Promise<number> {
  try {
    start(runtime, container.id);
  } catch (error) {
    remove(runtime, container.id, { force: true });
    throw error;
  }
  if (options.detach) return 0;
  const ended = await awaitChild(container.pid);
  if (!options.keep) remove(runtime, container.id, { force: true });
  return ended.code;
}
