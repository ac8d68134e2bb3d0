/** What a process needs to enter a container: its namespaces, its root, its cgroups. */

import { joinCgroup, unifiedOf } from "../cgroup/directories.ts";
import { KontenaError } from "../error.ts";
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { existsSync, openSync, readlinkSync } from "../kernel/fs.ts";
import { syscall } from "../kernel/libc.ts";
import { join } from "../path.ts";
import { CONTAINER, CONTAINER_ROOT, type EnterInput } from "../plan/exec.ts";
import type { Handle } from "../plan/handles.ts";
import { NAMESPACES, type NamespaceType } from "../plan/namespaces.ts";
import type { Descriptors } from "./birth.ts";
import type { StoredState } from "./directory.ts";
import { diedEarly } from "./launch.ts";
import { isAlive } from "./task.ts";
import { openPidfd } from "./wait.ts";

export interface Entrance {
  input: EnterInput;
  /** The types of the namespaces that aren't this process's own. */
  types: NamespaceType[];
  handles: Handle[];
  /** cgroup v2 directory to be born in. */
  cgroupFd?: number;
  /** Moves the born process where it wasn't born. */
  join(pid: number): void;
}

export interface EnterOptions {
  /** A cgroup below the container's own. */
  cgroup?: string;
  /** The cgroup is frozen: clone3 into it would wait, and this process with it; a move from outside doesn't. */
  frozen?: boolean;
}

/** @throws KontenaError INIT_DIED when the container's init is gone */
export function entranceOf(state: StoredState, options: EnterOptions, descriptors: Descriptors): Entrance {
  try {
    return lookAt(state, options, descriptors);
  } catch (error) {
    // What can't be found has gone with the container.
    if (isAlive(state.pid, state.startTime) || (error instanceof KontenaError && error.code === "USAGE"))
      throw error;
    throw diedEarly(": the container has just ended");
  }
}

function lookAt(state: StoredState, options: EnterOptions, { own }: Descriptors): Entrance {
  const handles: Handle[] = [{ kind: "given", cell: CONTAINER, fd: own(openPidfd(state.pid)) }];
  const chroot = state.chroot === true;
  if (chroot) {
    const root = `/proc/${state.pid}/root`;
    const fd = own(syscall("openat", AT_FDCWD, root, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, 0));
    handles.push({ kind: "given", cell: CONTAINER_ROOT, fd });
  }
  const types = namespacesOf(state);
  if (options.cgroup !== undefined) checkCgroup(state, options.cgroup);
  const unified = unifiedDirectory(state, options);
  const cgroupFd = unified === undefined || options.frozen ? undefined : own(openSync(unified, "r"));
  // Whatever was read of that pid until here is of the container's init, if that is alive still.
  if (!isAlive(state.pid, state.startTime)) throw diedEarly(": the container has just ended");
  const namespaces = types.reduce((flags, type) => (flags | NAMESPACES[type].flag) >>> 0, 0);
  return {
    input: { namespaces, chroot, cgroups: tasksOf(state, options) },
    types,
    handles,
    ...(cgroupFd === undefined ? {} : { cgroupFd }),
    join(pid) {
      if (unified !== undefined && cgroupFd === undefined) joinCgroup([unified], pid);
    },
  };
}

/** @throws KontenaError USAGE, CGROUP_FAILED */
function checkCgroup({ cgroup }: StoredState, below: string): void {
  if (below.split("/").includes(".."))
    throw new KontenaError("USAGE", `--cgroup: ${below} isn't below the container's own cgroup`);
  for (const directory of cgroup?.directories ?? []) {
    const path = join(directory, below);
    if (existsSync(path)) continue;
    const what = `--cgroup: cannot enter the cgroup ${path}`;
    throw new KontenaError("CGROUP_FAILED", `${what}: no such file or directory`, { path, errno: "ENOENT" });
  }
}

/**
 * The types of the namespaces in which the container's init isn't beside this process. Not to see them is not to have the
 * right to enter them; taken for "the same", the program would run on the host.
 */
function namespacesOf({ id, pid, startTime }: StoredState): NamespaceType[] {
  const types = Object.keys(NAMESPACES) as NamespaceType[];
  const at = (process: number | string, file: string) => {
    const path = `/proc/${process}/ns/${file}`;
    try {
      return readlinkSync(path);
    } catch (error) {
      const errno = codeOf(error);
      // A kernel without this type of namespace.
      if (errno === "ENOENT") return "";
      if (!isAlive(pid, startTime)) throw diedEarly(": the container has just ended");
      throw new KontenaError("PERMISSION", `cannot enter container ${id}: it is another user's`, {
        errno,
        path,
        hint: "act as the container's owner or as root",
      });
    }
  };
  return types.filter((type) => {
    const { file } = NAMESPACES[type];
    return at(pid, file) !== at("self", file);
  });
}

/** The files of v1 by which the process enters the container's cgroups. */
function tasksOf({ cgroup }: StoredState, options: EnterOptions): EnterInput["cgroups"] {
  return (cgroup?.hierarchies ?? []).flatMap((h, i) =>
    h.version === 1
      ? [{ ...h, tasks: join(cgroup?.directories[i] ?? "", options.cgroup ?? "", "tasks") }]
      : [],
  );
}

/**
 * The container's v2 directory, or the one below it where its init is now: a cgroup that has handed its controllers down
 * takes no process itself (cgroups(7), "no internal processes").
 */
function unifiedDirectory({ cgroup, pid }: StoredState, options: EnterOptions): string | undefined {
  const own = cgroup === undefined ? undefined : unifiedOf(cgroup);
  if (own === undefined || cgroup === undefined) return undefined;
  const now = /^0::(.*)$/m.exec(readText(`/proc/${pid}/cgroup`))?.[1] ?? "";
  const below = now.startsWith(`${cgroup.path}/`) ? now.slice(cgroup.path.length) : "";
  return join(own, options.cgroup ?? below);
}
