/** run: create, start, wait, delete in one; signals pass through, and the program's end is the command's. */

import { SIGCHLD } from "../kernel/consts/signal.ts";
import { closeSync, existsSync } from "../kernel/fs.ts";
import { join } from "../path.ts";
import { ownDescriptors } from "./birth.ts";
import { awaitChild, awaitSoon } from "./children.ts";
import { type Compiled, compile, storePlan } from "./compile.ts";
import { type Container, type CreateOptions, createCompiled } from "./create.ts";
import { removeOwn } from "./delete.ts";
import { FIFO, withLock } from "./directory.ts";
import { forwardSignals, heedChildren } from "./forward.ts";
import { signalInit } from "./kill.ts";
import { killedForMemory, MEMORY_LIMIT } from "./memory-floor.ts";
import type { Notifier } from "./notify.ts";
import type { Runtime } from "./runtime.ts";
import { listenAndLetGo } from "./start.ts";
import type { Ended } from "./wait.ts";

export interface RunOptions extends CreateOptions {
  /** Return as soon as the program runs, and leave the container. */
  detach?: boolean;
  /** Leave the stopped container when the program has ended. */
  keep?: boolean;
  /** runc's: don't become the reaper of the container's orphans. kontena never does. */
  noSubreaper?: boolean;
}

/** An exit status, at once for a program that ends very soon. */
type Status = number | Promise<number>;

/**
 * @returns the program's exit status, 128+N when signal N ended it; 0 at once with `detach`
 * @throws KontenaError as create and start do; the container is then removed
 */
export function run(runtime: Runtime, options: RunOptions): Status {
  const compiled = compile(runtime, options);
  if (compiled.input.host.ignoredSignals.includes(SIGCHLD)) heedChildren();
  const isInteractive =
    compiled.input.config.process?.terminal && !options.detach && options.consoleSocket === undefined;
  if (isInteractive) return runInteractive(runtime, options, compiled);
  const container = createCompiled(runtime, options, compiled);
  const stop = options.detach ? () => {} : forwardTo(runtime, container);
  const end = () => {
    stop();
    closeSync(container.pidfd);
  };
  let status: Status;
  try {
    status = startAndWait(runtime, container, options);
  } catch (error) {
    end();
    throw error;
  }
  if (typeof status !== "number") return status.finally(end);
  end();
  return status;
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
        return (ended) => passThrough(master, ended, descriptors);
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

/** What it waits for besides the program's end. */
interface Waiting {
  /** Goes on until the program has ended. */
  meanwhile?: ((ended: Promise<unknown>) => Promise<void>) | undefined;
  /** Ends what else waits. */
  stop?: (() => void) | undefined;
}

/** The lock was free since create: `start`, which takes the FIFO away, may have been faster. Then there is nothing left but to wait. */
function letGo({ directory, state, pidfd }: Container, notifySocket?: string): Notifier | undefined {
  if (!existsSync(join(directory, FIFO))) return undefined;
  return listenAndLetGo(directory, state, notifySocket, pidfd);
}

/** `attach` is called before the program runs. */
function startAndWait(
  runtime: Runtime,
  container: Container,
  options: RunOptions,
  attach?: () => Waiting["meanwhile"],
): Status {
  const { id, directory, state } = container;
  let notifier: Notifier | undefined;
  let meanwhile: Waiting["meanwhile"];
  try {
    meanwhile = attach?.();
    notifier = withLock(directory, id, () => letGo(container, options.notifySocket));
  } catch (error) {
    removeOwn(runtime, container);
    throw error;
  }
  // The program runs, and nobody waits for this.
  storePlan(runtime, container.compiled);
  if (options.detach) {
    if (notifier !== undefined) loadNotify().awaitReady(runtime, notifier, container.pid);
    return 0;
  }
  const finish = ({ code }: Ended): number => {
    if (code === KILLED) warnOfMemory(runtime, state);
    if (!options.keep) removeOwn(runtime, container);
    return code;
  };
  const stop = notifier && loadNotify().watchForReady(runtime, notifier, container.pid);
  // Not while the event loop has something to do.
  const soon = meanwhile === undefined && stop === undefined ? awaitSoon(container) : undefined;
  if (soon !== undefined) return finish(soon);
  return awaitLong(container, { meanwhile, stop }).then(finish, (error: unknown) => {
    removeOwn(runtime, container);
    throw error;
  });
}

async function awaitLong({ pid }: Container, { meanwhile, stop }: Waiting): Promise<Ended> {
  const ended = awaitChild(pid).finally(() => stop?.());
  await meanwhile?.(ended);
  return await ended;
}
