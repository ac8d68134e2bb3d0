/**
 * Hooks (config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle"): programs of the config that run at points of the
 * container's life, one after the other, each with the container's state on its standard input.
 */

import type { Config } from "../../spec/config.ts";
import type { Hook, HookName } from "../../spec/hooks.ts";
import { KontenaError } from "../error.ts";
import { F, MFD, O } from "../kernel/consts/fcntl.ts";
import { SIGKILL } from "../kernel/consts/signal.ts";
import { readText } from "../kernel/files.ts";
import { closeSync } from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { planHook, STREAMS } from "../plan/hook.ts";
import { type Descriptors, ownDescriptors } from "./birth.ts";
import type { StoredState } from "./directory.ts";
import { type Entrance, entranceOf } from "./enter.ts";
import { gatherHost } from "./host.ts";
import { type LaunchOptions, launch } from "./launch.ts";
import type { ContainerState } from "./state.ts";
import { awaitEnd, openPidfd, poll, type Readiness, reap } from "./wait.ts";

/** Those that run in the container's namespaces; the others run in the runtime's. */
const INSIDE: readonly HookName[] = ["createContainer", "startContainer"];
/** Those that init waits for; whoever ends it (`delete --force`) doesn't wait for them. The program may end before poststart. */
const AWAITED: readonly HookName[] = ["prestart", "createRuntime", "createContainer", "startContainer"];

export interface HookOptions {
  config: Config;
  /** What the hooks read. */
  state: ContainerState;
  /** Which container, for hooks inside and for those that init waits for. */
  stored: StoredState;
}

/** Runs the hooks of these names, in this order. @throws KontenaError HOOK_FAILED for the first one that fails */
export function runHooks(names: readonly HookName[], options: HookOptions): void {
  for (const name of names)
    (options.config.hooks?.[name] ?? []).forEach((hook, i) => {
      runHook(hook, name, `hooks.${name}[${i}]`, options);
    });
}

/** The same for poststop, whose failures are warnings: the container is gone, whatever they do. */
export function runPoststop(
  options: HookOptions,
  warn: (message: string, details: { at?: string; hint?: string }) => void,
): void {
  (options.config.hooks?.poststop ?? []).forEach((hook, i) => {
    try {
      runHook(hook, "poststop", `hooks.poststop[${i}]`, options);
    } catch (error) {
      if (!(error instanceof KontenaError)) throw error;
      const { at, hint } = error.details;
      warn(error.message, { ...(at === undefined ? {} : { at }), ...(hint === undefined ? {} : { hint }) });
    }
  });
}

function runHook(hook: Hook, name: HookName, at: string, options: HookOptions): void {
  const descriptors = ownDescriptors(0);
  try {
    const { output, ...prepared } = prepareHook(hook, name, at, options, descriptors);
    const { pid, pidfd } = launch(prepared, descriptors);
    const init = AWAITED.includes(name) ? [descriptors.own(openPidfd(options.stored.pid))] : [];
    const said = newSaid(output);
    const ended = awaitHook(pid, pidfd, hook.timeout, init, said);
    if (ended === undefined) return;
    throw new KontenaError("HOOK_FAILED", `the ${name} hook ${hook.path} failed: ${ended}`, {
      at,
      path: hook.path,
      ...hintOf(said),
    });
  } finally {
    descriptors.closeAll();
  }
}

/** What is decided before the hook's process is born; `output` is where what it says can be read. @throws KontenaError */
export function prepareHook(
  hook: Hook,
  name: HookName,
  at: string,
  { config, state, stored }: HookOptions,
  descriptors: Descriptors,
): LaunchOptions & { output: number } {
  const input = descriptors.own(syscall("memfd_create", "state", MFD.MFD_CLOEXEC));
  const [output, said] = makePipe(descriptors);
  const inside = INSIDE.includes(name);
  writeAt(input, JSON.stringify(inside ? { ...state, pid: pidInside(stored.pid) } : state));
  const entrance = inside ? entranceOf(stored, {}, descriptors) : undefined;
  const streams = STREAMS.map((cell, i) => ({ kind: "given" as const, cell, fd: i === 0 ? input : said }));
  const host = { ...gatherHost(), sources: {} };
  const cwd = inside ? (name === "createContainer" ? state.rootfs : "/") : state.bundle;
  const plan = planHook(
    {
      ...{ hook, at, cwd, host },
      config: withTypes(config, entrance),
      ...(entrance === undefined ? {} : { enter: entrance.input }),
    },
    [...(entrance?.handles ?? []), ...streams],
  );
  return {
    ...{ plan, output, preserveFds: 0, lastCap: host.lastCap },
    ...(entrance?.cgroupFd === undefined ? {} : { cgroupFd: entrance.cgroupFd }),
    born: (born) => entrance?.join(born),
  };
}

