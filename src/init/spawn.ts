/**
 * The birth of init: clone3 from the interpreter itself, mapped in this process, then execveat of a sealed memfd.
 *
 * The child shares this process's memory until it executes (CLONE_VM|CLONE_VFORK: JavaScriptCore's code memory isn't copied
 * by a fork), so between the two it may only run ops: no JavaScript, no libc, and nothing that changes credentials, but for
 * capset in a user namespace of its own (a change of ids would leave this process non-dumpable).
 */
import { closeSync, writeSync } from "node:fs";
import { KontenaError } from "../error.ts";
import { _LINUX_CAPABILITY_VERSION_3 } from "../kernel/consts/capability.ts";
import { AT_EMPTY_PATH, CLOSE_RANGE, F, F_SEAL, MFD, O } from "../kernel/consts/fcntl.ts";
import { MAP, PROT } from "../kernel/consts/mman.ts";
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC } from "../kernel/consts/mount.ts";
import { PR, PR_CAP_AMBIENT } from "../kernel/consts/prctl.ts";
import { CLONE, CLONE3 } from "../kernel/consts/sched.ts";
import { SIG, SIGCHLD, SIGSET_SIZE } from "../kernel/consts/signal.ts";
import { ERRNO, errnoName, errnoText } from "../kernel/errno.ts";
import {
  type NativeMemory,
  nativeFunction,
  nativeMemory,
  rawSyscall,
  SyscallError,
  syscall,
} from "../kernel/libc.ts";
import { ARCH, syscallNumber } from "../kernel/syscalls.ts";
import { bootstrapElf } from "./elf.ts";
import { cellOffset, type EncodedPlan, encodePlan, PLAN_BASE, readRecord } from "./encode.ts";
import { machineFor } from "./machine/index.ts";
import { buffer, type Call, type Step, struct } from "./step.ts";
import { moveAbove } from "./talk.ts";

