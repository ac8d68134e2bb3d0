/** A caller who may not make cgroups: its containers have none, as long as the config doesn't ask for a limit or for a place. */
import type { Resources } from "../../spec/resources.ts";
import { KontenaError } from "../error.ts";
import type { PlanInput } from "../plan/input.ts";

/** Loaded for the few that have no cgroup. */
function asksForNothing(resources: Resources): boolean {
  const limits = require("../cgroup/apply-limits.ts") as typeof import("../cgroup/apply-limits.ts");
  return limits.asksForNothing(resources);
}

/** What to throw after a cgroup couldn't be made; undefined when the container does without. */
export function refusalOf(error: unknown, { config }: PlanInput): unknown {
  if (!(error instanceof KontenaError) || error.code !== "CGROUP_FAILED") return error;
  const { errno, path } = error.details;
  if (errno !== "EACCES" && errno !== "EPERM" && errno !== "EROFS") return error;
  const { cgroupsPath, resources } = config.linux ?? {};
  if (resources !== undefined && !asksForNothing(resources))
    return new KontenaError(
      "RESOURCE_FAILED",
      "limits can't be applied: no right to make a cgroup for them",
      {
        at: "linux.resources",
        errno,
        ...(path === undefined ? {} : { path }),
        hint: "root has it, and a user to whom a part of cgroup v2 is delegated, as systemd does; without limits a container needs none",
      },
    );
  return cgroupsPath === undefined ? undefined : error;
}

/** Without a cgroup there are no limits: one that is asked for is an error. @throws KontenaError RESOURCE_FAILED */
export function refuseLimits({ config }: PlanInput): void {
  const { resources } = config.linux ?? {};
  if (resources === undefined || asksForNothing(resources)) return;
  throw new KontenaError("RESOURCE_FAILED", "limits can't be applied to a container without a cgroup", {
    at: "linux.resources",
    hint: "--cgroup-manager disabled makes none",
  });
}
