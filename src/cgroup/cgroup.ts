/**
 * A container's cgroup, whoever makes it: one interface, a driver for each manager. What lies in the directories — processes,
 * the freezer, control files — is the same for all of them: directories.ts, freezer.ts, resources.ts.
 *
 * create calls the driver in this order: `plan`, the state is written, `make`, `birthplace`, clone3, `adopt`,
 * init enters. For one that `waitsForInit` it is: clone3, `plan`, the state is written, `adopt`, init enters.
 */
import type { Resources } from "../../spec/resources.ts";
import type { Hierarchy, PlanInput } from "../plan/input.ts";
import type { Asked } from "./asked.ts";
import { cgroupfs } from "./cgroupfs.ts";

/** Who makes and removes the cgroup. `disabled` has no driver: such a container has no {@link Cgroup}. */
export type Manager = "cgroupfs" | "systemd";

/** What later commands have to know; kept in the state, since engines name the manager to `create` only. */
export interface Cgroup {
  manager: Manager;
  /** Path below each hierarchy's mount point. */
  path: string;
  /** The hierarchies of the host, as they were at create. */
  hierarchies: readonly Hierarchy[];
  /** The container's directories, one for each hierarchy, in the same order. */
  directories: string[];
  /** All directories that were made for it by this driver, the topmost first; in the state before they are made. */
  made: string[];
  /** What was already there below a directory of the container's that was there: inodes by its path. They stay, as it does. */
  found?: Record<string, number[]>;
  /** What was applied last, as a whole: an update changes parts of it. */
  resources?: Resources;
  /** The systemd driver's unit, whose systemd it is, and the socket by which that was reached. */
  unit?: string;
  instance?: "system" | "user";
  socket?: string;
}

export interface CgroupRequest {
  id: string;
  input: PlanInput;
  /** The same of the config, gone through. */
  asked: Asked;
  /** Hears of each directory when it is made; whoever cleans up in the same process knows those only. */
  isMade?(path: string): void;
  /** Hears of what is odd but legal. */
  warn(message: string, details?: { at?: string; hint?: string }): void;
}

/** All may throw KontenaError CGROUP_FAILED, CONFIG_INVALID or HOST_UNSUPPORTED. */
export interface Driver {
  /** Whether all of it is made by `adopt`: nothing has to be there before init. */
  waitsForInit(input: PlanInput): boolean;
  /** What will be made; it is written to the state before it is, so that whoever cleans up knows all of it. Makes nothing. */
  plan(request: CgroupRequest): Cgroup;
  /** Makes the cgroup, with its limits, as far as that can be done before there is a process. */
  make(request: CgroupRequest, cgroup: Cgroup): void;
  /** A descriptor of the v2 directory for CLONE_INTO_CGROUP; undefined when nobody is born there. The caller closes it. */
  birthplace(cgroup: Cgroup): number | undefined;
  /**
   * Init is born and waits, before its first mount: brings it where it wasn't born and won't go by itself
   * (plan/join-cgroup.ts), and does what `make` couldn't. May complete `cgroup`, which goes to the state afterwards.
   */
  adopt(request: CgroupRequest, cgroup: Cgroup, pid: number): void;
  /** New limits, merged into those of `cgroup.resources`; all of them hold, or the error names the one that doesn't. */
  update(cgroup: Cgroup, change: Resources, warn: CgroupRequest["warn"]): void;
  /**
   * Kills what is left in the cgroup, and removes all that was made; also what is half made, or gone already. What wasn't made
   * stays (runtime.md, "Delete"), without processes and without what was made below it; or as it is unless the container was
   * `created`: before that, nothing in there but init is the container's.
   */
  remove(cgroup: Cgroup, created: boolean): void;
}

/** The driver of a manager; systemd's is loaded when it is the one. */
export function driverOf(manager: Manager): Driver {
  if (manager === "cgroupfs") return cgroupfs;
  const { systemdDriver } = require("./systemd/driver.ts") as typeof import("./systemd/driver.ts");
  return systemdDriver;
}

/** Removes the cgroup by the driver that made it. */
export function removeCgroup(cgroup: Cgroup, created: boolean): void {
  driverOf(cgroup.manager).remove(cgroup, created);
}
