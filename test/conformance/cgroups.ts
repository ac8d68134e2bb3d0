/** A container's cgroups as the host sees them: v1 and v2. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Broken, Skipped } from "./case.ts";
import { CGROUP_V2 } from "./needs.ts";

/** Path of a process's cgroup in a controller's hierarchy, from the hierarchy's root. */
export function cgroupPath(pid: number, controller: string): string {
  for (const line of readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n")) {
    const [id, names = "", ...path] = line.split(":");
    if (CGROUP_V2 ? id === "0" : names.split(",").includes(controller)) return path.join(":");
  }
  throw new Broken(`process ${pid} is in no cgroup of ${controller}`);
}

export const directory = (pid: number, controller: string) =>
  CGROUP_V2
    ? join("/sys/fs/cgroup", cgroupPath(pid, controller))
    : join("/sys/fs/cgroup", controller, cgroupPath(pid, controller));

/** A control file of the container's cgroup; skipped where the kernel hasn't it. */
export function controlFile(pid: number, controller: string, file: string): string {
  const path = join(directory(pid, controller), file);
  if (!existsSync(path)) throw new Skipped(`this kernel has no ${file}`);
  return readFileSync(path, "utf8").trim();
}
