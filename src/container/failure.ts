/** A failure record → the error: which step, from which place of the config, what the kernel said. */

import { type ErrorCode, KontenaError } from "../error.ts";
import { HEAD_SIZE, readRecord } from "../init/memory.ts";
import type { Call } from "../init/step.ts";
import { type ErrnoName, errnoName, errnoText } from "../kernel/errno.ts";
import { closeSync, openSync, readSync } from "../kernel/fs.ts";

/** What `start` needs to know of a call that another process planned. */
export type KnownCall = Pick<Call, "call" | "at" | "fail">;

/** The ops that may still fail, by address (a decimal string in JSON). */
export type KnownCalls = Record<string, KnownCall>;

function detailsOf(call: KnownCall, errno: string, log: string) {
  const hint = call.fail?.hints?.[errno as ErrnoName];
  const words = [hint, log === "" ? undefined : `the kernel said: ${log}`].filter((w) => w !== undefined);
  return {
    ...(call.at === undefined ? {} : { at: call.at }),
    syscall: call.call,
    errno,
    ...(call.fail?.path === undefined ? {} : { path: call.fail.path }),
    ...(words.length === 0 ? {} : { hint: words.join("; ") }),
  };
}

/** The error of a failed call. */
export function callError(call: KnownCall, errno: string, log = ""): KontenaError {
  const code: ErrorCode = call.fail?.codes?.[errno as ErrnoName] ?? call.fail?.code ?? "INTERNAL";
  const message = call.fail?.message ?? call.call;
  if (call.fail?.plain) return new KontenaError(code, message, call.at === undefined ? {} : { at: call.at });
  return new KontenaError(code, `${message}: ${errnoText(errno)}`, detailsOf(call, errno, log));
}

/** The error that plan memory tells of; undefined when no step has failed. */
export function recordedError(
  head: Uint8Array,
  known: (address: string) => KnownCall | undefined,
): KontenaError | undefined {
  const record = readRecord(head);
  if (record === undefined) return undefined;
  const call = known(String(record.op));
  const errno = errnoName(record.errno);
  // Plan memory is written by a process in the container; an address that no op has is its doing, not ours.
  if (call === undefined)
    return new KontenaError("INIT_DIED", `init stopped at an unknown step: ${errnoText(errno)}`);
  return callError(call, errno, record.log);
}

/** The first bytes of the plan file. */
export function readHead(path: string): Uint8Array {
  const head = new Uint8Array(HEAD_SIZE);
  const fd = openSync(path);
  try {
    return head.subarray(0, readSync(fd, head));
  } finally {
    closeSync(fd);
  }
}

/** The kernel's end of a process whose seccomp filter kills it, for one call or another. */
const SIGSYS = 31;

/** What is known of the end of an init that has left no record; `stat` is of its zombie, if that is there still. */
export function silentEnd(message: string, stat: { signal: number } | undefined): KontenaError {
  if (stat?.signal === SIGSYS)
    return new KontenaError("INIT_DIED", message, {
      at: "linux.seccomp",
      hint: "its seccomp filter killed it: that has to let init's last calls pass, execve above all",
    });
  return new KontenaError("INIT_DIED", message, {
    hint: "it was killed: from outside, or for want of memory",
  });
}
