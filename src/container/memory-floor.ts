/**
 * A memory limit that not even init fits in. The kernel has several ways to say that: clone3 fails with ENOMEM, execveat with
 * E2BIG (a page of arguments can't be had), the OOM killer takes init, or nothing goes on, while memory is taken back and
 * asked for again.
 */
import type { Cgroup } from "../cgroup/cgroup.ts";
import { KontenaError } from "../error.ts";

/** Loaded when init has died: few do. */
function oomKillsOf(...args: Parameters<typeof import("../cgroup/oom.ts").oomKills>) {
  const { oomKills } = require("../cgroup/oom.ts") as typeof import("../cgroup/oom.ts");
  return oomKills(...args);
}

/** Above this nobody's init has to do with the limit. */
const SMALL = 16 * 1024 * 1024;

/** How long init may take for a batch under a small limit, in milliseconds: well above what any takes that goes on. */
export const PATIENCE = 20_000;

/** What all here is about. */
export const MEMORY_LIMIT = "linux.resources.memory.limit";

/** The memory limit of the container, if it is small. */
export function smallLimit(cgroup: Cgroup | undefined): number | undefined {
  const limit = cgroup?.resources?.memory?.limit;
  return typeof limit === "number" && limit > 0 && limit < SMALL ? limit : undefined;
}

function tooSmall(limit: number, hint: string): KontenaError {
  return new KontenaError(
    "RESOURCE_FAILED",
    `the memory limit of ${limit} bytes is too small for the container to start`,
    {
      at: MEMORY_LIMIT,
      hint,
    },
  );
}

/** The error for init that doesn't go on. */
export function stalled(limit: number): KontenaError {
  return tooSmall(limit, `nothing went on for ${PATIENCE / 1000} s`);
}

/** The error of a create or start that failed for want of memory below its own limit; any other as it is. */
export function explainMemory(error: unknown, cgroup: Cgroup | undefined): unknown {
  const limit = smallLimit(cgroup);
  if (limit === undefined || cgroup === undefined || !(error instanceof KontenaError)) return error;
  const { errno, syscall } = error.details;
  const isShort = errno === "ENOMEM" || (errno === "E2BIG" && syscall === "execveat");
  if (!isShort && oomKillsOf(cgroup) === 0n) return error;
  return tooSmall(limit, error.message);
}

/** What to tell of a program that SIGKILL has ended, if the OOM killer was in its cgroup and its limit is small. */
export function killedForMemory(cgroup: Cgroup | undefined): string | undefined {
  const limit = smallLimit(cgroup);
  if (limit === undefined || cgroup === undefined || oomKillsOf(cgroup) === 0n) return undefined;
  return `the program was killed, and the OOM killer was in its cgroup: the memory limit is ${limit} bytes`;
}
