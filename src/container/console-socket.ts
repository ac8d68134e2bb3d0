/** Where the master end of a terminal goes: to an engine's socket, or to this process, which then passes everything through. */

import type { Config } from "../../spec/config.ts";
import { KontenaError } from "../error.ts";
import { F, O } from "../kernel/consts/fcntl.ts";
import { AF_UNIX, SOCK } from "../kernel/consts/socket.ts";
import { ERRNO, errnoText } from "../kernel/errno.ts";
import { writeSync } from "../kernel/fs.ts";
import { rawSyscall, SyscallError, syscall } from "../kernel/libc.ts";
import { connectStream, receiveDescriptor, sendDescriptor } from "../kernel/unix-socket.ts";
import type { Descriptors } from "./birth.ts";
import { makeRaw, setTerminalSize, terminalSize } from "./terminal.ts";
import { poll } from "./wait.ts";

export interface ConsoleOptions {
  /** Path of the socket that receives the master end (SCM_RIGHTS). */
  consoleSocket?: string;
  /** This process's own: the other end of {@link openForeground}. */
  consoleFd?: number;
}

/** @throws KontenaError USAGE when a terminal is asked for that nobody would hold, or nobody asks for the one that is awaited */
export function checkConsole(config: Config, { consoleSocket, consoleFd }: ConsoleOptions): void {
  const terminal = config.process?.terminal === true;
  if (terminal && consoleSocket === undefined && consoleFd === undefined)
    throw new KontenaError(
      "USAGE",
      "a process with a terminal needs --console-socket, unless it runs in the foreground",
      {
        at: "process.terminal",
        hint: "set process.terminal to false, or use `kontena run` without --detach",
      },
    );
  if (!terminal && consoleSocket !== undefined)
    throw new KontenaError("USAGE", "--console-socket is for a process with a terminal", {
      at: "process.terminal",
      hint: "set process.terminal to true",
    });
}

const PATIENCE_SECONDS = 10;

function connect(path: string, option: string): number {
  try {
    return connectStream(path, PATIENCE_SECONDS);
  } catch (error) {
    const errno = error instanceof SyscallError ? error.errno : "ENAMETOOLONG";
    throw new KontenaError("USAGE", `${option}: cannot connect to ${path}: ${(error as Error).message}`, {
      path,
      errno,
    });
  }
}

/** The connection that init sends the master end through; undefined for a process without a terminal. */
export function openConsole(
  config: Config,
  options: ConsoleOptions,
  { own }: Descriptors,
): number | undefined {
  if (config.process?.terminal !== true) return undefined;
  const { consoleSocket, consoleFd } = options;
  return consoleSocket === undefined ? consoleFd : own(connect(consoleSocket, "--console-socket"));
}

/** Hands a process's pidfd to whoever listens on the socket (--pidfd-socket). */
export function sendPidfd(path: string, pidfd: number, { own, close }: Descriptors): void {
  const socket = own(connect(path, "--pidfd-socket"));
  try {
    sendDescriptor(socket, new TextEncoder().encode("pidfd"), pidfd);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const { errno, syscall: call } = error;
    throw new KontenaError("USAGE", `--pidfd-socket: cannot send to ${path}: ${errnoText(errno)}`, {
      ...{ path, errno, syscall: call },
    });
  } finally {
    close(socket);
  }
}

export interface Foreground {
  /** For init: the master end comes back through it. */
  theirs: number;
  ours: number;
}

export function openForeground({ own }: Descriptors): Foreground {
  const pair = new Int32Array(2);
  syscall("socketpair", AF_UNIX, SOCK.SOCK_SEQPACKET | SOCK.SOCK_CLOEXEC, 0, new Uint8Array(pair.buffer));
  return { ours: own(pair[0] as number), theirs: own(pair[1] as number) };
}

/** The master end that init has sent, non-blocking; it has the size of this process's terminal before the program looks. */
export function receiveMaster({ ours }: Foreground, { own }: Descriptors): number {
  const master = receiveDescriptor(ours);
  if (master === undefined) throw new KontenaError("INTERNAL", "init sent no terminal");
  syscall("fcntl", master, F.F_SETFL, O.O_RDWR | O.O_NONBLOCK);
  resize(master);
  return own(master);
}

function resize(master: number): void {
  const size = terminalSize(0);
  if (size !== undefined) setTerminalSize(master, size);
}

/** How long a signal of this process may wait for its turn. */
const TURN_MS = 100;

/**
 * Passes everything between this process's terminal and the program's, until `ended` is over or nobody holds the program's
 * end. This process's terminal is raw meanwhile, its size is the program's, and it is as it was at the end, however that comes.
 * The program's is hung up then, so that nothing waits for a reader for ever.
 * @throws KontenaError when nobody reads what this process writes
 */
export async function passThrough(
  master: number,
  ended: Promise<unknown>,
  { close }: Pick<Descriptors, "close">,
): Promise<void> {
  const follow = () => resize(master);
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  ended.then(over, over);
  process.on("SIGWINCH", follow);
  follow();
  const restore = makeRaw(0);
  try {
    await copy(master, () => isOver);
  } finally {
    restore();
    process.off("SIGWINCH", follow);
    close(master);
  }
}

async function copy(master: number, isOver: () => boolean): Promise<void> {
  const chunk = new Uint8Array(16 * 1024);
  let pending: Uint8Array = new Uint8Array(0);
  let input = true;
  for (;;) {
    // What the program doesn't read yet must not keep its output from being read.
    const wait = isOver() ? 0 : pending.length > 0 ? TURN_MS / 10 : TURN_MS;
    const ready = poll(input && pending.length === 0 ? [master, 0] : [master], wait);
    const written = pending.length === 0 ? 0 : rawSyscall("write", master, pending, pending.length);
    if (written > 0) pending = pending.slice(written);
    if (ready.some(({ fd }) => fd === 0)) {
      const got = rawSyscall("read", 0, chunk, chunk.length);
      if (got > 0) pending = chunk.slice(0, got);
      else if (got !== -ERRNO.EINTR && got !== -ERRNO.EAGAIN) input = false;
    }
    const isReady = ready.some(({ fd }) => fd === master);
    if (isReady && !forward(master, chunk)) return;
    if (!isReady && isOver()) return;
    // Handlers of signals run only between two turns.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** @param errno of the write */
const nobodyReads = (errno = "EIO") =>
  new KontenaError("PROCESS_FAILED", "the program's output can't be passed on: nobody reads it any more", {
    at: "process.terminal",
    ...{ syscall: "write", errno },
  });

/** One piece of the program's output; false when there will be no more. @throws KontenaError when this one can't be written */
function forward(master: number, chunk: Uint8Array): boolean {
  const got = rawSyscall("read", master, chunk, chunk.length);
  if (got === -ERRNO.EAGAIN || got === -ERRNO.EINTR) return true;
  // EIO: nobody holds the other end any more.
  if (got <= 0) return false;
  for (let at = 0; at < got; ) {
    try {
      at += writeSync(1, chunk, at, got - at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") Bun.sleepSync(1);
      else if (code !== "EINTR") throw nobodyReads(code);
    }
  }
  return true;
}