/** Which namespaces it isn't beside the runtime in: the planner asks for the user namespace. */
function withTypes(config: Config, entrance: Entrance | undefined): Config {
  const namespaces = (entrance?.types ?? []).map((type) => ({ type, path: "/" }));
  return { ...config, linux: { ...config.linux, namespaces } };
}

function writeAt(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  syscall("pwrite64", fd, bytes, bytes.length, 0);
}

/** "For hooks executed in the container namespace, it is the pid as seen by the container" (runtime.md, "State"). */
function pidInside(pid: number): number {
  const pids = /^NSpid:\s*(.*)$/m.exec(readText(`/proc/${pid}/status`))?.[1]?.split(/\s+/);
  return Number(pids?.at(-1) ?? pid);
}

const DIES_MS = 10_000;

/** Undefined when it ended well, or else how it ended. `init` is a pidfd of who waits for it, if anybody does. */
function awaitHook(
  pid: number,
  pidfd: number,
  timeout: number | undefined,
  init: readonly number[],
  said: Said,
): string | undefined {
  try {
    const ready = listenUntil([pidfd, ...init], timeout, said);
    const byItself = ready.some(({ fd }) => fd === pidfd);
    if (!byItself) rawSyscall("pidfd_send_signal", pidfd, SIGKILL, 0, 0);
    awaitEnd(pidfd, DIES_MS);
    hear(said);
    const ended = reap(pid, false);
    if (!byItself && ready.length > 0) return "the container's init has ended";
    if (!byItself) return `it took more than ${timeout} s, and was killed`;
    if (typeof ended === "string") return "it is no child of this process";
    if (ended.code === 0) return undefined;
    return ended.signal === undefined ? `exit status ${ended.code}` : `killed by signal ${ended.signal}`;
  } finally {
    closeSync(pidfd);
  }
}

const MOST_SAID = 2000;

/** The end of what a hook has written to standard output and error. */
interface Said {
  fd: number;
  tail: Uint8Array;
  /** Bytes in all. */
  size: number;
}

const newSaid = (fd: number): Said => ({ fd, tail: new Uint8Array(0), size: 0 });

/**
 * A pipe, since it holds as much as is asked for, and since a shell that opens /dev/stderr anew goes on where it was. Only this end
 * is read without waiting: the hook's is as any.
 */
function makePipe({ own }: Descriptors): [read: number, write: number] {
  const pair = new Int32Array(2);
  syscall("pipe2", new Uint8Array(pair.buffer), O.O_CLOEXEC);
  const [read = -1, write = -1] = pair;
  own(read);
  own(write);
  syscall("fcntl", read, F.F_SETFL, O.O_NONBLOCK);
  return [read, write];
}

/** Reads what is there by now. */
function hear(said: Said): void {
  const piece = new Uint8Array(16 * 1024);
  for (;;) {
    const got = rawSyscall("read", said.fd, piece, piece.length);
    if (got <= 0) return;
    const all = new Uint8Array(said.tail.length + got);
    all.set(said.tail);
    all.set(piece.subarray(0, got), said.tail.length);
    said.tail = all.slice(-MOST_SAID);
    said.size += got;
  }
}

/** Waits for one of `fds`, for so many seconds, and hears the hook meanwhile, which may say more than a pipe holds. */
function listenUntil(fds: readonly number[], seconds: number | undefined, said: Said): Readiness[] {
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1000;
  for (;;) {
    const left = end === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.ceil(end - performance.now()));
    const ready = poll([...fds, said.fd], left);
    const awaited = ready.filter(({ fd }) => fd !== said.fd);
    if (awaited.length > 0 || ready.length === 0 || left === 0) return awaited;
    hear(said);
  }
}

function hintOf({ tail, size }: Said): { hint?: string } {
  const text = new TextDecoder().decode(tail).trim();
  if (text === "") return {};
  return { hint: `it said: ${size > MOST_SAID ? "… " : ""}${text}` };
}
