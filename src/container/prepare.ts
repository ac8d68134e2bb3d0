/** Bundle → plan: everything that can be decided before anything is done. `create` and `explain` share it. */
import type { Problem } from "../error.ts";
import { capabilitySets } from "../plan/capabilities.ts";
import type { PlanInput } from "../plan/input.ts";
import { type Lookup, lookupsOf } from "../plan/lookups.ts";
import { mountWarnings } from "../plan/mount-checks.ts";
import { type Plan, planContainer } from "../plan/order.ts";
import { userProblems } from "../plan/user.ts";
import type { Bundle, BundleText } from "./bundle.ts";
import { readBundle, withRoot } from "./bundle.ts";
import { checkConfig, problemsError } from "./check.ts";
import { gatherHost, type HostFacts, sourceKinds } from "./host.ts";
import { checkId } from "./id.ts";
import { absoluteSources, type CreateOptions, checkPreserved, toInput } from "./input.ts";
import type { Runtime } from "./runtime.ts";
import { withFilter } from "./seccomp.ts";

export { type CreateOptions, cgroupPathOf } from "./input.ts";

export interface Prepared {
  bundle: Bundle;
  /** What of the host the plan depends on. */
  lookups: Lookup[];
  input: PlanInput;
  plan: Plan;
}

/**
 * Checks a bundle that has been read, and plans it. `warn` hears of what is odd but legal; without `keep` nothing is written.
 * @throws KontenaError
 */
export function prepareBundle(
  runtime: Runtime,
  options: CreateOptions,
  text: BundleText,
  facts: HostFacts,
  warn: (warning: Problem) => void,
  keep = true,
): Prepared {
  const bundle = withRoot(text, checkConfig(text, warn));
  const lookups = lookupsOf(absoluteSources(bundle.config, bundle.path));
  const sources = sourceKinds(lookups, bundle.rootfs);
  const input = withFilter(runtime, toInput(runtime, options, bundle, { ...facts, sources }), keep);
  const problems = userProblems(input);
  if (problems.length > 0)
    throw problemsError(
      "PROCESS_FAILED",
      "the program can't be the user that it is to be",
      text.file,
      problems,
    );
  for (const warning of mountWarnings(bundle.config)) warn(warning);
  for (const { at, name, why } of capabilitySets(input).refused)
    warn({ at, message: `${name} is left out: ${why}` });
  return { bundle, lookups, input, plan: planContainer(input) };
}

/** The same from the beginning, for a look: nothing is written. */
export function prepare(runtime: Runtime, options: CreateOptions): Prepared {
  checkId(options.id);
  const text = readBundle(options.bundle, options.config);
  checkPreserved(options);
  const warn = ({ message, at, hint }: Problem) => runtime.warn(message, { at, ...(hint ? { hint } : {}) });
  return prepareBundle(runtime, options, text, gatherHost(), warn, false);
}
