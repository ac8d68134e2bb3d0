/** Which cgroup hierarchies the host has, and where: /proc/self/mountinfo (proc(5), cgroups(7)). */

import { readText } from "../kernel/files.ts";
import { accessSync, constants } from "../kernel/fs.ts";
import { dirname, join } from "../path.ts";
import type { Hierarchy } from "../plan/input.ts";

/** mountinfo writes blanks and backslashes of a path in octal. */
function unescapeOctal(path: string): string {
  if (!path.includes("\\")) return path;
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Options of a cgroup v1 superblock that don't name a hierarchy. */
const NOT_NAMES = ["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods"];

/** Before the type of a file system in a line of mountinfo. */
const MARK = " - cgroup";

/** The hierarchies of a mountinfo text; of one that is mounted several times, the first. */
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const found: Hierarchy[] = [];
  // Few of the lines are of this kind.
  for (let at = mountinfo.indexOf(MARK); at >= 0; at = mountinfo.indexOf(MARK, at + 1)) {
    const end = mountinfo.indexOf("\n", at);
    const begin = mountinfo.lastIndexOf("\n", at) + 1;
    const before = mountinfo.slice(begin, at).split(" ");
    const after = mountinfo.slice(at + " - ".length, end < 0 ? mountinfo.length : end).split(" ");
    const version = after[0] === "cgroup2" ? 2 : 1;
    const options = version === 2 ? [] : namesIn(after[2] ?? "");
    if (!isAmong(found, version, options))
      found.push({ version, mountpoint: unescapeOctal(before[4] ?? ""), options });
  }
  return found;
}

/** What names a hierarchy among the options of its superblock. */
function namesIn(superOptions: string): string[] {
  const names: string[] = [];
  for (const option of superOptions.split(","))
    if (!NOT_NAMES.includes(option) && !option.startsWith("release_agent=")) names.push(option);
  return names;
}

function isAmong(found: readonly Hierarchy[], version: 1 | 2, options: readonly string[]): boolean {
  for (const one of found) if (one.version === version && one.options.join() === options.join()) return true;
  return false;
}

let last: { mountinfo: string; hierarchies: readonly Hierarchy[] } | undefined;

/** Those of now; a text that was read before isn't taken apart again. */
export function readHierarchies(): readonly Hierarchy[] {
  const mountinfo = readText("/proc/self/mountinfo");
  if (last?.mountinfo !== mountinfo) last = { mountinfo, hierarchies: parseHierarchies(mountinfo) };
  return last.hierarchies;
}

/**
 * Where on v2 a caller without root's rights may make cgroups: beside its own, since one with processes hands no controllers
 * down, or else in its own. A process may move as far as the caller may write to what is above both (cgroup-v2.rst,
 * "Delegation Containment").
 * @returns the path below the mount point; undefined where it may nowhere
 */
export function delegatedCgroup(hierarchies: readonly Hierarchy[]): string | undefined {
  const unified = hierarchies.find(({ version }) => version === 2);
  if (unified === undefined || hierarchies.length > 1) return undefined;
  const own = /^0::(\/.*)$/m.exec(readText("/proc/self/cgroup"))?.[1];
  if (own === undefined) return undefined;
  const found = [dirname(own), own].find((path) => {
    const directory = join(unified.mountpoint, path);
    return isWritable(directory) && isWritable(join(directory, "cgroup.procs"));
  });
  return found === "/" ? "" : found;
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
