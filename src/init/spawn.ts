/**
 * The birth of init: clone3 from the interpreter itself, mapped in this process, then execveat of a sealed memfd.
 *
 * The child shares this process's memory until it executes (CLONE_VM|CLONE_VFORK: JavaScriptCore's code memory isn't copied
 * by a fork), so between the two it may only run ops: no JavaScript, no libc, and nothing that changes credentials, but for
 * capset in a user namespace of its own (a change of ids would leave this process non-dumpable).
 */

import { KontenaError } from "../error.ts";
import { MAP, PROT } from "../kernel/consts/mman.ts";
import { CLONE, CLONE3 } from "../kernel/consts/sched.ts";
import { ERRNO, errnoName, errnoText } from "../kernel/errno.ts";
import { closeSync } from "../kernel/fs.ts";
import { type NativeMemory, nativeFunction, nativeMemory, rawSyscall, syscall } from "../kernel/libc.ts";
import { mapped } from "../lists.ts";
import { isKept, keptInit, newInit } from "./init-file.ts";
import {
  CGROUP,
  CHILD,
  CLONE_FLAGS,
  CODE_SIZE,
  handedCell,
  INIT,
  type Kit,
  LOADER_BASE,
  numberCell,
  OPS_SIZE,
  PIDFD_AT,
  type Shape,
  STACK_SIZE,
} from "./loader.ts";
import { type EncodedPlan, readRecord } from "./memory.ts";
import type { Call } from "./step.ts";

export interface SpawnOptions {
  /** The namespaces to create: CLONE_NEW*. */
  namespaces: number;
  plan: Pick<EncodedPlan, "bytes" | "firstOp">;
  /** Descriptors that init gets beside 0–2 and the preserved ones. */
  numbers: Numbers;
  /** Those that take the place of this process's own 0–2. */
  streams?: readonly Placed[];
  /** Highest capability that the kernel knows. */
  lastCap: number;
  /** cgroup v2 directory for the child to be born in. */
  cgroupFd?: number;
  /** Who has the kit for a shape; it is made anew without. */
  kits?: (shape: Shape) => Kit;
  /** Leaves init's file open for the next birth that is like this one. */
  keepsInit?: boolean;
}

/** A descriptor of this process, and its number in init. */
export interface Placed {
  ours: number;
  inInit: number;
}

/** Where init finds its descriptors: side by side, above all that this process means by the preserved ones and by these. */
export interface Numbers {
  /** Plan memory: a file or memfd, open for reading and writing; init closes it when it is mapped. */
  plan: Placed;
  kept: readonly Placed[];
  /** Those that init is done with when the root is entered: behind the slots. */
  handles: readonly Placed[];
  /** The first number that init may use for what it opens, and the first above all of these. */
  lowest: number;
  above: number;
}

/**
 * Numbers below the kept ones that are init's to open at. As long as a slot is empty, a descriptor that gets its number couldn't
 * be moved there, since it is there: dup3(2) refuses that. No plan has as many open before all slots are taken.
 */
export const ROOM = 10;

/** Numbers for init's descriptors: those that it keeps, `slots` free ones, then the handles. */
export function chooseNumbers(
  preserveFds: number,
  plan: number,
  kept: readonly number[],
  slots: number,
  handles: readonly number[] = [],
): Numbers {
  const lowest = 3 + preserveFds;
  const first = Math.max(lowest + ROOM - 1, plan, ...kept, ...handles) + 1;
  const behind = first + 1 + kept.length + slots;
  return {
    plan: { ours: plan, inInit: first },
    kept: mapped(kept, (ours, i) => ({ ours, inInit: first + 1 + i })),
    handles: mapped(handles, (ours, i) => ({ ours, inInit: behind + i })),
    lowest,
    above: behind + handles.length,
  };
}

export interface Spawned {
  pid: number;
  /** Refers to the process for as long as it is open, whatever happens to the number. */
  pidfd: number;
}

interface Loader {
  run(first: number): void;
  memory: NativeMemory;
}

let loader: Loader | undefined;

/**
 * Maps the interpreter into this process, once: written first, made executable after, never both. At the place that lists
 * are encoded for, or, where something lies there (another thread's loader), anywhere.
 */
export function getLoader(code: () => Uint8Array): Loader {
  if (loader !== undefined) return loader;
  const size = CODE_SIZE + OPS_SIZE + STACK_SIZE;
  const prot = PROT.PROT_READ | PROT.PROT_WRITE;
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS;
  let address = rawSyscall(
    "mmap",
    LOADER_BASE - CODE_SIZE,
    size,
    prot,
    flags | MAP.MAP_FIXED_NOREPLACE,
    -1,
    0,
  );
  if (address < 0) address = syscall("mmap", 0, size, prot, flags, -1, 0);
  nativeMemory(address, CODE_SIZE).bytes.set(code());
  syscall("mprotect", address, CODE_SIZE, PROT.PROT_READ | PROT.PROT_EXEC);
  loader = { run: nativeFunction(address), memory: nativeMemory(address + CODE_SIZE, OPS_SIZE + STACK_SIZE) };
  return loader;
}

/** Loaded for a birth without a kit: a kept plan has its own. */
function loadKit() {
  return require("./kit.ts") as typeof import("./kit.ts");
}

/**
 * Creates the child and returns when it has become init, waiting for its first order.
 * @throws KontenaError NAMESPACE_FAILED, CGROUP_FAILED, HOST_UNSUPPORTED or INTERNAL; then there is no child.
 */
