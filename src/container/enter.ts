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
import type { Hierarchy } from "../plan/input.ts";
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
  /** Cgroups below the container's own (exec-process.ts). */
  cgroup?: string | readonly string[];
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
  const below = options.cgroup === undefined ? undefined : checkCgroup(state, options.cgroup);
  const unified = unifiedDirectory(state, below);
  const cgroupFd = unified === undefined || options.frozen ? undefined : own(openSync(unified, "r"));
  // Whatever was read of that pid until here is of the container's init, if that is alive still.
  if (!isAlive(state.pid, state.startTime)) throw diedEarly(": the container has just ended");
  const namespaces = types.reduce((flags, type) => (flags | NAMESPACES[type].flag) >>> 0, 0);
  return {
    input: { namespaces, chroot, cgroups: tasksOf(state, below) },
    types,
    handles,
    ...(cgroupFd === undefined ? {} : { cgroupFd }),
    join(pid) {
      if (unified !== undefined && cgroupFd === undefined) joinCgroup([unified], pid);
    },
  };
}

/** The path below the container's own cgroup in a hierarchy; undefined where it is that one itself. */
type Below = (hierarchy: Hierarchy) => string | undefined;

/** `CONTROLLER,...:PATH`, as runc has it; a path that begins so can be written with a `/`. */
const OF_CONTROLLERS = /^([a-z0-9_=,]+):(.*)$/s;

/** @throws KontenaError USAGE */
function readBelow({ cgroup }: StoredState, asked: string | readonly string[]): Below {
  const usage = (text: string) => new KontenaError("USAGE", `--cgroup: ${text}`);
  const words = typeof asked === "string" ? [asked] : asked;
  const has = ({ version, options }: Hierarchy, controller: string) =>
    version === 1 && options.includes(controller);
  const paths = new Map<string, string>();
  let everywhere: string | undefined;
  for (const word of words) {
    const [, controllers, path = word] = OF_CONTROLLERS.exec(word) ?? [];
    if (path.split("/").includes("..")) throw usage(`${path} isn't below the container's own cgroup`);
    if (controllers === undefined) {
      if (words.length > 1) throw usage(`${word} is for all controllers, so it has to be the only one`);
      everywhere = path;
    }
    for (const controller of controllers?.split(",") ?? []) {
      if (!cgroup?.hierarchies.some((h) => has(h, controller)))
        throw usage(`the container has no cgroup of a v1 controller ${controller}`);
      paths.set(controller, path);
    }
  }
  return (hierarchy) => everywhere ?? [...paths].find(([controller]) => has(hierarchy, controller))?.[1];
}

/** @throws KontenaError USAGE, CGROUP_FAILED */
function checkCgroup(state: StoredState, asked: string | readonly string[]): Below {
  const below = readBelow(state, asked);
  const { directories = [], hierarchies = [] } = state.cgroup ?? {};
  for (const [i, hierarchy] of hierarchies.entries()) {
    const path = join(directories[i] ?? "", below(hierarchy) ?? "");
    if (existsSync(path)) continue;
    const what = `--cgroup: cannot enter the cgroup ${path}`;
    throw new KontenaError("CGROUP_FAILED", `${what}: no such file or directory`, { path, errno: "ENOENT" });
  }
  return below;
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
function tasksOf({ cgroup }: StoredState, below: Below | undefined): EnterInput["cgroups"] {
  return (cgroup?.hierarchies ?? []).flatMap((h, i) =>
    h.version === 1 ? [{ ...h, tasks: join(cgroup?.directories[i] ?? "", below?.(h) ?? "", "tasks") }] : [],
  );
}

/**
 * The container's v2 directory, or the one below it where its init is now: a cgroup that has handed its controllers down
 * takes no process itself (cgroups(7), "no internal processes").
 */
function unifiedDirectory({ cgroup, pid }: StoredState, asked: Below | undefined): string | undefined {
  const own = cgroup === undefined ? undefined : unifiedOf(cgroup);
  if (own === undefined || cgroup === undefined) return undefined;
  const now = /^0::(.*)$/m.exec(readText(`/proc/${pid}/cgroup`))?.[1] ?? "";
  const below = now.startsWith(`${cgroup.path}/`) ? now.slice(cgroup.path.length) : "";
  const hierarchy = cgroup.hierarchies.find(({ version }) => version === 2);
  return join(own, (hierarchy && asked?.(hierarchy)) ?? below);
}
