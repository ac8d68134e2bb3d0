/**
 * Hooks (config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle"): programs of the config that run at points of the
 * container's life, one after the other, each with the container's state on its standard input.
 */

import type { Config } from "../../spec/config.ts";
import type { Hook, HookName } from "../../spec/hooks.ts";
import { KontenaError } from "../error.ts";
import { MFD } from "../kernel/consts/fcntl.ts";
import { SIGKILL } from "../kernel/consts/signal.ts";
import { readText } from "../kernel/files.ts";
import { closeSync, fstatSync, readSync } from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { planHook, STREAMS } from "../plan/hook.ts";
import { type Descriptors, ownDescriptors } from "./birth.ts";
import type { StoredState } from "./directory.ts";
import { type Entrance, entranceOf } from "./enter.ts";
import { gatherHost } from "./host.ts";
import { type LaunchOptions, launch } from "./launch.ts";
import type { ContainerState } from "./state.ts";
import { awaitEnd, openPidfd, poll, reap } from "./wait.ts";

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
    const { said, ...prepared } = prepareHook(hook, name, at, options, descriptors);
    const { pid, pidfd } = launch(prepared, descriptors);
    const init = AWAITED.includes(name) ? [descriptors.own(openPidfd(options.stored.pid))] : [];
    const ended = awaitHook(pid, pidfd, hook.timeout, init);
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

/** What is decided before the hook's process is born; `said` is where its output goes. @throws KontenaError */
export function prepareHook(
  hook: Hook,
  name: HookName,
  at: string,
  { config, state, stored }: HookOptions,
  descriptors: Descriptors,
): LaunchOptions & { said: number } {
  const stream = (label: string) => descriptors.own(syscall("memfd_create", label, MFD.MFD_CLOEXEC));
  const [input, said] = [stream("state"), stream("hook")];
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
    ...{ plan, said, preserveFds: 0, lastCap: host.lastCap },
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
): string | undefined {
  try {
    const ready = poll([pidfd, ...init], timeout === undefined ? -1 : timeout * 1000);
    const byItself = ready.some(({ fd }) => fd === pidfd);
    if (!byItself) rawSyscall("pidfd_send_signal", pidfd, SIGKILL, 0, 0);
    awaitEnd(pidfd, DIES_MS);
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

/** The end of what it wrote to standard output and error. */
function hintOf(said: number): { hint?: string } {
  const { size } = fstatSync(said);
  const bytes = new Uint8Array(Math.min(size, MOST_SAID));
  readSync(said, bytes, 0, bytes.length, size - bytes.length);
  const text = new TextDecoder().decode(bytes).trim();
  if (text === "") return {};
  return { hint: `it said: ${size > MOST_SAID ? "… " : ""}${text}` };
}
