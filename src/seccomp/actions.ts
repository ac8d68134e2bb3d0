/** Names of config-linux.md, "Seccomp", as the numbers of seccomp.h and linux/seccomp.h. */
import type { Seccomp, SeccompAction, SeccompSyscall } from "../../spec/seccomp.ts";
import { SECCOMP_FILTER_FLAG, SECCOMP_RET } from "../kernel/consts/seccomp.ts";
import { ERRNO } from "../kernel/errno.ts";

const ACTIONS: Record<SeccompAction, number> = {
  // The spec's oldest name means the thread, in the kernel's words of that time.
  SCMP_ACT_KILL: SECCOMP_RET.SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_THREAD: SECCOMP_RET.SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_PROCESS: SECCOMP_RET.SECCOMP_RET_KILL_PROCESS,
  SCMP_ACT_TRAP: SECCOMP_RET.SECCOMP_RET_TRAP,
  SCMP_ACT_ERRNO: SECCOMP_RET.SECCOMP_RET_ERRNO,
  SCMP_ACT_TRACE: SECCOMP_RET.SECCOMP_RET_TRACE,
  SCMP_ACT_ALLOW: SECCOMP_RET.SECCOMP_RET_ALLOW,
  SCMP_ACT_LOG: SECCOMP_RET.SECCOMP_RET_LOG,
  SCMP_ACT_NOTIFY: SECCOMP_RET.SECCOMP_RET_USER_NOTIF,
};

/** What the filter returns; `data` goes into the lower half where the action has a use for it. */
export function actionNumber(action: SeccompAction, data: number = ERRNO.EPERM): number {
  const hasData = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
  return hasData ? ACTIONS[action] + (data & 0xffff) : ACTIONS[action];
}

/** What a profile does with system calls that none of its entries match. */
export function defaultActionNumber({ defaultAction, defaultErrnoRet }: Seccomp): number {
  return actionNumber(defaultAction, defaultErrnoRet);
}

export function ruleActionNumber({ action, errnoRet }: SeccompSyscall): number {
  return actionNumber(action, errnoRet);
}

/** Whether some call is sent to an agent, so that the kernel makes a listener. */
export function notifies({ defaultAction, syscalls = [] }: Seccomp): boolean {
  return defaultAction === "SCMP_ACT_NOTIFY" || syscalls.some(({ action }) => action === "SCMP_ACT_NOTIFY");
}

/**
 * Flags of seccomp(2). Without a list, speculation isn't restricted: since Linux 5.16 that is the kernel's own default, and
 * runc and crun do the same on older ones.
 */
export function filterFlags(seccomp: Seccomp): number {
  let flags: number = seccomp.flags === undefined ? SECCOMP_FILTER_FLAG.SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0;
  for (const name of seccomp.flags ?? []) flags |= SECCOMP_FILTER_FLAG[name];
  if (!notifies(seccomp)) return flags & ~SECCOMP_FILTER_FLAG.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  // A result can't be a descriptor and the thread that TSYNC failed on: seccomp(2) wants the latter as ESRCH.
  if (flags & SECCOMP_FILTER_FLAG.SECCOMP_FILTER_FLAG_TSYNC)
    flags |= SECCOMP_FILTER_FLAG.SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  return flags | SECCOMP_FILTER_FLAG.SECCOMP_FILTER_FLAG_NEW_LISTENER;
}
