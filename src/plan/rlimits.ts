/** Resource limits (config.md, "POSIX process"; getrlimit(2)). */
import { type Step, struct } from "../init/step.ts";
import { RLIMIT, type RlimitName } from "../kernel/consts/resource.ts";
import type { ProcessInput } from "./input.ts";

export interface Limit {
  at?: string;
  name: RlimitName;
  resource: number;
  soft: bigint;
  hard: bigint;
}

/** The limits that the program gets: the config's, and the caller's RLIMIT_NOFILE, which Bun has raised for itself. */
export function limits({ config, host }: ProcessInput): Limit[] {
  const list = (config.process?.rlimits ?? []).map((limit, i): Limit => {
    const name = limit.type as RlimitName;
    return {
      at: `process.rlimits[${i}]`,
      name,
      resource: RLIMIT[name],
      soft: BigInt(limit.soft),
      hard: BigInt(limit.hard),
    };
  });
  if (host.nofile !== undefined && !list.some((limit) => limit.name === "RLIMIT_NOFILE"))
    list.push({ name: "RLIMIT_NOFILE", resource: RLIMIT.RLIMIT_NOFILE, ...host.nofile });
  return list;
}

/**
 * init lowers its limits itself, right before the program: a small RLIMIT_NOFILE would stop its own work. Raising a hard
 * limit takes CAP_SYS_RESOURCE in the first user namespace, so the runtime does that from outside, during create.
 */
export function setLimits(input: ProcessInput): Step[] {
  return limits(input).map((limit) => ({
    call: "prlimit64",
    args: [0, limit.resource, struct("rlimit64", { rlim_cur: limit.soft, rlim_max: limit.hard }), 0],
    why: limit.at === undefined ? "the caller's limit, not the one that Bun raised" : `limit ${limit.name}`,
    at: limit.at,
    fail: {
      code: "PROCESS_FAILED",
      message: `cannot set ${limit.name} to ${limit.soft}:${limit.hard}`,
      hints: { EPERM: "raising a hard limit needs CAP_SYS_RESOURCE" },
    },
  }));
}
