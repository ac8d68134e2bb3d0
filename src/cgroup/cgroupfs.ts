/**
 * The driver that makes directories itself, on v1, v2 and both (hybrid). Init joins those of v1 by itself
 * (plan/join-cgroup.ts): a thread that moves itself takes no lock of the whole machine, a process moved by another does. In
 * v2 it is born there.
 */
import { openSync } from "node:fs";
import { join } from "node:path";
import { KontenaError } from "../error.ts";
import { joinsByItself } from "../plan/join-cgroup.ts";
import type { Cgroup, CgroupRequest, Driver } from "./cgroup.ts";
import {
  directoriesOf,
  fillCpuset,
  joinCgroup,
  killAndRemove,
  makeDirectories,
  missing,
  processesOf,
  removeMade,
  unifiedOf,
} from "./directories.ts";
import { refuseFrozen, thawTree } from "./freezer.ts";

/**
 * A cgroup with processes in it is refused: cleaning up would kill them (config-linux.md, "Control groups": such a cgroup
 * isn't fit for create).
 */
function plan({ input }: CgroupRequest): Cgroup {
  const { hierarchies } = input.host;
  const path = input.cgroupPath as string;
  const directories = hierarchies.map((h) => join(h.mountpoint, path));
  const made = hierarchies.flatMap((h) => missing(join(h.mountpoint, path), h.mountpoint));
  const used = directories.filter((directory) => !made.includes(directory));
  if (used.length > 0 && processesOf(used).length > 0)
    throw new KontenaError("CGROUP_FAILED", `the cgroup ${path} has processes in it`, {
      at: "linux.cgroupsPath",
      path: used[0] as string,
      hint: "each container needs a cgroup of its own",
    });
  return { manager: "cgroupfs", path, hierarchies, directories, made };
}

function make(_request: CgroupRequest, cgroup: Cgroup): void {
  makeDirectories(cgroup.made);
  cgroup.hierarchies.forEach((h, i) => {
    if (h.options.includes("cpuset")) fillCpuset(cgroup.directories[i] as string, h.mountpoint);
  });
  refuseFrozen(cgroup);
}

function birthplace(cgroup: Cgroup): number | undefined {
  const directory = unifiedOf(cgroup);
  return directory === undefined ? undefined : openSync(directory, "r");
}

function adopt({ input }: CgroupRequest, cgroup: Cgroup, pid: number): void {
  if (!joinsByItself(input))
    joinCgroup(
      directoriesOf(cgroup, (h) => h.version === 1),
      pid,
    );
}

function update(): void {
  throw new RangeError("not yet");
}

function remove(cgroup: Cgroup): void {
  killAndRemove(cgroup.directories, () => thawTree(cgroup));
  removeMade(cgroup);
}

export const cgroupfs: Driver = { plan, make, birthplace, adopt, update, remove };
