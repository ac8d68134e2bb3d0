/** Which processes of the host are a container's. */

import { processesOf } from "../cgroup/directories.ts";
import { KontenaError } from "../error.ts";
import { readText } from "../kernel/files.ts";
import { readdirSync, readlinkSync } from "../kernel/fs.ts";
import type { StoredState } from "./directory.ts";
import { isAlive } from "./task.ts";

/**
 * Host pids of the container's processes, in rising order: those in its cgroup. Without a cgroup they are those of its pid
 * namespace; what such a container has put into a further pid namespace is found through its parents.
 * @throws KontenaError CGROUP_FAILED without a cgroup and without a pid namespace of its own
 */
export function containerProcesses(state: StoredState): number[] {
  const pids =
    state.cgroup === undefined
      ? isAlive(state.pid, state.startTime)
        ? withoutCgroup(state)
        : []
      : processesOf(state.cgroup.directories);
  return pids.sort((a, b) => a - b);
}

function namespaceOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** Field 4 of /proc/PID/stat (proc(5)). */
function parentOf(pid: number): number {
  try {
    const stat = readText(`/proc/${pid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

function withoutCgroup(state: StoredState): number[] {
  const namespace = namespaceOf(state.pid);
  if (namespace === undefined || namespace === namespaceOf("self"))
    throw new KontenaError(
      "CGROUP_FAILED",
      `the processes of container ${state.id} can't be told from others: it has neither a cgroup nor a pid namespace of its own`,
      { hint: "it was made without: by --cgroup-manager disabled, or for want of rights" },
    );
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const parents = new Map(all.map((pid) => [pid, parentOf(pid)]));
  const inside = new Set(all.filter((pid) => namespaceOf(pid) === namespace));
  const isInside = (pid: number): boolean => {
    for (let p = pid; p > 0; p = parents.get(p) ?? 0) if (inside.has(p)) return true;
    return false;
  };
  return all.filter(isInside);
}
