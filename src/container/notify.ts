/**
 * NOTIFY_SOCKET (sd_notify(3)): the program says that it is ready to a socket of kontena's own, which passes it on to the
 * service manager. The service manager's own socket isn't in the container, and takes nothing from processes it doesn't know.
 */

import type { Config } from "../../spec/config.ts";
import { O } from "../kernel/consts/fcntl.ts";
import { bindDatagram, connectDatagram } from "../kernel/datagram.ts";
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, unlinkSync } from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { sendDescriptor } from "../kernel/unix-socket.ts";
import { join } from "../path.ts";
import { isNew } from "../plan/input.ts";
import type { Runtime } from "./runtime.ts";
import { openPidfd, poll } from "./wait.ts";

/** In the state directory, bound into the container: as runc has it. */
const DIRECTORY = "notify";
const SOCKET = "notify.sock";
const INSIDE = "/run/notify";

export function notifyDirectory(stateDirectory: string): string {
  return join(stateDirectory, DIRECTORY);
}

/** The directory that will hold the socket; the container sees it read-only. */
export function makeNotifyDirectory(stateDirectory: string): void {
  const path = notifyDirectory(stateDirectory);
  mkdirSync(path);
  chmodSync(path, 0o755);
}

/** The config with the directory bound in and the variable that leads there. */
export function withNotifySocket(config: Config, stateDirectory: string): Config {
  if (config.process === undefined || !isNew(config, "mount")) return config;
  const env = (config.process.env ?? []).filter((entry) => !entry.startsWith("NOTIFY_SOCKET="));
  env.push(`NOTIFY_SOCKET=${INSIDE}/${SOCKET}`);
  const mount = {
    destination: INSIDE,
    type: "bind",
    source: notifyDirectory(stateDirectory),
    options: ["bind", "nosuid", "noexec", "nodev", "ro"],
  };
  return {
    ...config,
    process: { ...config.process, env },
    mounts: [...(config.mounts ?? []), mount],
  };
}

/** A socket that listens to a container's program, and where to pass on what it says. */
export interface Notifier {
  fd: number;
  host: string;
}

/** Listens from here on; undefined for a container without the directory. @throws SyscallError */
export function listenForReady(stateDirectory: string, host: string): Notifier | undefined {
  const directory = notifyDirectory(stateDirectory);
  if (!existsSync(directory)) return undefined;
  const path = join(directory, SOCKET);
  // One of a `start` that was killed.
  if (existsSync(path)) unlinkSync(path);
  // A path of the state directory may be longer than an address can be.
  const at = openSync(directory, "r");
  try {
    const fd = bindDatagram(`/proc/self/fd/${at}/${SOCKET}`);
    // Whoever the program is.
    chmodSync(path, 0o777);
    return { fd, host };
  } finally {
    closeSync(at);
  }
}

const MESSAGE_SIZE = 4096;
/** A program that goes on talking doesn't keep this process from its other work. */
const MOST_AT_ONCE = 64;

/** The line that says READY, of the messages that are there. */
function readyLine(fd: number): string | undefined {
  const bytes = new Uint8Array(MESSAGE_SIZE);
  for (let i = 0; i < MOST_AT_ONCE; i++) {
    const got = rawSyscall("read", fd, bytes, bytes.length);
    if (got < 0) return undefined;
    const lines = new TextDecoder().decode(bytes.subarray(0, got)).split("\n");
    const line = lines.find((text) => text.startsWith("READY="));
    if (line !== undefined) return line;
  }
  return undefined;
}

const BARRIER_MS = 5000;

/**
 * Waits until the service manager has taken what was sent: it looks up the sender, which may be gone in a moment
 * (sd_notify_barrier(3)). It closes the descriptor that it gets; so does a receiver that doesn't know of this.
 */
function barrier(socket: number): void {
  const ends = new Int32Array(2);
  syscall("pipe2", new Uint8Array(ends.buffer), O.O_CLOEXEC);
  const [readEnd, writeEnd] = ends as unknown as [number, number];
  try {
    sendDescriptor(socket, new TextEncoder().encode("BARRIER=1"), writeEnd);
  } finally {
    closeSync(writeEnd);
    poll([readEnd], BARRIER_MS);
    closeSync(readEnd);
  }
}

/** Tells the service manager what the program has said, and that the program is the service's main process. */
function passOn(runtime: Runtime, host: string, line: string, pid: number, leaving: boolean): void {
  try {
    const fd = connectDatagram(host);
    try {
      for (const text of [line, `MAINPID=${pid}`]) {
        const bytes = new TextEncoder().encode(`${text}\n`);
        syscall("write", fd, bytes, bytes.length);
      }
      if (leaving) barrier(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    runtime.warn(`cannot tell the service manager that the container is ready: ${(error as Error).message}`, {
      hint: `NOTIFY_SOCKET is ${host}`,
    });
  }
}

/** Waits until the program says that it is ready, or has ended, and closes the notifier. */
export function awaitReady(runtime: Runtime, { fd, host }: Notifier, pid: number): void {
  let pidfd: number | undefined;
  try {
    pidfd = openPidfd(pid);
    for (;;) {
      const ready = poll([fd, pidfd], -1);
      const line = readyLine(fd);
      if (line !== undefined) {
        passOn(runtime, host, line, pid, true);
        return;
      }
      if (ready.some((one) => one.fd === pidfd)) return;
    }
  } catch (error) {
    runtime.debug(`nobody to wait for: ${(error as Error).message}`);
  } finally {
    if (pidfd !== undefined) closeSync(pidfd);
    closeSync(fd);
  }
}

const LOOK_EVERY_MS = 20;

/** The same beside other work of this process, until the returned function is called. */
export function watchForReady(runtime: Runtime, { fd, host }: Notifier, pid: number): () => void {
  let done = false;
  const look = () => {
    const line = done ? undefined : readyLine(fd);
    if (line === undefined) return;
    done = true;
    clearInterval(timer);
    // This process stays until the program has ended.
    passOn(runtime, host, line, pid, false);
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return () => {
    // It may have been ready for a moment only.
    look();
    clearInterval(timer);
    closeSync(fd);
  };
}
