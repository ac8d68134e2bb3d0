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
 * The same state directory serves the command line: `kontena --root /run/sandboxes list` sees these containers.
 */
import { closeSync } from "node:fs";
import { awaitChild } from "./container/children.ts";
import { type CreateOptions, create } from "./container/create.ts";
import { remove } from "./container/delete.ts";
import { kill } from "./container/kill.ts";
import { list } from "./container/list.ts";
import { pause, resume } from "./container/pause.ts";
import { processes } from "./container/ps.ts";
import { openRuntime } from "./container/runtime.ts";
import { start } from "./container/start.ts";
import { type ContainerState, state } from "./container/state.ts";
import { onEnd, reap } from "./container/wait.ts";
import { KontenaError } from "./error.ts";

export type { CreateOptions } from "./container/create.ts";
export type { ContainerState } from "./container/state.ts";
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

export interface Container {
  readonly id: string;
  /** Host pid of the container's first process. */
  readonly pid: number;
  /** Runs the program. @throws KontenaError EXEC_* when the kernel refuses it, WRONG_STATUS when it was started before */
  start(): void;
  state(): ContainerState;
  /** Sends a signal by number. @throws KontenaError WRONG_STATUS when the program has ended */
  kill(signal: number): void;
  /** Stops all processes of the container where they stand. @throws KontenaError WRONG_STATUS, CGROUP_FAILED without a cgroup */
  pause(): void;
  /** Lets them go on. @throws KontenaError WRONG_STATUS when it isn't paused */
  resume(): void;
  /** Host pids of all processes of the container, in rising order. */
  processes(): number[];
  /** Resolves when the program has ended, however often it is asked. */
  wait(): Promise<Exit>;
  /** The same, holding this thread until then. */
  waitSync(): Exit;
  /** Removes the container; `force` ends its program first. @throws KontenaError WRONG_STATUS when it runs */
  delete(options?: { force?: boolean }): void;
}

export interface Kontena {
  /** Makes a container from a bundle; its program waits for `start`. @throws KontenaError; then nothing is left of it */
  create(options: CreateOptions): Container;
  /** The states of all containers of this root. */
  list(): ContainerState[];
}

/** Opens a root for containers; no file is touched before the first `create`. */
export function open(options: Options = {}): Kontena {
  const runtime = openRuntime({
    ...(options.root === undefined ? {} : { root: options.root }),
    ...(options.cgroupManager === undefined ? {} : { cgroupManager: options.cgroupManager }),
    warn: (message, details) => options.onWarning?.(message, details),
    debug: () => {},
  });
  return {
    list: () => list(runtime),
    create(createOptions) {
      const { id, pid, pidfd } = create(runtime, createOptions);
      closeSync(pidfd);
      let exit: Exit | undefined;
      let waiting: Promise<Exit> | undefined;
      const toExit = ({ code, signal }: Exit): Exit => (signal === undefined ? { code } : { code, signal });
      // Whoever reaps it, be it delete: the end is known here.
      onEnd(pid, (ended) => {
        exit = toExit(ended);
      });
      return {
        id,
        pid,
        start: () => start(runtime, id),
        state: () => state(runtime, id),
        kill: (signal) => kill(runtime, id, signal),
        pause: () => pause(runtime, id),
        resume: () => resume(runtime, id),
        processes: () => processes(runtime, id),
        wait() {
          if (exit !== undefined) return Promise.resolve(exit);
          waiting ??= awaitChild(pid).then(toExit);
          return waiting;
        },
        waitSync() {
          if (exit === undefined) reap(pid, false);
          if (exit === undefined)
            throw new KontenaError("WRONG_STATUS", `somebody else was told how container ${id} ended`);
          return exit;
        },
        delete: (deleteOptions) => remove(runtime, id, deleteOptions),
      };
    },
  };
}
