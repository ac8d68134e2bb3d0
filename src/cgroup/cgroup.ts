/**
 * The container's cgroups as directories: made before init is born, removed with the container. init joins those of v1 by
 * itself (plan/join-cgroup.ts): a thread that moves itself takes no lock of the whole machine, a process moved by another does.
 */
import { existsSync, mkdirSync, openSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { KontenaError } from "../error.ts";
import { AT_FDCWD, AT_REMOVEDIR } from "../kernel/consts/fcntl.ts";
import { ERRNO, errnoName } from "../kernel/errno.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { rawSyscall } from "../kernel/libc.ts";
import type { Hierarchy } from "../plan/input.ts";

export interface Cgroup {
  /** Path below each hierarchy's mount point. */
  path: string;
  /** Directories of the container, one a hierarchy. */
  directories: string[];
  /** All directories that were made for it, the topmost first. */
  made: string[];
}

function failed(what: string, path: string, error: unknown): KontenaError {
  const errno = codeOf(error);
  return new KontenaError("CGROUP_FAILED", `cannot ${what} the cgroup ${path}: ${errno}`, {
    at: "linux.cgroupsPath",
    path,
    errno,
  });
}

/** The directories of `path` below `top` that aren't there, the topmost first. */
function missing(path: string, top: string): string[] {
  const paths: string[] = [];
  for (let p = path; p.length > top.length && !existsSync(p); p = dirname(p)) paths.unshift(p);
  return paths;
}

/** On v1 a new cpuset has no CPUs and no memory nodes, and takes no process until it has (cpuset(7)). */
function fillCpuset(directory: string, top: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const path = join(directory, file);
    if (directory === top || readText(path).trim() !== "") continue;
    fillCpuset(dirname(directory), top);
    writeFileSync(path, readText(join(dirname(directory), file)).trim());
  }
}

/**
 * What will be made: written to the state before it is, so that whoever cleans up knows all of it.
 * @throws KontenaError CGROUP_FAILED for a cgroup with processes in it, which cleaning up would kill (config-linux.md,
 * "Control groups": such a cgroup isn't fit for create)
 */
export function planCgroup(hierarchies: readonly Hierarchy[], path: string): Cgroup {
  const directories = hierarchies.map((h) => join(h.mountpoint, path));
  const made = hierarchies.flatMap((h) => missing(join(h.mountpoint, path), h.mountpoint));
  const used = directories.filter((directory) => !made.includes(directory));
  if (used.length > 0 && processesOf(used).length > 0)
    throw new KontenaError("CGROUP_FAILED", `the cgroup ${path} has processes in it`, {
      at: "linux.cgroupsPath",
      path: used[0] as string,
      hint: "each container needs a cgroup of its own",
    });
  return { path, directories, made };
}

/**
 * Makes the container's cgroup in every hierarchy.
 * @throws KontenaError CGROUP_FAILED
 */
export function makeCgroup(hierarchies: readonly Hierarchy[], cgroup: Cgroup): void {
  for (const path of cgroup.made) {
    try {
      mkdirSync(path);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw failed("make", path, error);
    }
  }
  hierarchies.forEach((h, i) => {
    if (h.options.includes("cpuset")) fillCpuset(cgroup.directories[i] as string, h.mountpoint);
  });
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

/** Whether the cgroup is frozen, by itself or from above: clone3 into it would wait until it is thawed. */
export function isFrozen(directory: string): boolean {
  try {
    return /^frozen 1$/m.test(readText(join(directory, "cgroup.events")));
  } catch {
    return false;
  }
}

/** Processes in the cgroup and in those below it. */
export function processesOf(directories: readonly string[]): number[] {
  const pids = new Set<number>();
  const collect = (directory: string) => {
    for (const line of readText(join(directory, "cgroup.procs")).split("\n"))
      if (line !== "" && line !== "0") pids.add(Number(line));
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) collect(join(directory, entry.name));
  };
  for (const directory of directories) {
    try {
      collect(directory);
    } catch (error) {
      // One that is gone, or going, has no processes.
      if (!["ENOENT", "ENODEV", "EOPNOTSUPP"].includes(codeOf(error))) throw failed("read", directory, error);
    }
  }
  return [...pids];
}

/** A cgroup that a dying process hasn't left yet refuses rmdir: it is asked again, for so many milliseconds in all. */
const PATIENCE = 10_000;

/** Removes the directory and those below; false when it isn't empty. */
function removeTree(directory: string): boolean {
  const result = rawSyscall("unlinkat", AT_FDCWD, directory, AT_REMOVEDIR);
  if (result === 0 || result === -ERRNO.ENOENT) return true;
  if (result !== -ERRNO.EBUSY && result !== -ERRNO.ENOTEMPTY)
    throw failed("remove", directory, { code: errnoName(-result) });
  let empty = true;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory() && !removeTree(join(directory, entry.name))) empty = false;
    if (empty) rmdirSync(directory);
    return empty;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    if (codeOf(error) === "EBUSY") return false;
    throw failed("remove", directory, error);
  }
}

/** Kills what is left in the cgroup and removes it, then the directories above that were made for it and are empty. */
export function removeCgroup(cgroup: Cgroup): void {
  const end = Date.now() + PATIENCE;
  let pause = 1;
  let left = cgroup.directories;
  for (;;) {
    left = left.filter((directory) => !removeTree(directory));
    if (left.length === 0) break;
    for (const pid of processesOf(left)) rawSyscall("kill", pid, 9);
    if (Date.now() > end) throw failed("remove", left[0] as string, { code: "EBUSY" });
    Bun.sleepSync(pause);
    pause = Math.min(pause * 2, 50);
  }
  for (const directory of cgroup.made.toReversed()) {
    if (cgroup.directories.includes(directory)) continue;
    try {
      rmdirSync(directory);
    } catch {
      // Another container's cgroup is in it.
    }
  }
}

/** A descriptor of the v2 directory for CLONE_INTO_CGROUP; undefined when the host has no v2 hierarchy. */
export function openUnified(hierarchies: readonly Hierarchy[], cgroup: Cgroup): number | undefined {
  const index = hierarchies.findIndex((h) => h.version === 2);
  if (index < 0) return undefined;
  const directory = cgroup.directories[index] as string;
  if (isFrozen(directory))
    throw new KontenaError("CGROUP_FAILED", `the cgroup ${directory} is frozen, or one above it`, {
      at: "linux.cgroupsPath",
      path: directory,
    });
  return openSync(directory, "r");
}
