/** What containers leave in the kernel: processes, cgroups; and how to look for them. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Cgroups whose name begins so, at the top of a hierarchy. */
export function cgroupsNamed(beginning: string): string[] {
  const top = "/sys/fs/cgroup";
  return [top, ...namesIn(top).map((name) => join(top, name))].flatMap((hierarchy) =>
    namesIn(hierarchy)
      .filter((name) => name.startsWith(beginning))
      .map((name) => join(hierarchy, name)),
  );
}

/** The container's directory where the controller's files are, and whose they are; undefined where the host has none. */
export function controllerOf(
  cgroup: string,
  controller: string,
): { path: string; version: 1 | 2 } | undefined {
  const top = "/sys/fs/cgroup";
  const v1 = join(top, controller, cgroup);
  if (existsSync(join(top, controller, "cgroup.procs"))) return { path: v1, version: 1 };
  return readOr(join(top, "cgroup.subtree_control"), "").split(/\s/).includes(controller)
    ? { path: join(top, cgroup), version: 2 }
    : undefined;
}

/** Processes that are in such a cgroup, or see the directory as a part of their file systems. */
export function processesOf(directory: string, cgroup: string): string[] {
  const own = readlinkSync("/proc/self/ns/mnt");
  return namesIn("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid) && isAlive(Number(name)))
    .filter((pid) => {
      const at = (file: string) => `/proc/${pid}/${file}`;
      if (readOr(at("cgroup"), "").includes(cgroup)) return true;
      if (linkOr(at("root")).startsWith(directory)) return true;
      return linkOr(at("ns/mnt")) !== own && readOr(at("mountinfo"), "").includes(directory);
    })
    .map((pid) => `${pid} ${readOr(`/proc/${pid}/cmdline`, "").replaceAll("\0", " ")}`);
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** Whether a process runs; one that is dead and only waits for its parent doesn't. */
export function isAlive(pid: number): boolean {
  const stat = readOr(`/proc/${pid}/stat`, "");
  return stat !== "" && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}
