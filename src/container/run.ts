/** run: create, start, wait, delete in one; signals pass through, and the program's end is the command's. */

import { KontenaError } from "../error.ts";
import { closeSync } from "../kernel/fs.ts";
import { ownDescriptors } from "./birth.ts";
import { awaitChild } from "./children.ts";
import { type Compiled, compile, storePlan } from "./compile.ts";
import { type Container, type CreateOptions, createCompiled } from "./create.ts";
import { removeLocked } from "./delete.ts";
import { withLock } from "./directory.ts";
import { forwardSignals } from "./forward.ts";
import { signalInit } from "./kill.ts";
import { killedForMemory, MEMORY_LIMIT } from "./memory-floor.ts";
import type { Notifier } from "./notify.ts";
import type { Runtime } from "./runtime.ts";
import { listenAndLetGo } from "./start.ts";

export interface RunOptions extends CreateOptions {
  /** Return as soon as the program runs, and leave the container. */
  detach?: boolean;
  /** Leave the stopped container when the program has ended. */
  keep?: boolean;
  /** runc's: don't become the reaper of the container's orphans. kontena never does. */
  noSubreaper?: boolean;
}

/**
 * @returns the program's exit status, 128+N when signal N ended it; 0 at once with `detach`
 * @throws KontenaError as create and start do; the container is then removed
 */
export async function run(runtime: Runtime, options: RunOptions): Promise<number> {
  const compiled = compile(runtime, options);
  const isInteractive =
    compiled.input.config.process?.terminal && !options.detach && options.consoleSocket === undefined;
  if (isInteractive) return runInteractive(runtime, options, compiled);
  const container = createCompiled(runtime, options, compiled);
  const stop = options.detach ? () => {} : forwardTo(runtime, container);
  try {
    return await startAndWait(runtime, container, options);
  } finally {
    stop();
    closeSync(container.pidfd);
  }
}

const loadNotify = () => require("./notify.ts") as typeof import("./notify.ts");

const forwardTo = (runtime: Runtime, { state }: Container) =>
  forwardSignals((signal) => signalInit(state, signal), runtime);

/** With the program's terminal passed through to this process's own. */
async function runInteractive(runtime: Runtime, options: RunOptions, compiled: Compiled): Promise<number> {
  const { openForeground, passThrough, receiveMaster } =
    require("./console-socket.ts") as typeof import("./console-socket.ts");
  const descriptors = ownDescriptors(compiled.input.preserveFds);
  try {
    const foreground = openForeground(descriptors);
    const container = createCompiled(runtime, { ...options, consoleFd: foreground.theirs }, compiled);
    const stop = forwardTo(runtime, container);
    try {
      return await startAndWait(runtime, container, options, () => {
        const master = receiveMaster(foreground, descriptors);
        return (ended) => passThrough(master, ended);
      });
    } finally {
      stop();
      closeSync(container.pidfd);
    }
  } finally {
    descriptors.closeAll();
  }
}

/** The exit status of a program that SIGKILL ended, by itself or by the kernel. */
const KILLED = 137;

/** Under a limit that init just fits in, execve is what the memory doesn't suffice for: the program dies before it can say so. */
function warnOfMemory(runtime: Runtime, { cgroup }: Container["state"]): void {
  const told = killedForMemory(cgroup);
  if (told !== undefined) runtime.warn(told, { at: MEMORY_LIMIT });
}

/** Removes the container, unless somebody has done so already, and maybe made another one with its id. */
function discardOwn(runtime: Runtime, { id, directory, state }: Container): void {
  try {
    withLock(directory, id, () => removeLocked(runtime, directory, id, true, state));
  } catch (error) {
    if (!(error instanceof KontenaError && error.code === "NOT_FOUND")) throw error;
  }
}

/** `attach` is called before the program runs; what it gives goes on until the program has ended. */
async function startAndWait(
  runtime: Runtime,
  container: Container,
  options: RunOptions,
  attach?: () => (ended: Promise<unknown>) => Promise<void>,
): Promise<number> {
  const { id, directory, state } = container;
  const discard = () => discardOwn(runtime, container);
  let notifier: Notifier | undefined;
  let meanwhile: ReturnType<NonNullable<typeof attach>> | undefined;
  try {
    meanwhile = attach?.();
    notifier = withLock(directory, id, () =>
      listenAndLetGo(directory, state, options.notifySocket, container.pidfd),
    );
  } catch (error) {
    discard();
    throw error;
  }
  // The program runs, and nobody waits for this.
  storePlan(runtime, container.compiled);
  if (options.detach) {
    if (notifier !== undefined) loadNotify().awaitReady(runtime, notifier, container.pid);
    return 0;
  }
  const stop = notifier && loadNotify().watchForReady(runtime, notifier, container.pid);
  // The event loop has something to do while a terminal is passed through, or a notifier waits.
  const isAlone = meanwhile === undefined && stop === undefined;
  const ended = awaitChild(container.pid, isAlone ? container.pidfd : undefined).finally(() => stop?.());
  await meanwhile?.(ended);
  const { code } = await ended;
  if (code === KILLED) warnOfMemory(runtime, state);
  if (!options.keep) discard();
  return code;
}
