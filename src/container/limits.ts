/** What only the runtime can do about limits: raising a hard one takes CAP_SYS_RESOURCE in the first user namespace. */
import { KontenaError } from "../error.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { encodeStruct } from "../kernel/structs.ts";
import type { PlanInput } from "../plan/input.ts";
import { limits } from "../plan/rlimits.ts";

/** Raises init's hard limits to those of the config, leaving the soft ones; init does the rest right before the program. */
export function raiseLimits(input: PlanInput, pid: number): void {
  for (const limit of limits(input)) {
    if (limit.at === undefined) continue;
    const now = new BigUint64Array(2);
    syscall("prlimit64", pid, limit.resource, 0, new Uint8Array(now.buffer));
    const [soft, hard] = now as unknown as [bigint, bigint];
    if (limit.hard <= hard) continue;
    const raised = encodeStruct("rlimit64", { rlim_cur: soft, rlim_max: limit.hard });
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
