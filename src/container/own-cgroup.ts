/** The container's cgroup, from what will be made to the waiting init in it; and a container that goes without. */
import { type CgroupRequest, driverOf } from "../cgroup/cgroup.ts";
import { type Compiled, compileVariant } from "./compile.ts";
import { type Making, undoCgroup } from "./making.ts";
import type { Runtime } from "./runtime.ts";

/** Loaded for a container that goes without a cgroup. */
const loadRefusals = () => require("./no-cgroup.ts") as typeof import("./no-cgroup.ts");

function request(runtime: Runtime, { input, asked }: Compiled, { state, cgroups }: Making): CgroupRequest {
  return { id: state.id, input, asked, isMade: (path) => cgroups.push(path), warn: runtime.warn };
}

/** Whether there is nothing to make before init is there. */
export function waitsForInit({ input }: Compiled): boolean {
  const { cgroupManager, cgroupPath } = input;
  if (cgroupManager === "disabled" || cgroupPath === undefined) return true;
  return driverOf(cgroupManager).waitsForInit(input);
}

/** What will be made, for the state. @throws KontenaError for limits without a cgroup, or one that can't be had */
export function planCgroup(runtime: Runtime, prepared: Compiled, making: Making): void {
  const { cgroupManager, cgroupPath } = prepared.input;
  if (cgroupManager === "disabled" || cgroupPath === undefined) {
    loadRefusals().refuseLimits(prepared.input);
    return;
  }
  making.state.cgroup = driverOf(cgroupManager).plan(request(runtime, prepared, making));
}

/** Makes the cgroup and gives a descriptor of the v2 one, for init to be born in. */
export function makeCgroup(runtime: Runtime, prepared: Compiled, making: Making): number | undefined {
  const { cgroup } = making.state;
  if (cgroup === undefined) return undefined;
  try {
    const driver = driverOf(cgroup.manager);
    driver.make(request(runtime, prepared, making), cgroup);
    const fd = driver.birthplace(cgroup);
    return fd === undefined ? undefined : making.descriptors.own(fd);
  } catch (error) {
    const refusal = loadRefusals().refusalOf(error, prepared.input);
    if (refusal !== undefined) throw refusal;
    runtime.debug(`no cgroup for the container: ${(error as Error).message}`);
    return withoutCgroup(runtime, prepared, making);
  }
}

/** The plan had steps into the cgroup: this container gets another one. */
function withoutCgroup(runtime: Runtime, prepared: Compiled, making: Making): undefined {
  undoCgroup(making);
  delete making.state.cgroup;
  const input = { ...prepared.input, cgroupPath: undefined };
  Object.assign(prepared, compileVariant(runtime, prepared, "no cgroup", input));
  return undefined;
}

/** init is born and waits: what its driver has left for now. */
export function enterCgroup(runtime: Runtime, prepared: Compiled, making: Making): void {
  const { cgroup, pid } = making.state;
  if (cgroup === undefined) return;
  driverOf(cgroup.manager).adopt(request(runtime, prepared, making), cgroup, pid);
}
