/** Real inits with small plans: spawned by this process, told to go on, looked at in /proc, and gone after each test. */
import { closeSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { encodePlan } from "../../../src/init/encode.ts";
import {
  cellOffset,
  type EncodedPlan,
  type FailureRecord,
  readRecord,
  SOCKET,
} from "../../../src/init/memory.ts";
import { chooseNumbers, spawnInit } from "../../../src/init/spawn.ts";
import type { Call, Step } from "../../../src/init/step.ts";
import { awaitDone, moveAbove, openTalk, sendGo } from "../../../src/init/talk.ts";
import { MFD } from "../../../src/kernel/consts/fcntl.ts";
import { rawSyscall, syscall } from "../../../src/kernel/libc.ts";

export const LAST_CAP = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
export const BORN: Step = { pause: "born", why: "wait", silent: true };

export const call = (name: Call["call"], args: Call["args"] = [], more: Partial<Call> = {}): Call => ({
  call: name,
  args,
  why: name,
  fail: { code: "INTERNAL", message: `cannot ${name}` },
  ...more,
});
export const exit = (status: number) => call("exit_group", [status], { why: "a good end" });

export interface ParkOptions {
  namespaces?: number;
  start?: readonly Step[];
  /** Names of cells for descriptors of this process that init keeps. */
  keep?: Record<string, number>;
  cgroupFd?: number;
  preserveFds?: number;
}

export interface Parked {
  pid: number;
  plan: EncodedPlan;
  /** Lets it go on; false when it is gone. */
  go(): boolean;
  /** Waits for its word; false when it is gone. */
  done(): boolean;
  /** Closes this process's end of the conversation. */
  hangUp(): void;
  /** Waits for its end: the exit status, or 128+N. */
  end(): number;
  cell(name: string): bigint;
  record(): FailureRecord | undefined;
  /** The first line `name:` of /proc/PID/status. */
  status(name: string): string;
  proc(file: string): string;
  link(file: string): string;
}

/** How to let go of each; the memory of those that have ended by themselves stays readable until then. */
const parked = new Map<number, () => void>();
const ended = new Set<number>();

/** Kills and reaps what tests have left, and closes all that belonged to it. */
export function endAll(): void {
  for (const [pid, release] of parked) {
    if (!ended.has(pid)) {
      rawSyscall("kill", pid, 9);
      rawSyscall("wait4", pid, 0, 0, 0);
    }
    release();
  }
  parked.clear();
  ended.clear();
}

export function park(create: readonly Step[], options: ParkOptions = {}): Parked {
  const { namespaces = 0, start = [], keep = {}, cgroupFd, preserveFds = 0 } = options;
  const least = 3 + preserveFds;
  const memory = moveAbove(syscall("memfd_create", "plan", MFD.MFD_CLOEXEC), least);
  const talk = openTalk();
  const ours = moveAbove(talk.ours, least);
  const theirs = moveAbove(talk.theirs, least);
  const numbers = chooseNumbers(preserveFds, memory, [theirs, ...Object.values(keep)], 0);
  const names = [SOCKET, ...Object.keys(keep)];
  const given = Object.fromEntries(numbers.kept.map((placed, i) => [names[i] as string, placed.inInit]));
  const plan = encodePlan({ create, start }, given);
  writeSync(memory, plan.bytes);
  let spawned: { pid: number; pidfd: number };
  try {
    spawned = spawnInit({
      namespaces,
      plan,
      numbers,
      lastCap: LAST_CAP,
      ...(cgroupFd === undefined ? {} : { cgroupFd }),
    });
  } catch (error) {
    for (const fd of [memory, ours, theirs]) closeSync(fd);
    throw error;
  }
  closeSync(theirs);
  const { pid, pidfd } = spawned;
  const open = new Set([memory, ours, pidfd]);
  const release = () => {
    for (const fd of open) closeSync(fd);
    open.clear();
  };
  parked.set(pid, release);
  const bytes = () => {
    const copy = new Uint8Array(plan.bytes.length);
    syscall("pread64", memory, copy, copy.length, 0);
    return copy;
  };
  const proc = (file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
  // vfork lets the parent go when execve takes the new memory, a moment before it closes descriptors.
  const isBusy = () =>
    / [RD] /.test(
      proc("stat")
        .slice(proc("stat").lastIndexOf(")") + 1, -1)
        .slice(0, 3),
    );
  for (let i = 0; i < 200 && isBusy(); i++) Bun.sleepSync(1);
  return {
    pid,
    plan,
    go: () => sendGo(ours),
    done: () => awaitDone(ours),
    hangUp() {
      open.delete(ours);
      closeSync(ours);
    },
    end() {
      const status = new Int32Array(1);
      syscall("wait4", pid, new Uint8Array(status.buffer), 0, 0);
      ended.add(pid);
      const code = status[0] as number;
      return (code & 0x7f) === 0 ? (code >> 8) & 0xff : 128 + (code & 0x7f);
    },
    cell: (name) => new DataView(bytes().buffer).getBigInt64(cellOffset(plan, name), true),
    record: () => readRecord(bytes()),
    status: (name) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(proc("status"))?.[1] ?? "",
    proc,
    link: (file) => readlinkSync(`/proc/${pid}/${file}`),
  };
}

/** The numbers of this process's open descriptors, but for the one that looks. */
export function descriptors(): string[] {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return !readlinkSync(`/proc/self/fd/${fd}`).endsWith("/fd");
    } catch {
      return false;
    }
  });
}

/** Children of this process that haven't been waited for. */
export function children(): string[] {
  return readdirSync("/proc/self/task").flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, "utf8").split(" ").filter(Boolean),
  );
}

/** A pipe: what was written to it so far can be read without waiting. */
export function openPipe() {
  const pair = new Int32Array(2);
  syscall("pipe2", new Uint8Array(pair.buffer), 0o2004000);
  const [from, to] = pair as unknown as [number, number];
  return {
    from,
    to,
    text(): string {
      const bytes = new Uint8Array(4096);
      const got = rawSyscall("read", from, bytes, bytes.length);
      return new TextDecoder().decode(bytes.subarray(0, Math.max(0, got)));
    },
    close() {
      closeSync(from);
      closeSync(to);
    },
  };
}
