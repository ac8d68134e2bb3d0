/**
 * A process that does nothing but be in a new user namespace: the kernel gives id mappings by a namespace's descriptor
 * (mount_setattr(2), MOUNT_ATTR_IDMAP), and a namespace with new mappings takes a process that its maps are written for.
 */

import { KontenaError } from "../error.ts";
import { CLONE, CLONE3 } from "../kernel/consts/sched.ts";
import { SIGCHLD, SIGKILL } from "../kernel/consts/signal.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { closeSync } from "../kernel/fs.ts";
import { type NativeMemory, syscall } from "../kernel/libc.ts";
import { ARCH } from "../kernel/syscalls.ts";
import { encodePlan } from "./encode.ts";
import { CHILD_STACK, OPS_SIZE } from "./loader.ts";
import { machineFor } from "./machine/index.ts";
import { cellOffset } from "./memory.ts";
import { undisturbed } from "./share.ts";
import { getLoader } from "./spawn.ts";
import { buffer, type Step, words } from "./step.ts";
import { openTalk } from "./talk.ts";

/** Where clone3 leaves the child's pidfd and pid: the last bytes of the ops' area. */
const PIDFD_AT = OPS_SIZE - 8;
const PID_AT = OPS_SIZE - 16;

/**
 * It shares this process's memory, as init does until it executes, but nobody waits for it: it has a stack of its own and
 * runs two calls. It ends with this process, whose end of the socket pair it has closed for itself.
 */
function holderSteps(memory: NativeMemory, ours: number, theirs: number): Step[] {
  const flags =
    BigInt((CLONE.CLONE_VM | CLONE.CLONE_PIDFD | CLONE.CLONE_NEWUSER | CLONE.CLONE_PARENT_SETTID) >>> 0) |
    CLONE3.CLONE_CLEAR_SIGHAND;
  const at = (offset: number) => memory.address + offset;
  const clone = words(
    ...[flags, at(PIDFD_AT), 0, at(PID_AT), SIGCHLD],
    ...[at(CHILD_STACK.offset), CHILD_STACK.size, 0, 0, 0, 0],
  );
  return undisturbed({
    call: "clone3",
    args: [clone, 88],
    why: "a process in a new user namespace",
    save: "result",
    zero: [
      { call: "close", args: [ours], why: "the runtime's end is the runtime's alone", otherwise: "next" },
      {
        call: "read",
        args: [theirs, buffer("nothing", 8), 1],
        why: "wait for the end of the runtime, or of this process",
        otherwise: "next",
      },
      { call: "exit_group", args: [0], why: "nobody needs the namespace any more" },
    ],
    otherwise: "next",
  });
}

/**
 * Runs `use` with the pid of a process in a new user namespace, whose maps are still to be written.
 * @throws KontenaError NAMESPACE_FAILED, and what `use` throws; the process is gone in any case
 */
export function inNewUserNamespace<T>(use: (pid: number) => T): T {
  const { run, memory } = getLoader(() => machineFor(ARCH).interpreter());
  const { ours, theirs } = openTalk();
  let pidfd: number | undefined;
  try {
    const steps = holderSteps(memory, ours, theirs);
    const encoded = encodePlan({ create: steps, start: [] }, {}, { base: memory.address, end: "return" });
    if (encoded.bytes.length > PID_AT) throw new RangeError("the list is too long");
    memory.bytes.fill(0, encoded.bytes.length, OPS_SIZE);
    memory.bytes.set(encoded.bytes);
    run(encoded.firstOp);
    const result = Number(memory.view.getBigInt64(cellOffset(encoded, "result"), true));
    // The child saves its own result, 0, in the same place.
    if (result < 0) throw cloneError(-result);
    const pid = memory.view.getInt32(PID_AT, true);
    pidfd = memory.view.getInt32(PIDFD_AT, true);
    try {
      return use(pid);
    } finally {
      syscall("pidfd_send_signal", pidfd, SIGKILL, 0, 0);
      syscall("wait4", pid, 0, 0, 0);
    }
  } finally {
    for (const fd of [ours, theirs, pidfd]) if (fd !== undefined) closeSync(fd);
  }
}

function cloneError(errno: number): KontenaError {
  const name = errnoName(errno);
  return new KontenaError("NAMESPACE_FAILED", `cannot create a user namespace: ${errnoText(name)}`, {
    syscall: "clone3",
    errno: name,
    ...(name === "ENOSPC" || name === "EUSERS"
      ? { hint: "the limit on user namespaces is reached, see /proc/sys/user/max_user_namespaces" }
      : {}),
  });
}
