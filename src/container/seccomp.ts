/** linux.seccomp on its way to the planner: compiled by libseccomp, or found among the filters that are kept. */

import type { Config } from "../../spec/config.ts";
import { join } from "../path.ts";
import type { PlanInput, SeccompFilter } from "../plan/input.ts";
import type { Runtime } from "./runtime.ts";

/** `@` is in no id: this is no container. */
const STORE = "@seccomp";

/**
 * The filter of a config; undefined when it has none, and libseccomp isn't even looked for.
 * @throws KontenaError HOST_UNSUPPORTED, SECCOMP_FAILED
 */
export function filterOfConfig(runtime: Runtime, { linux }: Config, keep = true): SeccompFilter | undefined {
  if (linux?.seccomp === undefined) return undefined;
  const { filterOf } = require("../seccomp/filter.ts") as typeof import("../seccomp/filter.ts");
  return filterOf(linux.seccomp, { cache: join(runtime.root, STORE), keep, debug: (m) => runtime.debug(m) });
}

/** The planner's input with the filter in it. Without `keep` nothing is written. */
export function withFilter<T extends PlanInput>(runtime: Runtime, input: T, keep = true): T {
  const seccomp = filterOfConfig(runtime, input.config, keep);
  return seccomp === undefined ? input : { ...input, seccomp };
}

/** What a plan depends on beside the config: the library's version, where the text of a config speaks of a filter at all. */
export function seccompFact(text: string): string {
  if (!text.includes('"seccomp"')) return "";
  const { libseccompVersion } =
    require("../kernel/libseccomp.ts") as typeof import("../kernel/libseccomp.ts");
  try {
    return libseccompVersion();
  } catch {
    // The config's own error comes when the filter is compiled.
    return "none";
  }
}
