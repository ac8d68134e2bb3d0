/** The filter of a config, as the planner takes it: program and flags, compiled or found among those that are kept. */
import type { Seccomp } from "../../spec/seccomp.ts";
import { libseccompVersion } from "../kernel/libseccomp.ts";
import { ARCH } from "../kernel/syscalls.ts";
import type { SeccompFilter } from "../plan/input.ts";
import { filterFlags, notifies } from "./actions.ts";
import { hashOf, keepProgram, readProgram } from "./cache.ts";
import { compileProgram } from "./program.ts";

/** The sources that a build was made from; there only in the compiled program. */
declare const KONTENA_BUILD: string | undefined;

export interface FilterOptions {
  /** Directory of kept programs; without it, none is read or kept. */
  cache?: string;
  /** Whether a program that isn't there is written to it. */
  keep?: boolean;
  debug(message: string): void;
}

/** @throws KontenaError HOST_UNSUPPORTED without libseccomp, SECCOMP_FAILED for a profile that it doesn't take */
export function filterOf(seccomp: Seccomp, { cache, keep = true, debug }: FilterOptions): SeccompFilter {
  const name = nameOf(seccomp);
  const kept = cache === undefined ? undefined : readProgram(cache, name);
  const program = kept ?? compileProgram(seccomp, debug);
  if (cache !== undefined && kept === undefined && keep) {
    try {
      keepProgram(cache, name, program);
    } catch (error) {
      debug(`the seccomp filter is not kept: ${(error as Error).message}`);
    }
  }
  return { program, flags: filterFlags(seccomp), listener: notifies(seccomp) };
}

/** Everything that a program depends on, in one hash. The kernel isn't in it: libseccomp isn't asked what it has. */
function nameOf(seccomp: Seccomp): string {
  const { defaultAction, defaultErrnoRet, architectures, syscalls } = seccomp;
  const text = JSON.stringify(
    [defaultAction, defaultErrnoRet, architectures, syscalls],
    (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value),
  );
  const build = typeof KONTENA_BUILD === "undefined" ? "" : KONTENA_BUILD;
  return Buffer.from(hashOf(`${build}\0${libseccompVersion()}\0${ARCH}\0${text}`)).toString("hex");
}
