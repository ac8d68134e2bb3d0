/** Which cgroup hierarchies the host has, and where: /proc/self/mountinfo (proc(5), cgroups(7)). */
import { readText } from "../kernel/files.ts";
import type { Hierarchy } from "../plan/input.ts";

/** mountinfo writes blanks and backslashes of a path in octal. */
function unescapeOctal(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Options of a cgroup v1 superblock that don't name a hierarchy. */
const NOT_NAMES = new Set([
  "rw",
  "ro",
  "xattr",
  "clone_children",
  "noprefix",
  "cpuset_v2_mode",
  "favordynmods",
]);

/** The hierarchies of a mountinfo text; of one that is mounted several times, the first. */
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const found = new Map<string, Hierarchy>();
  for (const line of mountinfo.split("\n")) {
    if (!line.includes(" - cgroup")) continue;
    const [before, after] = line.split(" - ") as [string, string];
    const [type, , superOptions] = after.split(" ") as [string, string, string];
    const mountpoint = unescapeOctal(before.split(" ")[4] ?? "");
    const version = type === "cgroup2" ? 2 : 1;
    const options =
      version === 2
        ? []
        : superOptions.split(",").filter((o) => !NOT_NAMES.has(o) && !o.startsWith("release_agent="));
    const key = `${version} ${options.join()}`;
    if (!found.has(key)) found.set(key, { version, mountpoint, options });
  }
  return [...found.values()];
}

export function readHierarchies(): Hierarchy[] {
  return parseHierarchies(readText("/proc/self/mountinfo"));
}
