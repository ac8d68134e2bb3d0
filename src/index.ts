/**
 * kontena as a library: containers from a Bun program, without a process of the runtime's own.
 *
 *     import { open } from "kontena";
 *     const kontena = open({ root: "/run/sandboxes" });
 *     const container = kontena.create({ id: "c1", bundle: "/bundles/c1" });
 *     container.start();
 *     const { code } = await container.wait();
 *     container.delete();
 *
 * `using container = kontena.create(…)` removes it where the block ends, however it ends.
 *
 * A program of the container's image with streams of one's own, in a container that runs:
 *
 *     const child = container.exec({ args: ["sort"], stdio: [input, output, 2] });
 *     child.waitSync();
 *
 * The same state directory serves the command line: `kontena --root /run/sandboxes list` sees these containers.
 */

import { awaitChild } from "./container/children.ts";
import { type Compiled, storePlan } from "./container/compile.ts";
import { type CreateOptions, create } from "./container/create.ts";
import { remove, removeOwn } from "./container/delete.ts";
import { doesNotExist, isSame, readState } from "./container/directory.ts";
import type { ExecOptions } from "./container/exec-process.ts";
import { holdMounts, releaseMounts } from "./container/held-mounts.ts";
import { notRunning, signalOwn, signalThrough } from "./container/kill.ts";
import { list } from "./container/list.ts";
import { pause, resume } from "./container/pause.ts";
import { processes } from "./container/ps.ts";
import { openRuntime, type Runtime } from "./container/runtime.ts";
import { start } from "./container/start.ts";
import { type ContainerState, state } from "./container/state.ts";
import type { ContainerStats } from "./container/stats.ts";
import type { Resources } from "./container/update.ts";
import { onEnd, reapAmongOthers } from "./container/wait.ts";
import { KontenaError } from "./error.ts";
import { closeSync, existsSync } from "./kernel/fs.ts";

export type { CreateOptions } from "./container/create.ts";
export type { ExecOptions } from "./container/exec-process.ts";
export type { ContainerState } from "./container/state.ts";
export type { ContainerStats } from "./container/stats.ts";
export type { Resources } from "./container/update.ts";
export { ERROR_CODES, type ErrorCode, KontenaError, type Problem } from "./error.ts";

export interface Options {
  /** Directory of the containers' states; `/run/kontena`, or `$XDG_RUNTIME_DIR/kontena` without root's rights. */
  root?: string;
  cgroupManager?: "cgroupfs" | "systemd" | "disabled";
  /** Hears of what is odd in a config but legal; nothing by default. */
  onWarning?(message: string, details?: { at?: string; hint?: string }): void;
}

/** How a container's program ended. */
export interface Exit {
  /** Exit status as a shell tells it: 128+N for signal N. */
  code: number;
  /** Number of the signal that ended it. */
  signal?: number;
}

/** A process of this program's: a container's first one, or one that `exec` has added. */
export interface Child {
  /** As the host sees it. */
  readonly pid: number;
  /** Sends a signal by number. @throws KontenaError WRONG_STATUS when the program has ended */
  kill(signal: number): void;
  /** Resolves when the program has ended, however often it is asked. */
  wait(): Promise<Exit>;
  /**
   * The same, holding this thread until then. A container's mounts are gone a moment later: with `delete`, or when the event loop
   * goes on.
   */
  waitSync(): Exit;
}

export interface Container extends Child, Disposable {
  readonly id: string;
  /** Runs the program. @throws KontenaError EXEC_* when the kernel refuses it, WRONG_STATUS when it was started before */
  start(): void;
  state(): ContainerState;
  /**
   * Runs one more program in the container: with its namespaces, cgroup, root and rights, unless the options say otherwise.
   * It runs when this returns. @throws KontenaError EXEC_* when it can't, WRONG_STATUS; then nothing of it is left
   */
  exec(options: ExecOptions): Child;
  /** Changes the limits that `resources` names. @throws KontenaError RESOURCE_FAILED; then they are those from before */
  update(resources: Resources): void;
  /** What the container uses now; from the second time on with the share of a CPU since the time before. */
  stats(): ContainerStats;
  /** Stops all processes of the container where they stand. @throws KontenaError WRONG_STATUS, CGROUP_FAILED without a cgroup */
  pause(): void;
  /** Lets them go on. @throws KontenaError WRONG_STATUS when it isn't paused */
  resume(): void;
  /** Host pids of all processes of the container, in rising order. */
  processes(): number[];
  /** Removes the container; `force` ends its program first. @throws KontenaError WRONG_STATUS when it runs */
  delete(options?: { force?: boolean }): void;
  /** The end of a block with `using`: ends its program and removes it, unless it is gone. Another one with its id is left alone. */
  [Symbol.dispose](): void;
}

export interface Kontena {
  /** Makes a container from a bundle; its program waits for `start`. @throws KontenaError; then nothing is left of it */
  create(options: CreateOptions): Container;
  /** The states of all containers of this root. */
  list(): ContainerState[];
}

