/** `linux.resources` as a whole put in force on a cgroup that is there, at create and by `update`; for every driver. */

import type { Resources } from "../../spec/resources.ts";
import { writeControls } from "../kernel/files.ts";
import { hasAny } from "../lists.ts";
import { join } from "../path.ts";
import type { Tell } from "./apply-limits.ts";
import type { Cgroup, CgroupRequest } from "./cgroup.ts";
import type { DeviceWrites } from "./devices/v1.ts";
import { controllerOf } from "./directories.ts";

/**
 * Before there is a process, which is then born under the limits.
 * @throws KontenaError RESOURCE_FAILED
 */
export function applyLimits({ input, warn }: CgroupRequest, cgroup: Cgroup): void {
  const { resources } = input.config.linux ?? {};
  // Beside v1, v2 has what nobody has asked for; alone it counts what a container uses, limit or not.
  if (hasLimits(resources) || cgroup.hierarchies.length === 1)
    loadLimits().applyBefore(cgroup, resources, warn);
}

/** Whether there is more than rules for devices, which have a way of their own. */
function hasLimits(resources: Resources | undefined): boolean {
  return hasAny(Object.keys(resources ?? {}), (name) => name !== "devices");
}

/** A change while the container runs. @throws KontenaError RESOURCE_FAILED; then the limits from before hold */
export function updateLimits(
  cgroup: Cgroup,
  change: Resources,
  warn: CgroupRequest["warn"],
  tell?: Tell,
): void {
  loadLimits().updateLimits(cgroup, change, warn, tell);
}

/** A container without limits needs none of their code. */
function loadLimits() {
  return require("./apply-limits.ts") as typeof import("./apply-limits.ts");
}

/** Before init enters. @throws KontenaError RESOURCE_FAILED */
function limitDevices({ input, asked, warn }: CgroupRequest, cgroup: Cgroup): void {
  const fresh = isNew(cgroup);
  const v1 = controllerOf(cgroup, "devices");
  if (fresh && v1 !== undefined && asked.newDevices !== undefined && isWritten(v1, asked.newDevices)) return;
  // Loaded for what is more than that, and for the error.
  const { applyDevices } = require("./devices/apply.ts") as typeof import("./devices/apply.ts");
  const { deviceRules } = require("./devices/rules.ts") as typeof import("./devices/rules.ts");
  const isAsked = input.config.linux?.resources?.devices !== undefined;
  applyDevices(cgroup, deviceRules(asked.resources?.devices ?? []), { asked: isAsked, fresh, warn });
}

function isNew({ directories, made }: Cgroup): boolean {
  for (const directory of directories) if (!made.includes(directory)) return false;
  return true;
}

/** False when the kernel doesn't take one of them. */
function isWritten(directory: string, writes: readonly DeviceWrites[]): boolean {
  for (const { file, values } of writes)
    for (const result of writeControls(join(directory, file), values)) if (result !== 0) return false;
  return true;
}

/** What the state keeps of a config, for updates. */
export function limitsOf({ asked: { resources } }: CgroupRequest): { resources?: Resources } {
  return resources === undefined ? {} : { resources };
}

/**
 * When init is born, and waits: what no process could be born under, and the rules for devices, which take the kernel some
 * time while init mounts.
 * @throws KontenaError RESOURCE_FAILED
 */
export function applyLateLimits(request: CgroupRequest, cgroup: Cgroup): void {
  limitDevices(request, cgroup);
  const { pids } = request.input.config.linux?.resources ?? {};
  if (pids !== undefined) loadLimits().applyAfter(cgroup, { pids });
}
