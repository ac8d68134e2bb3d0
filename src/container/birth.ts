/**
 * A process from an encoded plan: its descriptors, what is filled into plan memory when their numbers are known, and its
 * birth. `create` makes a container's init so, and `exec` and hooks a process that enters a container.
 */

import type { Kit, Shape } from "../init/loader.ts";
import { bufferOffset, cellOffset, type EncodedPlan, putText, SOCKET } from "../init/memory.ts";
import { chooseNumbers, type Numbers, type Spawned, spawnInit } from "../init/spawn.ts";
import type { Buffer } from "../init/step.ts";
import { moveAbove, openTalk } from "../init/talk.ts";
import { closeSync, writeSync } from "../kernel/fs.ts";
import { syscall } from "../kernel/libc.ts";
import { mapped } from "../lists.ts";
import type { Handle } from "../plan/handles.ts";
import {
  ABOVE,
  ABOVE_SLOTS,
  BELOW,
  LOWEST,
  MASK_DIRECTORY,
  MASK_UNUSED,
  ROOT,
  SECOND_STAGE,
  SLOTS,
  STATE_DIRECTORY,
} from "../plan/names.ts";

import { placeStreams, type Stdio } from "./stdio.ts";
import { endInit, openPidfd, reap } from "./wait.ts";

/** The cells that are filled in when the numbers of init's descriptors are known; those of handles come on top. */
export const GIVEN = [SOCKET, STATE_DIRECTORY, LOWEST, BELOW, ABOVE, ABOVE_SLOTS, ...SLOTS] as const;

export interface BirthOptions {
  encoded: EncodedPlan;
  /** CLONE_NEW* for clone3. */
  namespaces: number;
  /** What the birth is made with. */
  kits?: (shape: Shape) => Kit;
  /** Others of the same plan may follow. */
  keepsInit?: boolean;
  handles: readonly Handle[];
  preserveFds: number;
  /** Highest capability that the kernel knows. */
  lastCap: number;
  /** Plan memory: a file or a memfd, empty still. */
  planFd: number;
  /** The state directory, for an init that will park. */
  stateFd?: number;
  /** cgroup v2 directory to be born in. */
  cgroupFd?: number;
  /** Where the master end of a terminal goes. */
  consoleFd?: number;
  /** Its standard streams; this process's own unless given. */
  stdio?: Stdio;
  /** What differs between containers of one plan. */
  texts?: readonly Buffer[];
}

export interface Born extends Spawned {
  /** The runtime's end of the conversation. */
  socket: number;
}

/** Descriptors that live for one operation, above those that are the caller's to preserve. */
export interface Descriptors {
  /** Takes a descriptor over, at a number that nobody preserves. */
  own(fd: number): number;
  close(fd: number): void;
  closeAll(): void;
}

export function ownDescriptors(preserveFds: number): Descriptors {
  const open = new Set<number>();
  return {
    own(fd) {
      const moved = moveAbove(fd, 3 + preserveFds);
      open.add(moved);
      return moved;
    },
    close(fd) {
      if (open.delete(fd)) closeSync(fd);
    },
    closeAll() {
      for (const fd of open) closeSync(fd);
      open.clear();
    },
  };
}

/** Loaded for a plan that has any. */
const loadHandles = () => require("./handles.ts") as typeof import("./handles.ts");

/** @throws KontenaError what a handle can't be opened for, or what stops the birth; then there is no process */
export function bear(options: BirthOptions, descriptors: Descriptors): Born {
  const { encoded, handles, preserveFds, planFd, stateFd } = options;
  const opened = mapped(handles, (handle) =>
    descriptors.own(loadHandles().openHandle(handle, options.consoleFd)),
  );
  const talk = openTalk();
  const socket = descriptors.own(talk.ours);
  const theirs = descriptors.own(talk.theirs);
  const kept = stateFd === undefined ? [theirs] : [theirs, stateFd];
  const streams = placeStreams(options.stdio, descriptors);
  const numbers = chooseNumbers(preserveFds, planFd, kept, SLOTS.length, opened);
  fillIn(options, numbers);
  writeSync(planFd, encoded.bytes);
  const { pid, pidfd } = spawnInit({
    namespaces: options.namespaces,
    plan: encoded,
    numbers,
    lastCap: options.lastCap,
    streams,
    ...(options.kits === undefined ? {} : { kits: options.kits }),
    ...(options.keepsInit === undefined ? {} : { keepsInit: options.keepsInit }),
    ...(options.cgroupFd === undefined ? {} : { cgroupFd: options.cgroupFd }),
  });
  for (const fd of [theirs, ...opened, ...mapped(streams, ({ ours }) => ours)]) descriptors.close(fd);
  return { pid, pidfd, socket };
}

/** A process of this one's, and a descriptor that refers to it. */
export type Child = Pick<Born, "pid" | "pidfd">;

/**
 * A first stage makes the second one and ends; that is the process from now on. `listen` waits until it says so.
 * @throws what `listen` does; then there is no second stage
 */
export function toSecondStage(first: Child, planFd: number, encoded: EncodedPlan, listen: () => void): Child {
  try {
    listen();
  } catch (error) {
    // It is a child of this process like the first one, and nobody else knows of it.
    const pid = secondPid(planFd, encoded);
    if (pid > 0) end({ pid, pidfd: openPidfd(pid) });
    throw error;
  }
  const pid = secondPid(planFd, encoded);
  const second = { pid, pidfd: openPidfd(pid) };
  closeSync(first.pidfd);
  reap(first.pid, false);
  return second;
}

/** Ends a process that isn't to go on. */
export function end({ pid, pidfd }: Child): void {
  try {
    endInit(pid, pidfd);
  } finally {
    closeSync(pidfd);
  }
}

/** 0 while there is none. */
function secondPid(planFd: number, encoded: EncodedPlan): number {
  const word = new Int32Array(1);
  syscall("pread64", planFd, new Uint8Array(word.buffer), 4, bufferOffset(encoded, SECOND_STAGE));
  return word[0] ?? 0;
}

/** The numbers of init's descriptors, and the texts that a kept plan has of another container. */
function fillIn({ encoded, handles, texts = [] }: BirthOptions, numbers: Numbers): void {
  const { plan, kept, lowest, above } = numbers;
  const firstSlot = plan.inInit + 1 + kept.length;
  const values: Record<string, number> = {
    [SOCKET]: kept[0]?.inInit ?? -1,
    [STATE_DIRECTORY]: kept[1]?.inInit ?? -1,
    [LOWEST]: lowest,
    [BELOW]: plan.inInit,
    [ABOVE]: above,
    [ABOVE_SLOTS]: firstSlot,
    [ROOT]: firstSlot + SLOTS.indexOf(ROOT),
    [MASK_DIRECTORY]: firstSlot + SLOTS.indexOf(MASK_DIRECTORY),
    [MASK_UNUSED]: firstSlot + SLOTS.indexOf(MASK_UNUSED),
  };
  for (let i = 0; i < handles.length; i++)
    values[(handles[i] as Handle).cell] = numbers.handles[i]?.inInit ?? -1;
  const { bytes, buffers } = encoded;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const name in values)
    view.setBigInt64(cellOffset(encoded, name), BigInt(values[name] as number), true);
  for (const { buffer, text = "", size } of texts) {
    const at = buffers.get(buffer);
    if (at !== undefined) putText(bytes, at, text, size);
  }
}