/** A container's own process is all that many programs want. */
const forExec = () => require("./container/exec.ts") as typeof import("./container/exec.ts");
const forUpdates = () => require("./container/update.ts") as typeof import("./container/update.ts");
const forProcesses = () => require("./container/check.ts") as typeof import("./container/check.ts");
const forStats = () => require("./container/stats.ts") as typeof import("./container/stats.ts");

/** A container's first process: its end is told before its mounts are taken apart. */
function reapWithMountsHeld(pid: number): void {
  holdMounts(pid);
  try {
    reapAmongOthers(pid);
  } finally {
    setImmediate(releaseMounts);
  }
}

/** How a child of this process ends, whoever reaps it, be it delete. */
function endOf(
  pid: number,
  name: string,
  waitFor: (pid: number) => void = reapAmongOthers,
): Pick<Child, "wait" | "waitSync"> {
  let exit: Exit | undefined;
  let waiting: Promise<Exit> | undefined;
  const toExit = ({ code, signal }: Exit): Exit => (signal === undefined ? { code } : { code, signal });
  onEnd(pid, (ended) => {
    exit = toExit(ended);
  });
  return {
    wait() {
      if (exit !== undefined) return Promise.resolve(exit);
      waiting ??= awaitChild(pid).then(toExit);
      return waiting;
    },
    waitSync() {
      if (exit === undefined) waitFor(pid);
      if (exit === undefined)
        throw new KontenaError("WRONG_STATUS", `somebody else was told how ${name} ended`);
      return exit;
    },
  };
}

function exec(runtime: Runtime, id: string, options: ExecOptions): Child {
  const { process } = options;
  const checked =
    process === undefined ? {} : { process: forProcesses().checkedProcess(process, runtime.warn) };
  const { pid, pidfd } = forExec().execute(runtime, id, { ...options, ...checked });
  // Until it is reaped nobody else gets its number, and this process reaps it.
  let ended = false;
  onEnd(pid, () => {
    ended = true;
    closeSync(pidfd);
  });
  return {
    pid,
    ...endOf(pid, `process ${pid} of container ${id}`),
    kill(signal) {
      if (ended || !signalThrough(pidfd, signal))
        throw new KontenaError("WRONG_STATUS", `process ${pid} of container ${id} has ended`);
    },
  };
}

/** For programs that make such a container after this one; nobody waits for that. A root that is gone meanwhile stays so. */
function keepForOthers(runtime: Runtime, compiled: Compiled): void {
  if (existsSync(runtime.root)) storePlan(runtime, compiled);
}

/** Opens a root for containers; no file is touched before the first `create`. */
export function open(options: Options = {}): Kontena {
  const runtime = openRuntime({
    ...(options.root === undefined ? {} : { root: options.root }),
    ...(options.cgroupManager === undefined ? {} : { cgroupManager: options.cgroupManager }),
    makesMany: true,
    warn: (message, details) => options.onWarning?.(message, details),
    debug: () => {},
  });
  return {
    list: () => list(runtime),
    create(createOptions) {
      const created = create(runtime, createOptions);
      const { id, pid, pidfd, compiled } = created;
      closeSync(pidfd);
      if (compiled.keep !== undefined) setImmediate(() => keepForOthers(runtime, compiled));
      let sample: (() => ContainerStats[]) | undefined;
      /** Its id may be another container's by now. */
      const isOwn = () => isSame(readState(created.directory), created.state);
      const checkOwn = () => {
        if (!isOwn()) throw doesNotExist(id);
      };
      return {
        id,
        pid,
        ...endOf(pid, `container ${id}`, reapWithMountsHeld),
        start: () => start(runtime, id, undefined, created.state),
        state() {
          checkOwn();
          return state(runtime, id);
        },
        kill(signal) {
          if (!signalOwn(created.state, signal)) throw notRunning();
        },
        exec(execOptions) {
          checkOwn();
          return exec(runtime, id, execOptions);
        },
        update(resources) {
          checkOwn();
          const { checkedChange, update } = forUpdates();
          update(runtime, id, checkedChange(resources, runtime.warn));
        },
        stats() {
          checkOwn();
          sample ??= forStats().openStats(runtime, { ids: [id] });
          const [now] = sample();
          if (now === undefined) throw doesNotExist(id);
          return now;
        },
        pause() {
          checkOwn();
          pause(runtime, id);
        },
        resume() {
          checkOwn();
          resume(runtime, id);
        },
        processes() {
          checkOwn();
          return processes(runtime, id);
        },
        delete(deleteOptions) {
          releaseMounts();
          if (isOwn()) remove(runtime, id, deleteOptions);
          else if (!deleteOptions?.force) throw doesNotExist(id);
        },
        [Symbol.dispose]() {
          releaseMounts();
          removeOwn(runtime, created);
        },
      };
    },
  };
}
