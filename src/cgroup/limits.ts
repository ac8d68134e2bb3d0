/** `linux.resources` as a whole put in force on a cgroup that is there, at create and by `update`; for every driver. */
import type { Resources } from "../../spec/resources.ts";
import type { Cgroup, CgroupRequest } from "./cgroup.ts";
import { applyDevices } from "./devices/apply.ts";
import { deviceRules, rulesFor } from "./devices/rules.ts";

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
  return Object.keys(resources ?? {}).some((name) => name !== "devices");
}

/** A change while the container runs. @throws KontenaError RESOURCE_FAILED; then the limits from before hold */
export function updateLimits(cgroup: Cgroup, change: Resources, warn: CgroupRequest["warn"]): void {
  loadLimits().updateLimits(cgroup, change, warn);
}

/** A container without limits needs none of their code. */
function loadLimits() {
  return require("./apply-limits.ts") as typeof import("./apply-limits.ts");
}

/** Before init's first batch. @throws KontenaError RESOURCE_FAILED */
function limitDevices({ input, warn }: CgroupRequest, cgroup: Cgroup): void {
  const { resources, devices } = input.config.linux ?? {};
  const asked = resources?.devices !== undefined;
  const rules = deviceRules(resources?.devices ?? rulesFor(devices));
  const fresh = cgroup.directories.every((directory) => cgroup.made.includes(directory));
  applyDevices(cgroup, rules, { asked, fresh, warn });
}

/** What the state keeps of a config, for updates: its resources, and the devices that go with them. */
export function limitsOf({ input }: CgroupRequest): { resources?: Resources } {
  const { resources, devices } = input.config.linux ?? {};
  const rules = resources?.devices ?? rulesFor(devices);
  if (rules.length === 0) return resources === undefined ? {} : { resources };
  return { resources: { ...resources, devices: rules } };
}

/**
 * When init is born, and waits: what no process could be born under, and the rules for devices, which take the kernel some
 * time while init makes its network namespace.
 * @throws KontenaError RESOURCE_FAILED
 */
export function applyLateLimits(request: CgroupRequest, cgroup: Cgroup): void {
  const { input, warn } = request;
  limitDevices(request, cgroup);
  const { pids } = input.config.linux?.resources ?? {};
  if (pids !== undefined) loadLimits().applyAfter(cgroup, { pids }, warn);
}
