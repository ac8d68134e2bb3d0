/**
 * The driver that lets systemd make the cgroup: a transient scope, delegated to the container, into which systemd moves the
 * waiting init. cgroup v2 only: on v1 systemd has but a part of the hierarchies.
 */

import { KontenaError } from "../../error.ts";
import { existsSync } from "../../kernel/fs.ts";
import { join } from "../../path.ts";
import type { Cgroup, CgroupRequest, Driver } from "../cgroup.ts";
import { killAndRemove, processesOf, unifiedOf } from "../directories.ts";
import { frozenState, refuseFrozen, thawCgroup } from "../freezer.ts";
import { applyLateLimits, applyLimits, limitsOf, updateLimits } from "../limits.ts";
import { giveAway, ownerOf } from "../v2/ownership.ts";
import {
  type Instance,
  instanceFor,
  type Property,
  propertiesOf,
  release,
  setProperties,
  startUnit,
  stopUnit,
  systemd,
} from "./manager.ts";
import { variant } from "./marshal.ts";
import { scopeName } from "./names.ts";
import { annotationProperties, resourceProperties } from "./properties.ts";

function plan(request: CgroupRequest): Cgroup {
  const { id, input } = request;
  const { hierarchies } = input.host;
  if (hierarchies.length !== 1 || hierarchies[0]?.version !== 2)
    throw new KontenaError(
      "HOST_UNSUPPORTED",
      "the systemd cgroup manager needs a host with cgroup v2 alone",
      {
        hint: "systemd.unified_cgroup_hierarchy=1 on the kernel's command line; --cgroup-manager cgroupfs works on v1 too",
      },
    );
  const instance = instanceFor(input.host);
  const { unit } = scopeName(input.config.linux?.cgroupsPath, id, instance);
  // Told before anything is made.
  annotationProperties(input.config);
  const directory = join(hierarchies[0].mountpoint, input.cgroupPath as string);
  if (processesOf([directory]).length > 0) throw taken(unit);
  return {
    manager: "systemd",
    path: input.cgroupPath as string,
    hierarchies,
    directories: [directory],
    made: [],
    unit,
    instance,
    socket: systemd(instance).path,
    ...limitsOf(request),
  };
}

const taken = (unit: string) =>
  new KontenaError("CGROUP_FAILED", `systemd has a unit ${unit} already`, {
    at: "linux.cgroupsPath",
    hint: "each container needs a scope of its own",
  });

const connectionOf = ({ instance, socket }: Cgroup) => systemd(instance as Instance, socket);

/** Nothing to make before there is a process: a scope without one ends at once. */
function make(_request: CgroupRequest, cgroup: Cgroup): void {
  // A process that is moved into a frozen slice would never answer.
  const slice = cgroup.path.slice(0, cgroup.path.lastIndexOf("/"));
  const directories = cgroup.directories.map((directory) => directory.slice(0, directory.lastIndexOf("/")));
  if (slice !== "") refuseFrozen({ ...cgroup, path: slice, directories });
}

const yes = variant("b", true);

/** The scope's properties; what an annotation says comes last, and counts. */
function scopeProperties({ id, input }: CgroupRequest, slice: string, pid: number): Property[] {
  const properties: Property[] = [
    ["Description", variant("s", `kontena container ${id}`)],
    ["Slice", variant("s", slice)],
    ["Delegate", yes],
    ["PIDs", variant("au", [pid])],
    // Ordered against nothing: it is no part of the boot or of the shutdown of others.
    ["DefaultDependencies", variant("b", false)],
    // A scope whose process was killed for want of memory has failed, and would be remembered.
    ["CollectMode", variant("s", "inactive-or-failed")],
    ["MemoryAccounting", yes],
    ["CPUAccounting", yes],
    ["IOAccounting", yes],
    ["TasksAccounting", yes],
    ...resourceProperties(input.config.linux?.resources),
  ];
  const own = annotationProperties(input.config);
  const names = new Set(own.map(([name]) => name));
  return [...properties.filter(([name]) => !names.has(name)), ...own];
}

function adopt(request: CgroupRequest, cgroup: Cgroup, pid: number): void {
  const { input, id } = request;
  const { slice, unit } = scopeName(input.config.linux?.cgroupsPath, id, cgroup.instance as Instance);
  if (!startUnit(connectionOf(cgroup), unit, scopeProperties(request, slice, pid))) {
    // What follows a failure must not end somebody else's unit.
    Object.assign(cgroup, { directories: [], unit: undefined });
    throw taken(unit);
  }
  const directory = unifiedOf(cgroup) as string;
  if (!processesOf([directory]).includes(pid))
    throw new KontenaError("CGROUP_FAILED", `systemd started ${unit}, but init isn't in ${directory}`, {
      at: "linux.cgroupsPath",
      path: directory,
    });
  applyLimits(request, cgroup);
  applyLateLimits(request, cgroup);
  const owner = ownerOf(input);
  if (owner !== undefined && owner !== input.host.uid) giveAway(directory, owner);
}

/** Tells systemd the limits that it has words for. @returns what tells it those from before */
function tell(cgroup: Cgroup, properties: readonly Property[], warn: CgroupRequest["warn"]): () => void {
  const unit = cgroup.unit as string;
  const names = properties.map(([name]) => name);
  const before = propertiesOf(connectionOf(cgroup), unit, names);
  const back = () => {
    try {
      setProperties(connectionOf(cgroup), unit, before);
    } catch (error) {
      // The update has failed already, for the reason that is told.
      if (!(error instanceof KontenaError)) throw error;
      warn(`systemd may keep limits of an update that failed: ${error.message}`);
    }
  };
  try {
    setProperties(connectionOf(cgroup), unit, properties);
  } catch (error) {
    // Without an answer nobody knows how far it came.
    back();
    throw error;
  }
  return back;
}

/** What can be refused without systemd is refused before it hears of anything. */
function update(cgroup: Cgroup, change: Parameters<Driver["update"]>[1], warn: CgroupRequest["warn"]): void {
  updateLimits(cgroup, change, warn, (touched, facts) => {
    const properties = resourceProperties(touched, facts);
    return properties.length === 0 ? () => {} : tell(cgroup, properties, warn);
  });
}

function remove(cgroup: Cgroup): void {
  const thaw = () => {
    if (frozenState(cgroup) !== "thawed") thawCgroup(cgroup);
  };
  // Killed first: systemd would send SIGTERM, and wait for a minute and a half.
  killAndRemove(cgroup.directories, thaw);
  if (cgroup.unit === undefined) return;
  try {
    stopUnit(connectionOf(cgroup), cgroup.unit);
  } catch (error) {
    // Without systemd there is no unit either.
    const gone = error instanceof KontenaError && error.code === "HOST_UNSUPPORTED";
    if (!gone || cgroup.directories.some((directory) => existsSync(directory))) throw error;
  }
  killAndRemove(cgroup.directories, thaw);
}

/** What is the last that an operation asks of systemd. */
function lastly(cgroup: Cgroup, action: () => void): void {
  try {
    action();
  } finally {
    release(cgroup.instance as Instance);
  }
}

export const systemdDriver: Driver = {
  // What is refused is refused before anybody is born; and a user's container may go without.
  waitsForInit: () => false,
  plan,
  make,
  birthplace: () => undefined,
  adopt: (request, cgroup, pid) => lastly(cgroup, () => adopt(request, cgroup, pid)),
  update: (cgroup, change, warn) => lastly(cgroup, () => update(cgroup, change, warn)),
  remove: (cgroup) => lastly(cgroup, () => remove(cgroup)),
};