export function spawnInit(options: SpawnOptions): Spawned {
  const shape = shapeOf(options);
  const kit = options.kits?.(shape) ?? loadKit().makeKit(shape);
  const { run, memory } = getLoader(() => kit.code);
  const { plan, numbers, keepsInit = false } = options;
  const told = { planFd: numbers.plan.inInit, planSize: plan.bytes.length, firstOp: plan.firstOp };
  const initFd = (keepsInit ? keptInit : newInit)(kit, told, numbers.above);
  try {
    const { bytes, firstOp, cells } =
      memory.address === LOADER_BASE ? kit.loader : loadKit().makeKit(shape, memory.address).loader;
    memory.bytes.fill(0, bytes.length, OPS_SIZE);
    memory.bytes.set(bytes);
    const values = cellValues(options, initFd);
    for (const name in values)
      memory.view.setBigInt64(cells[name] as number, BigInt(values[name] as number | bigint), true);
    run(firstOp);
    const pid = Number(memory.view.getBigInt64(cells[CHILD] as number, true));
    if (pid < 0) throw cloneError(-pid, options);
    const pidfd = memory.view.getInt32(PIDFD_AT, true);
    const record = readRecord(memory.bytes);
    if (record === undefined) return { pid, pidfd };
    syscall("wait4", pid, 0, 0, 0);
    closeSync(pidfd);
    throw childError(loadKit().callAt(shape, memory.address, record.op), record.errno);
  } finally {
    if (!isKept(initFd)) closeSync(initFd);
  }
}

function flagsOf(namespaces: number, cgroupFd: number | undefined): bigint {
  return (
    BigInt((namespaces | CLONE.CLONE_VM | CLONE.CLONE_VFORK | CLONE.CLONE_PIDFD) >>> 0) |
    CLONE3.CLONE_CLEAR_SIGHAND |
    (cgroupFd === undefined ? 0n : CLONE3.CLONE_INTO_CGROUP)
  );
}

/** All that differs between two births of one shape. */
function cellValues(
  { namespaces, numbers, streams = [], cgroupFd }: SpawnOptions,
  initFd: number,
): Record<string, number | bigint> {
  const values: Record<string, number | bigint> = {
    [INIT]: initFd,
    [CGROUP]: cgroupFd ?? 0,
    [CLONE_FLAGS]: flagsOf(namespaces, cgroupFd),
  };
  // Streams first: init's numbers may be theirs here.
  const handed = [...streams, numbers.plan, ...numbers.kept, ...numbers.handles];
  let i = 0;
  for (const { ours, inInit } of handed) {
    values[handedCell(i)] = ours;
    values[numberCell(i++)] = inInit;
  }
  return values;
}

/** What a kit for this birth depends on. */
export function shapeOf({
  namespaces,
  numbers,
  streams = [],
  lastCap,
}: Pick<SpawnOptions, "namespaces" | "numbers" | "streams" | "lastCap">): Shape {
  return {
    namespaces,
    lastCap,
    preserved: numbers.lowest - 3,
    handed: streams.length + 1 + numbers.kept.length + numbers.handles.length,
  };
}

function cloneError(errno: number, options: SpawnOptions): KontenaError {
  const name = errnoName(errno);
  const details = { syscall: "clone3", errno: name };
  const hints: Record<string, string> = {
    EPERM: "creating these namespaces needs root, or a user namespace beside them",
    ENOSPC: "the limit on namespaces is reached, see /proc/sys/user/max_*_namespaces",
    EUSERS: "the limit on user namespaces is reached, see /proc/sys/user/max_user_namespaces",
    EAGAIN: "the limit on processes is reached",
    ENOMEM: "out of memory, or the cgroup's memory limit is too small",
  };
  const hint = hints[name];
  // Of a birth in a cgroup: not allowed to leave the caller's for it; not a domain; or controllers for cgroups below are enabled.
  // Or removed just now.
  const ofCgroup: number[] = [ERRNO.EACCES, ERRNO.EOPNOTSUPP, ERRNO.EBUSY, ERRNO.ENOENT, ERRNO.ENODEV];
  if (options.cgroupFd !== undefined && ofCgroup.includes(errno))
    return new KontenaError(
      "CGROUP_FAILED",
      `nobody can be born in the container's cgroup: ${errnoText(name)}`,
      {
        at: "linux.cgroupsPath",
        ...details,
        ...(errno === ERRNO.EACCES
          ? {
              hint: "the caller needs the right to write cgroup.procs of what is above its own cgroup and that one",
            }
          : {}),
      },
    );
  return new KontenaError("NAMESPACE_FAILED", `cannot create the container's process: ${errnoText(name)}`, {
    at: "linux.namespaces",
    ...details,
    ...(hint === undefined ? {} : { hint }),
  });
}

function childError(call: Call | undefined, errno: number): KontenaError {
  const name = errnoName(errno);
  const isExec = call?.call === "execveat";
  return new KontenaError(
    isExec ? "HOST_UNSUPPORTED" : "INTERNAL",
    `${call?.fail?.message ?? "the container's process failed"}: ${errnoText(name)}`,
    {
      syscall: call?.call ?? "clone3",
      errno: name,
      ...(isExec && errno === ERRNO.EACCES
        ? { hint: "vm.memfd_noexec forbids programs in memory: set it to 0 or 1" }
        : {}),
      ...(isExec && errno === ERRNO.E2BIG ? { hint: "the cgroup's memory limit is too small" } : {}),
    },
  );
}
