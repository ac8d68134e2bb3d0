/**
 * What only the runtime can do about limits: raising a hard one, or lowering the score of the OOM killer, takes
 * CAP_SYS_RESOURCE in the first user namespace.
 */

import { KontenaError } from "../error.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { codeOf } from "../kernel/files.ts";
import { writeFileSync } from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { encodeStruct } from "../kernel/structs.ts";
import type { Treatment } from "../plan/outside.ts";

/** Raises init's hard limits to those of the config, leaving the soft ones; init does the rest right before the program. */
export function raiseLimits({ limits }: Treatment, pid: number): void {
  for (const limit of limits) {
    const now = new BigUint64Array(2);
    syscall("prlimit64", pid, limit.resource, 0, new Uint8Array(now.buffer));
    const { 0: soft = 0n, 1: hard = 0n } = now;
    const asked = BigInt(limit.hard);
    if (asked <= hard) continue;
    const raised = encodeStruct("rlimit64", { rlim_cur: soft, rlim_max: asked });
    const result = rawSyscall("prlimit64", pid, limit.resource, raised, 0);
    if (result >= 0) continue;
    const errno = errnoName(-result);
    throw new KontenaError(
      "PROCESS_FAILED",
      `cannot raise ${limit.name} from ${hard} to ${limit.hard}: ${errnoText(errno)}`,
      {
        at: limit.at,
        syscall: "prlimit",
        errno,
        ...(errno === "EPERM" ? { hint: "raising a hard limit needs CAP_SYS_RESOURCE" } : {}),
      },
    );
  }
}

/**
 * proc_pid_oom_score_adj(5) of a process, when the config has one; its children inherit it. From outside, since init itself
 * may not lower it once it is in a user namespace.
 */
export function setOomScoreAdj({ oomScoreAdj: value }: Treatment, pid: number): void {
  if (value === undefined) return;
  const path = `/proc/${pid}/oom_score_adj`;
  try {
    writeFileSync(path, String(value));
  } catch (error) {
    const errno = codeOf(error);
    throw new KontenaError("PROCESS_FAILED", `cannot set oom_score_adj to ${value}: ${errnoText(errno)}`, {
      at: "process.oomScoreAdj",
      syscall: "write",
      errno,
      path,
      ...(errno === "EACCES" ? { hint: "below the caller's own it needs CAP_SYS_RESOURCE" } : {}),
    });
  }
}
