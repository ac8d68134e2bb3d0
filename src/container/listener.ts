/**
 * SCMP_ACT_NOTIFY (config-linux.md, "Seccomp"): the listener of the filter is made in init, by init's last step but a few.
 * `start` takes it from there and gives it to the agent at listenerPath, while init waits.
 *
 *     agent                 start                                 init
 *       │ ◀──── connect ──── │ opens both FIFOs                     │
 *       │                    │ ◀──────────────────────────────── R  │
 *       │                    │                    its cell is set   │ loads the filter
 *       │ ◀─ listener, state │ ◀── pidfd_getfd ───────────────────  │ reads the FIFO: waits
 *       │                    │ ── a byte ────────────────────────▶  │ closes the listener, execve
 *
 * The agent is called before init goes on: one that doesn't answer leaves a container that can be started again. A `start`
 * that is killed is the end of file of the FIFO, and init's end.
 */

import type { State } from "../../spec/state.ts";
import { KontenaError } from "../error.ts";
import { UNSET } from "../init/memory.ts";
import { errnoText } from "../kernel/errno.ts";
import { closeSync, constants, openSync, readSync, writeSync } from "../kernel/fs.ts";
import { SyscallError, syscall } from "../kernel/libc.ts";
import { connectStream, sendDescriptor } from "../kernel/unix-socket.ts";
import { join } from "../path.ts";
import { LISTENER_FIFO } from "../plan/names.ts";

import { PLAN, type StoredState } from "./directory.ts";

const AT = "linux.seccomp.listenerPath";
/** How long the agent may take to accept a connection, and to make room for what is sent. */
const PATIENCE_SECONDS = 10;

/** The container process state (config-linux.md, "The Container Process State"). */
interface ContainerProcessState {
  ociVersion: string;
  fds: string[];
  pid: number;
  metadata?: string;
  state: State;
}

export interface HandOver {
  /** Does it as soon as the filter is loaded; whether that is still to come. @throws KontenaError SECCOMP_FAILED */
  isPending(): boolean;
  /** Lets go of what it has open; init ends with it when it wasn't done. */
  close(): void;
}

/** What a hand-over needs to know of the process that has loaded the filter. */
export interface Loading {
  /** Socket of the agent, and what it is told beside the state. */
  path: string;
  metadata: string | undefined;
  /** Descriptor of plan memory, and where in it the number of the listener appears. */
  plan: number;
  cell: number;
  pid: number;
  pidfd: number;
  state: State;
  /** Tells init that the agent has the listener. */
  goOn(): void;
}

function failed(what: string, path: string, error: unknown, hint?: string): unknown {
  if (!(error instanceof SyscallError || error instanceof RangeError)) return error;
  const { syscall: call, errno } =
    error instanceof SyscallError ? error : { syscall: "connect", errno: "ENAMETOOLONG" };
  return new KontenaError("SECCOMP_FAILED", `cannot ${what}: ${errnoText(errno)}`, {
    ...{ at: AT, syscall: call, errno, path },
    ...(hint === undefined ? {} : { hint }),
  });
}

function connect(path: string): number {
  try {
    return connectStream(path, PATIENCE_SECONDS);
  } catch (error) {
    const hint = "it has to listen there before the container starts";
    throw failed(`connect to the seccomp agent at ${path}`, path, error, hint);
  }
}

/** Connects to the agent. @throws KontenaError SECCOMP_FAILED */
export function openHandOver(loading: Loading): HandOver {
  let agent: number | undefined = connect(loading.path);
  const close = () => {
    if (agent !== undefined) closeSync(agent);
    agent = undefined;
  };
  return {
    isPending() {
      if (agent === undefined) return false;
      const fd = readCell(loading);
      if (fd === undefined) return true;
      send(loading, agent, fd);
      // Exactly one message a connection.
      close();
      loading.goOn();
      return false;
    },
    close,
  };
}

/** The same for a container that is started: init waits on a FIFO of the state directory. */
export function openStart(directory: string, state: StoredState, pidfd: number): HandOver | undefined {
  if (state.listener === undefined) return undefined;
  const { path, metadata, cell } = state.listener;
  // For reading too: neither this nor init's own opening waits then.
  const fifo = openSync(join(directory, LISTENER_FIFO), constants.O_RDWR | constants.O_NONBLOCK);
  const plan = openSync(join(directory, PLAN), constants.O_RDONLY);
  const closeFiles = () => {
    for (const fd of [fifo, plan]) closeSync(fd);
  };
  try {
    const { ociVersion, id, pid, bundle, annotations = {} } = state;
    const handOver = openHandOver({
      ...{ path, metadata, plan, cell, pid, pidfd },
      state: { ociVersion, id, status: "created", pid, bundle, annotations },
      goOn: () => writeSync(fifo, "L"),
    });
    const close = () => {
      handOver.close();
      closeFiles();
    };
    return { isPending: handOver.isPending, close };
  } catch (error) {
    closeFiles();
    throw error;
  }
}

/** The listener's number in init; undefined while the filter isn't loaded, or when the kernel has refused it. */
function readCell({ plan, cell }: Loading): number | undefined {
  const bytes = new Uint8Array(8);
  readSync(plan, bytes, 0, 8, cell);
  const value = new DataView(bytes.buffer).getBigInt64(0, true);
  return value === UNSET || value < 0n ? undefined : Number(value);
}

function send({ path, metadata, pid, pidfd, state }: Loading, agent: number, fd: number): void {
  let taken: number;
  try {
    taken = syscall("pidfd_getfd", pidfd, fd, 0);
  } catch (error) {
    // init is gone, or beyond this: an earlier `start` has done it, and was killed.
    if (error instanceof SyscallError && ["ESRCH", "EBADF"].includes(error.errno)) return;
    const hint = "a security module may forbid it, such as Yama with kernel.yama.ptrace_scope=3";
    throw failed("take the seccomp listener out of init", path, error, hint);
  }
  try {
    const message: ContainerProcessState = {
      ociVersion: state.ociVersion,
      fds: ["seccompFd"],
      pid,
      ...(metadata === undefined ? {} : { metadata }),
      state,
    };
    sendDescriptor(agent, new TextEncoder().encode(JSON.stringify(message)), taken);
  } catch (error) {
    throw failed(`send the seccomp listener to the agent at ${path}`, path, error);
  } finally {
    closeSync(taken);
  }
}