export interface SpawnOptions {
  /** The namespaces to create: CLONE_NEW*. */
  namespaces: number;
  plan: EncodedPlan;
  /** Descriptors that init gets beside 0–2 and the preserved ones. */
  numbers: Numbers;
  /** Those that take the place of this process's own 0–2. */
  streams?: readonly Placed[];
  /** Highest capability that the kernel knows. */
  lastCap: number;
  /** cgroup v2 directory for the child to be born in. */
  cgroupFd?: number;
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

/** Numbers for init's descriptors: those that it keeps, `slots` free ones, then the handles. */
export function chooseNumbers(
  preserveFds: number,
  plan: number,
  kept: readonly number[],
  slots: number,
  handles: readonly number[] = [],
): Numbers {
  const lowest = 3 + preserveFds;
  const first = Math.max(lowest, plan, ...kept, ...handles) + 1;
  const behind = first + 1 + kept.length + slots;
  return {
    plan: { ours: plan, inInit: first },
    kept: kept.map((ours, i) => ({ ours, inInit: first + 1 + i })),
    handles: handles.map((ours, i) => ({ ours, inInit: behind + i })),
    lowest,
    above: behind + handles.length,
  };
}

export interface Spawned {
  pid: number;
  /** Refers to the process for as long as it is open, whatever happens to the number. */
  pidfd: number;
}

/** Layout of the loader's memory: code, then ops and cells, then the child's stack. */
const CODE_SIZE = 65536;
export const OPS_SIZE = 65536;
const STACK_SIZE = 16384;
/** In the loader's memory. */
export const CHILD_STACK = { offset: OPS_SIZE, size: STACK_SIZE } as const;

interface Loader {
  run(first: number): void;
  memory: NativeMemory;
}

let loader: Loader | undefined;

/** Maps the interpreter into this process, once: written first, made executable after, never both. */
export function getLoader(): Loader {
  if (loader !== undefined) return loader;
  const size = CODE_SIZE + OPS_SIZE + STACK_SIZE;
  const address = syscall(
    "mmap",
    0,
    size,
    PROT.PROT_READ | PROT.PROT_WRITE,
    MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS,
    -1,
    0,
  );
  nativeMemory(address, CODE_SIZE).bytes.set(machineFor(ARCH).interpreter());
  syscall("mprotect", address, CODE_SIZE, PROT.PROT_READ | PROT.PROT_EXEC);
  loader = { run: nativeFunction(address), memory: nativeMemory(address + CODE_SIZE, OPS_SIZE + STACK_SIZE) };
  return loader;
}

const fail = (message: string) => ({ code: "INTERNAL", message }) as const;

/**
 * In a new user namespace execve drops every capability of an id that isn't mapped yet, and the maps can't be written
 * while vfork holds the parent; ambient capabilities survive.
 */
function keepCapabilities(lastCap: number): Call[] {
  const all = (1n << BigInt(lastCap + 1)) - 1n;
  const raise = (cap: number): Call => ({
    call: "prctl",
    args: [PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT.PR_CAP_AMBIENT_RAISE, cap, 0, 0],
    why: "keep this capability across execveat",
    fail: fail("cannot keep a capability in the new user namespace"),
  });
  return [
    {
      call: "capset",
      args: [
        struct("cap_user_header", { version: _LINUX_CAPABILITY_VERSION_3, pid: 0 }),
        struct("cap_user_data", { effective: all, permitted: all, inheritable: all }),
      ],
      why: "make every capability inheritable",
      fail: fail("cannot keep the capabilities in the new user namespace"),
    },
    ...Array.from({ length: lastCap + 1 }, (_, cap) => raise(cap)),
  ];
}

/** What the child does before it becomes init. */
function childSteps(options: SpawnOptions, initFd: number): Step[] {
  const hand = ({ ours, inInit }: Placed): Call => ({
    call: "dup3",
    args: [ours, inInit, 0],
    why: "init gets this descriptor, at a number of its own",
    fail: fail("cannot hand a descriptor to init"),
  });
  const { plan, kept, handles, lowest } = options.numbers;
  return [
    ...((options.namespaces & CLONE.CLONE_NEWUSER) !== 0 ? keepCapabilities(options.lastCap) : []),
    {
      call: "close_range",
      args: [lowest, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],
      why: "nothing else that is open here reaches init",
      fail: fail("cannot close the runtime's descriptors"),
    },
    // Bun sets FD_CLOEXEC on all that it was started with.
    ...Array.from(
      { length: lowest - 3 },
      (_, i): Call => ({
        call: "fcntl",
        args: [3 + i, F.F_SETFD, 0],
        why: "the program inherits this descriptor",
        fail: fail("cannot preserve a descriptor"),
      }),
    ),
    // Streams first: init's numbers may be theirs here.
    ...[...(options.streams ?? []), plan, ...kept, ...handles].map(hand),
    {
      call: "execveat",
      args: [initFd, "", { strings: ["kontena-init"] }, { strings: [] }, AT_EMPTY_PATH],
      why: "become init",
      fail: fail("cannot execute init"),
    },
  ];
}

const SIGNALS = "the caller's signal mask";

/** clone3 between two changes of the signal mask: a signal must not run a handler of this process in the child. */
function loaderSteps(options: SpawnOptions, initFd: number, memory: NativeMemory): Step[] {
  const namespaces = BigInt(options.namespaces >>> 0);
  const flags =
    namespaces |
    BigInt(CLONE.CLONE_VM | CLONE.CLONE_VFORK | CLONE.CLONE_PIDFD) |
    CLONE3.CLONE_CLEAR_SIGHAND |
    (options.cgroupFd === undefined ? 0n : CLONE3.CLONE_INTO_CGROUP);
  const args = struct("clone_args", {
    flags,
    pidfd: BigInt(memory.address + PIDFD_AT),
    exit_signal: BigInt(SIGCHLD),
    stack: BigInt(memory.address + OPS_SIZE),
    stack_size: BigInt(STACK_SIZE),
    cgroup: BigInt(options.cgroupFd ?? 0),
  });
  return [
    {
      call: "rt_sigprocmask",
      args: [SIG.SIG_SETMASK, struct("sigset", ~0n), buffer(SIGNALS, 8), SIGSET_SIZE],
      why: "no signal meets the child while it shares this memory",
      fail: fail("cannot block signals"),
    },
    {
      call: "clone3",
      args: [args, 88],
      why: "the child, with the namespaces that the config asks for",
      save: "pid",
      zero: [...childSteps(options, initFd), { call: "exit_group", args: [127], why: "never reached" }],
      otherwise: "next",
    },
    {
      call: "rt_sigprocmask",
      args: [SIG.SIG_SETMASK, buffer(SIGNALS, 8), 0, SIGSET_SIZE],
      why: "signals as they were",
      fail: fail("cannot restore the signal mask"),
    },
  ];
}

/** Where clone3 stores the pidfd: the last bytes of the ops' area. */
const PIDFD_AT = OPS_SIZE - 8;

/**
 * Creates the child and returns when it has become init, waiting for its first order.
 * @throws KontenaError NAMESPACE_FAILED, CGROUP_FAILED, HOST_UNSUPPORTED or INTERNAL; then there is no child.
 */
export function spawnInit(options: SpawnOptions): Spawned {
  const { run, memory } = getLoader();
  // Above the numbers in init: dup3 in the child must not close it.
  const initFd = moveAbove(openInit(options), options.numbers.above);
  try {
    const steps = loaderSteps(options, initFd, memory);
    const encoded = encodePlan({ create: steps, start: [] }, {}, { base: memory.address, end: "return" });
    if (encoded.bytes.length > PIDFD_AT) throw new RangeError("the loader's list is too long");
    memory.bytes.fill(0, encoded.bytes.length, OPS_SIZE);
    memory.bytes.set(encoded.bytes);
    run(encoded.firstOp);
    const pid = Number(memory.view.getBigInt64(cellOffset(encoded, "pid"), true));
    if (pid < 0) throw cloneError(-pid, options);
    const pidfd = memory.view.getInt32(PIDFD_AT, true);
    const record = readRecord(memory.bytes);
    if (record === undefined) return { pid, pidfd };
    syscall("wait4", pid, 0, 0, 0);
    closeSync(pidfd);
    const call = encoded.ops.find((op) => op.address === record.op)?.call;
    throw childError(call, record.errno);
  } finally {
    closeSync(initFd);
  }
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
  const ofCgroup: number[] = [ERRNO.EACCES, ERRNO.EOPNOTSUPP, ERRNO.EBUSY];
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

/** The init program: a descriptor of a sealed memfd with the interpreter and its bootstrap. */
function openInit(options: SpawnOptions): number {
  const image = bootstrapElf({
    machine: machineFor(ARCH),
    planFd: options.numbers.plan.inInit,
    planBase: BigInt(PLAN_BASE),
    planSize: options.plan.bytes.length,
    firstOp: BigInt(options.plan.firstOp),
    numbers: {
      mmap: syscallNumber("mmap"),
      close: syscallNumber("close"),
      exit_group: syscallNumber("exit_group"),
    },
  });
  const flags = MFD.MFD_CLOEXEC | MFD.MFD_ALLOW_SEALING;
  let fd = rawSyscall("memfd_create", "kontena-init", flags | MFD.MFD_EXEC);
  // Kernels before 6.3 don't know MFD_EXEC and need no such leave.
  if (fd === -ERRNO.EINVAL) fd = rawSyscall("memfd_create", "kontena-init", flags);
  // vm.memfd_noexec=2: root has another file system in memory.
  if (fd === -ERRNO.EACCES) return openInitOnTmpfs(image);
  if (fd < 0) throw new SyscallError("memfd_create", -fd);
  writeSync(fd, image);
  const seals = F_SEAL.F_SEAL_SEAL | F_SEAL.F_SEAL_SHRINK | F_SEAL.F_SEAL_GROW | F_SEAL.F_SEAL_WRITE;
  syscall("fcntl", fd, F.F_ADD_SEALS, seals);
  return fd;
}

/** The same on a tmpfs that is mounted nowhere and goes with its last descriptor. */
function openInitOnTmpfs(image: Uint8Array): number {
  const context = rawSyscall("fsopen", "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0)
    throw new KontenaError("HOST_UNSUPPORTED", "this machine forbids programs in memory", {
      syscall: "memfd_create",
      errno: "EACCES",
      hint: "vm.memfd_noexec is 2: set it to 0 or 1, or run kontena as root",
    });
  syscall("fsconfig", context, FSCONFIG.FSCONFIG_CMD_CREATE, 0, 0, 0);
  const mount = syscall("fsmount", context, FSMOUNT_CLOEXEC, 0);
  const file = syscall("openat", mount, "init", O.O_CREAT | O.O_WRONLY | O.O_CLOEXEC, 0o500);
  writeSync(file, image);
  closeSync(file);
  const fd = syscall("openat", mount, "init", O.O_RDONLY | O.O_CLOEXEC, 0);
  closeSync(mount);
  closeSync(context);
  return fd;
}
