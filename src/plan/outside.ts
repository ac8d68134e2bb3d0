/**
 * What the runtime does for a container beside init, and what it looks at when init is done: all that is needed of the config
 * once the plan is encoded. Data, so that it is kept with the plan, and the planner isn't loaded for a plan that is known.
 */
import { type DeviceCheck, deviceChecks } from "./devices.ts";
import { isNew, type PlanInput, type ProcessInput } from "./input.ts";
import { type MountCheck, mountChecks } from "./proc-guard.ts";
import { candidates } from "./process.ts";
import { limits } from "./rlimits.ts";
import { type CopiedLink, copiedLinks } from "./source.ts";

/** The program as init looks for it. */
export interface ProgramCheck {
  /** process.cwd. */
  cwd: string;
  /** process.args[0]. */
  name: string;
  /** The files that it can mean, in order. */
  candidates: readonly string[];
}

/** What has to be true of what init found. */
export interface Checks {
  program: ProgramCheck;
  mounts: readonly MountCheck[];
  links: readonly CopiedLink[];
  devices: readonly DeviceCheck[];
}

/** What is done to a process from outside. */
export interface Treatment {
  /** Hard resource limits of the config: they are raised. In decimal, since a kept plan is JSON, and these have 64 bits. */
  limits: readonly { at: string; name: string; resource: number; hard: string }[];
  /** process.oomScoreAdj. */
  oomScoreAdj?: number;
  /** The program keeps the caller's streams, and its user may be another than they have. */
  hasOtherUser: boolean;
}

export interface Outside extends Treatment {
  checks: Checks;
}

export function programCheck(input: ProcessInput & PlanInput): ProgramCheck {
  const { cwd = "/", args = [] } = input.config.process ?? {};
  return { cwd, name: args[0] ?? "", candidates: candidates(input) };
}

export function treatmentOf(input: ProcessInput): Treatment {
  const { terminal, user, oomScoreAdj } = input.config.process ?? {};
  return {
    limits: limits(input).flatMap(({ at, name, resource, hard }) =>
      at === undefined ? [] : [{ at, name, resource, hard: String(hard) }],
    ),
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    hasOtherUser: terminal !== true && ((user?.uid ?? 0) !== 0 || isNew(input.config, "user")),
  };
}

export function outsideOf(input: PlanInput): Outside {
  return {
    ...treatmentOf(input),
    checks: {
      program: programCheck(input),
      mounts: mountChecks(input),
      links: copiedLinks(input),
      devices: deviceChecks(input),
    },
  };
}
