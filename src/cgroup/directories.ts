/** Cgroups as directories: made, entered, looked into, removed; the same for every manager. */

import { KontenaError } from "../error.ts";
import { AT_FDCWD, AT_REMOVEDIR } from "../kernel/consts/fcntl.ts";
import { SIGKILL } from "../kernel/consts/signal.ts";
import { ERRNO, errnoName } from "../kernel/errno.ts";
import { codeOf, readPiece, writeControl } from "../kernel/files.ts";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { chosen } from "../lists.ts";
import { dirname, join } from "../path.ts";
import type { Hierarchy } from "../plan/input.ts";
import type { Cgroup } from "./cgroup.ts";
import { eachProcess, removeBelow } from "./tree.ts";

export function failed(what: string, path: string, error: unknown): KontenaError {
  const errno = codeOf(error);
  return new KontenaError("CGROUP_FAILED", `cannot ${what} the cgroup ${path}: ${errno}`, {
    at: "linux.cgroupsPath",
    path,
    errno,
  });
}

/** The container's directory in each hierarchy that `where` takes. */
export function directoriesOf(cgroup: Cgroup, where: (h: Hierarchy) => boolean): string[] {
  return chosen(cgroup.directories, (_, i) => where(cgroup.hierarchies[i] as Hierarchy));
}

/** The container's directory of v2; undefined when the host has none. */
export function unifiedOf(cgroup: Cgroup): string | undefined {
  return directoriesOf(cgroup, (h) => h.version === 2)[0];
}

/** The container's directory of a controller of v1. */
export function controllerOf(cgroup: Cgroup, controller: string): string | undefined {
  return directoriesOf(cgroup, (h) => h.version === 1 && h.options.includes(controller))[0];
}

/** The directories of `path` below `top` that aren't there, the topmost first. */
export function missing(path: string, top: string): string[] {
  const paths: string[] = [];
  for (let p = path; p.length > top.length && !existsSync(p); p = dirname(p)) paths.unshift(p);
  return paths;
}

/**
 * Makes the directories of `paths`, the last of which is the container's own, and tells of each that it has made. One above that
 * is there by now is as good; the last isn't: it is another container's, to whom this one's processes would be its own.
 * @throws KontenaError CGROUP_FAILED
 */
export function makeDirectories(paths: readonly string[], own: string, isMade: (path: string) => void): void {
  for (const path of paths) {
    try {
      mkdirSync(path);
      isMade(path);
    } catch (error) {
      const errno = codeOf(error);
      if (errno !== "EEXIST") throw failed("make", path, error);
      if (path === own)
        throw new KontenaError("CGROUP_FAILED", `the cgroup ${path} has just been made by somebody else`, {
          ...{ at: "linux.cgroupsPath", path, errno },
          hint: "each container needs a cgroup of its own",
        });
    }
  }
}

/**
 * On v1 a new cpuset has no CPUs and no memory nodes, and takes no process until it has (cpuset(7)): it gets those of the one
 * above, which may be as empty.
 */
export function fillCpuset(directory: string, top: string): void {
  if (directory === top) return;
  const above = dirname(directory);
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const path = join(directory, file);
    if (readPiece(path)?.trim() !== "") continue;
    fillCpuset(above, top);
    const result = writeControl(path, readPiece(join(above, file))?.trim() ?? "");
    if (result < 0) throw failed("fill", directory, { code: errnoName(-result) });
  }
}

/** Moves a process into the cgroup, from outside. */
export function joinCgroup(directories: readonly string[], pid: number): void {
  for (const directory of directories) {
    try {
      writeFileSync(join(directory, "cgroup.procs"), String(pid));
    } catch (error) {
      throw failed("enter", directory, error);
    }
  }
}

/** Processes in the cgroup and in those below it. */
export function processesOf(directories: readonly string[]): number[] {
  const pids = new Set<number>();
  forProcesses(directories, (pid) => pids.add(pid));
  return [...pids];
}

function forProcesses(directories: readonly string[], take: (pid: number) => void): void {
  for (const directory of directories) {
    try {
      eachProcess(directory, take);
    } catch (error) {
      throw failed("read", directory, error);
    }
  }
}

/** A cgroup that a dying process hasn't left yet refuses rmdir: it is asked again, for so many milliseconds in all. */
const PATIENCE = 10_000;

/** Of a name that is too long there is no directory either, nor below a file. */
const NOT_THERE: readonly number[] = [-ERRNO.ENOENT, -ERRNO.ENAMETOOLONG, -ERRNO.ENOTDIR];

/** The directory alone; false when it isn't empty. */
function removeEmpty(directory: string): boolean {
  const result = rawSyscall("unlinkat", AT_FDCWD, directory, AT_REMOVEDIR);
  if (result === 0 || NOT_THERE.includes(result)) return true;
  if (result === -ERRNO.EBUSY || result === -ERRNO.ENOTEMPTY) return false;
  throw failed("remove", directory, { code: errnoName(-result) });
}

/** Removes the directory and those below; false when it isn't empty. */
export function removeTree(directory: string): boolean {
  if (removeEmpty(directory)) return true;
  clearBelow(directory);
  return removeEmpty(directory);
}

/** The same of a directory that stays, and so do those below of the inodes `kept`. */
export const emptyTree = (directory: string, kept: ReadonlySet<number>): boolean =>
  clearBelow(directory, kept) && processesOf([directory]).length === 0;

function clearBelow(directory: string, kept?: ReadonlySet<number>): boolean {
  try {
    return removeBelow(directory, kept);
  } catch (error) {
    throw failed("remove", directory, error);
  }
}

/** Kills whatever is in the directories until `remove` is true of each; unless it is given, they are removed. */
export function killAndRemove(
  directories: readonly string[],
  thaw: () => void,
  remove: (directory: string) => boolean = removeTree,
): void {
  const end = Date.now() + PATIENCE;
  let pause = 1;
  let left = directories;
  for (;;) {
    left = chosen(left, (directory) => !remove(directory));
    if (left.length === 0) break;
    killAll(left);
    thaw();
    if (Date.now() > end) throw failed("remove", left[0] as string, { code: "EBUSY" });
    Bun.sleepSync(pause);
    pause = Math.min(pause * 2, 50);
  }
}

/** SIGKILL to all processes in the directories. Where v2 has cgroup.kill (Linux 5.14) nothing forks away from it. */
function killAll(directories: readonly string[]): void {
  for (const directory of directories) {
    try {
      if (existsSync(join(directory, "cgroup.kill"))) writeFileSync(join(directory, "cgroup.kill"), "1");
    } catch {
      // By their pids, then.
    }
  }
  // Each as it is found: one that makes cgroup after cgroup would be ahead of who looks for all of them first.
  forProcesses(directories, (pid) => rawSyscall("kill", pid, SIGKILL));
}

/** Removes the directories above that were made for the cgroup and are empty. */
export function removeMade(cgroup: Cgroup): void {
  for (const directory of cgroup.made.toReversed()) {
    if (cgroup.directories.includes(directory)) continue;
    try {
      rmdirSync(directory);
    } catch {
      // Another container's cgroup is in it.
    }
  }
}
