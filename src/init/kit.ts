/**
 * What a birth is made with, and what is the same for all births of one shape: the interpreter, the loader's list of ops, and
 * init's file. Made of numbers alone, so that it is kept with a plan, and neither encoder nor assembler are loaded again.
 */
import { KontenaError } from "../error.ts";
import { _LINUX_CAPABILITY_VERSION_3 } from "../kernel/consts/capability.ts";
import { AT_EMPTY_PATH, CLOSE_RANGE, F } from "../kernel/consts/fcntl.ts";
import { PR, PR_CAP_AMBIENT } from "../kernel/consts/prctl.ts";
import { CLONE } from "../kernel/consts/sched.ts";
import { SIGCHLD } from "../kernel/consts/signal.ts";
import { ARCH, syscallNumber } from "../kernel/syscalls.ts";
import { BOOTSTRAP_OFFSETS, bootstrapElf } from "./elf.ts";
import { encodePlan } from "./encode.ts";
import {
  CGROUP,
  CHILD,
  CLONE_FLAGS,
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
import { machineFor } from "./machine/index.ts";
import { callOf, PLAN_BASE } from "./memory.ts";
import { OP_SIZE } from "./op.ts";
import { undisturbed } from "./share.ts";
import { type Call, cell, type Step, struct, words } from "./step.ts";

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
function childSteps({ namespaces, lastCap, preserved, handed }: Shape): Step[] {
  return [
    ...((namespaces & CLONE.CLONE_NEWUSER) !== 0 ? keepCapabilities(lastCap) : []),
    {
      call: "close_range",
      args: [3 + preserved, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],
      why: "nothing else that is open here reaches init",
      fail: fail("cannot close the runtime's descriptors"),
    },
    // Bun sets FD_CLOEXEC on all that it was started with.
    ...Array.from(
      { length: preserved },
      (_, i): Call => ({
        call: "fcntl",
        args: [3 + i, F.F_SETFD, 0],
        why: "the program inherits this descriptor",
        fail: fail("cannot preserve a descriptor"),
      }),
    ),
    ...Array.from(
      { length: handed },
      (_, i): Call => ({
        call: "dup3",
        args: [cell(handedCell(i)), cell(numberCell(i)), 0],
        why: "init gets this descriptor, at a number of its own",
        fail: fail("cannot hand a descriptor to init"),
      }),
    ),
    {
      call: "execveat",
      args: [cell(INIT), "", { strings: ["kontena-init"] }, { strings: [] }, AT_EMPTY_PATH],
      why: "become init",
      fail: fail("cannot execute init"),
    },
  ];
}

function loaderSteps(shape: Shape, base: number): Step[] {
  // struct clone_args (linux/sched.h): flags, pidfd, child_tid, parent_tid, exit_signal, stack, its size, tls, set_tid …, cgroup.
  const clone = words(
    ...[cell(CLONE_FLAGS), base + PIDFD_AT, 0, 0, SIGCHLD],
    ...[base + OPS_SIZE, STACK_SIZE, 0, 0, 0, cell(CGROUP)],
  );
  return undisturbed({
    call: "clone3",
    args: [clone, 88],
    why: "the child, with the namespaces that the config asks for",
    save: CHILD,
    zero: [...childSteps(shape), { call: "exit_group", args: [127], why: "never reached" }],
    otherwise: "next",
  });
}

function encodeLoader(shape: Shape, base: number) {
  const names = Array.from({ length: shape.handed }, (_, i) => [handedCell(i), numberCell(i)]).flat();
  const given = Object.fromEntries([...names, INIT].map((name) => [name, 0]));
  const encoded = encodePlan({ create: loaderSteps(shape, base), start: [] }, given, { base, end: "return" });
  if (encoded.bytes.length > PIDFD_AT)
    throw new KontenaError(
      "HOST_UNSUPPORTED",
      `init can't be given ${shape.handed + shape.preserved} descriptors`,
      {
        hint: "fewer with --preserve-fds, or fewer mounts that the runtime has to open, are possible",
      },
    );
  return encoded;
}

/** The kit for a shape; its list is for `base`, where the loader's memory is. */
export function makeKit(shape: Shape, base = LOADER_BASE): Kit {
  const machine = machineFor(ARCH);
  const { bytes, firstOp, cells } = encodeLoader(shape, base);
  const init = bootstrapElf({
    machine,
    planBase: BigInt(PLAN_BASE),
    // Told at birth.
    ...{ planFd: 0, planSize: OP_SIZE, firstOp: BigInt(PLAN_BASE) },
    numbers: {
      mmap: syscallNumber("mmap"),
      close: syscallNumber("close"),
      exit_group: syscallNumber("exit_group"),
    },
  });
  return {
    code: machine.interpreter(),
    loader: { bytes, firstOp, cells: Object.fromEntries(cells) },
    init,
    toldAt: BOOTSTRAP_OFFSETS,
  };
}

/** The call of the loader's list at an address: for the error of one that has failed. */
export function callAt(shape: Shape, base: number, address: number): Call | undefined {
  return callOf(encodeLoader(shape, base), String(address));
}
