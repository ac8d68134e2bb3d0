/**
 * The driver that makes directories itself, on v1, v2 and both (hybrid). Init joins those of v1 by itself
 * (plan/join-cgroup.ts): a thread that moves itself takes no lock of the whole machine, a process moved by another does. In
 * v2 it is born there.
 */

import { KontenaError } from "../error.ts";
import { openSync } from "../kernel/fs.ts";
import { chosen, hasAny, mapped } from "../lists.ts";
import { join } from "../path.ts";
import { type Hierarchy, isRootOfAll } from "../plan/input.ts";
import { joinsByItself } from "../plan/texts.ts";

import type { Cgroup, CgroupRequest, Driver } from "./cgroup.ts";
import {
  directoriesOf,
  emptyTree,
  fillCpuset,
  joinCgroup,
  killAndRemove,
  makeDirectories,
  missing,
  processesOf,
  removeMade,
  removeTree,
  unifiedOf,
} from "./directories.ts";
import { refuseFrozen, thawTree } from "./freezer.ts";
import { applyLateLimits, applyLimits, limitsOf, updateLimits } from "./limits.ts";
import { inodesBelow } from "./tree.ts";
import { giveAway, ownerOf } from "./v2/ownership.ts";

/** The container's directories that were there before. */
const usedOf = ({ directories, made }: Pick<Cgroup, "directories" | "made">): string[] =>
  chosen(directories, (directory) => !made.includes(directory));

/**
 * A cgroup with processes in it is refused: cleaning up would kill them (config-linux.md, "Control groups": such a cgroup
 * isn't fit for create).
 */
function refuseProcesses(path: string, used: readonly string[], init?: number): void {
  if (used.length === 0 || !hasAny(processesOf(used), (pid) => pid !== init)) return;
  throw new KontenaError("CGROUP_FAILED", `the cgroup ${path} has processes in it`, {
    at: "linux.cgroupsPath",
    path: used[0] as string,
    hint: "each container needs a cgroup of its own",
  });
}

/** What is below those that are there; nearly always nothing. */
function foundIn(used: readonly string[]): Pick<Cgroup, "found"> {
  const found: Record<string, number[]> = {};
  for (const directory of used) {
    const inodes = inodesBelow(directory);
    if (inodes.length > 0) found[directory] = inodes;
  }
  return hasAny(Object.keys(found), () => true) ? { found } : {};
}

function plan(request: CgroupRequest): Cgroup {
  const { input } = request;
  const { hierarchies } = input.host;
  const path = input.cgroupPath as string;
  const directories = mapped(hierarchies, (h) => join(h.mountpoint, path));
  const made: string[] = [];
  for (const { mountpoint } of hierarchies) made.push(...missing(join(mountpoint, path), mountpoint));
  const used = usedOf({ directories, made });
  refuseProcesses(path, used);
  return {
    manager: "cgroupfs",
    path,
    hierarchies,
    directories,
    made,
    ...foundIn(used),
    ...limitsOf(request),
  };
}

/** Loaded for a cgroup that has a parent of its own on v2. */
const loadV2 = () => require("./v2/controllers.ts") as typeof import("./v2/controllers.ts");

/** The directories of some hierarchies, those above included. */
function makeIn({ isMade }: CgroupRequest, cgroup: Cgroup, where: (h: Hierarchy) => boolean): void {
  for (let i = 0; i < cgroup.hierarchies.length; i++) {
    const [h, directory] = [cgroup.hierarchies[i] as Hierarchy, cgroup.directories[i] as string];
    if (!where(h)) continue;
    const paths = chosen(cgroup.made, (path) => path === directory || directory.startsWith(`${path}/`));
    makeDirectories(paths, directory, (path) => isMade?.(path));
    if (h.options.includes("cpuset")) fillCpuset(directory, h.mountpoint);
  }
}

/**
 * Whether v1's part is made while init makes its network namespace and mounts. Root only: it has the right to, and a container that goes
 * without a cgroup has another plan.
 */
function isLate({ input }: CgroupRequest, cgroup: Cgroup): boolean {
  return isRootOfAll(input.host) && hasAny(cgroup.hierarchies, (h) => h.version === 1);
}

function make(request: CgroupRequest, cgroup: Cgroup): void {
  const late = isLate(request, cgroup);
  makeIn(request, cgroup, (h) => h.version === 2 || !late);
  refuseFrozen(cgroup);
  if (!late) applyLimits(request, cgroup);
  const unified = unifiedOf(cgroup);
  // Directly below the root nothing is threaded.
  if (unified !== undefined && cgroup.path.lastIndexOf("/") > 0) loadV2().refuseThreaded(unified);
}

function birthplace(cgroup: Cgroup): number | undefined {
  const directory = unifiedOf(cgroup);
  return directory === undefined ? undefined : openSync(directory, "r");
}

function adopt(request: CgroupRequest, cgroup: Cgroup, pid: number): void {
  const v1 = (h: Hierarchy) => h.version === 1;
  if (isLate(request, cgroup)) {
    makeIn(request, cgroup, v1);
    refuseFrozen(cgroup);
    applyLimits(request, cgroup);
  }
  // Another create may have taken them as well, and been faster.
  refuseProcesses(cgroup.path, usedOf(cgroup), pid);
  if (!joinsByItself(request.input)) joinCgroup(directoriesOf(cgroup, v1), pid);
  applyLateLimits(request, cgroup);
  const owner = ownerOf(request.input);
  const unified = unifiedOf(cgroup);
  if (unified !== undefined && owner !== undefined && owner !== request.input.host.uid)
    giveAway(unified, owner);
}

/** Without the directories that were there before. */
function ownPart(cgroup: Cgroup): Cgroup {
  const isOwn = (directory: string | undefined) => cgroup.made.includes(directory as string);
  return {
    ...cgroup,
    hierarchies: chosen(cgroup.hierarchies, (_, i) => isOwn(cgroup.directories[i])),
    directories: chosen(cgroup.directories, isOwn),
  };
}

function remove(cgroup: Cgroup, created: boolean): void {
  const { made, found = {} } = cgroup;
  const part = created ? cgroup : ownPart(cgroup);
  killAndRemove(
    part.directories,
    () => thawTree(part),
    (directory) =>
      made.includes(directory) ? removeTree(directory) : emptyTree(directory, new Set(found[directory])),
  );
  removeMade(cgroup);
}

/** v1 alone, and as root. */
const waitsForInit: Driver["waitsForInit"] = ({ host }) =>
  isRootOfAll(host) && !hasAny(host.hierarchies, (h) => h.version === 2);

export const cgroupfs: Driver = { waitsForInit, plan, make, birthplace, adopt, update: updateLimits, remove };
