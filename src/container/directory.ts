/**
 * The state directory, `<root>/<id>`: what one kontena process leaves for the next.
 *
 *   state.json   who and where; written before anything that would need cleaning elsewhere, replaced by rename
 *   plan         plan memory, mapped by init; its first bytes are the failure record
 *   start.json   what each op after create is, so that `start` can tell a failure
 *   config.json  the bundle's, as it was at create: what exec, hooks and updates go by (runtime.md, "Lifecycle")
 *   exec.fifo    where init waits; gone once the program runs
 *   start.ops, delete.ops   the calls of `start` and `delete`, encoded, for the executable's front (shortcuts.ts)
 *   listener.fifo  where it waits again, when the seccomp filter has an agent that must have its listener first
 */

import type { Config } from "../../spec/config.ts";
import { parseJson, stringifyJson } from "../../spec/json.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { KontenaError } from "../error.ts";
import { AT_FDCWD, AT_REMOVEDIR, O } from "../kernel/consts/fcntl.ts";
import { ERRNO } from "../kernel/errno.ts";
import { codeOf, readText } from "../kernel/files.ts";
import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { basename, dirname, join } from "../path.ts";
import { LISTENER_FIFO } from "../plan/names.ts";
import { checkId } from "./id.ts";
import type { RdtGroups } from "./rdt.ts";
import type { Runtime } from "./runtime.ts";

/** state.json. */
export interface StoredState {
  /** Version of this file's form. */
  format: 1;
  ociVersion: string;
  id: string;
  /** Two steps of create; what comes after can be seen from the process and the FIFO. */
  status: "creating" | "created";
  /** 0 until init is born. */
  pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot: tells the process from a later one of the same number. */
  startTime: string;
  bundle: string;
  rootfs: string;
  annotations?: Record<string, string>;
  /** RFC 3339, UTC. */
  created: string;
  /** uid of the caller of create. */
  owner: number;
  /** The agent that answers for the seccomp filter, and where init leaves the number of its listener. */
  listener?: { path: string; metadata?: string; cell: number };
  cgroup?: Cgroup;
  resctrl?: RdtGroups;
  /** There when the root was entered by chroot: who comes later has to do the same. */
  chroot?: true;
  /** There when the config has hooks. */
  hooks?: true;
  /** There when the program has a seccomp filter, which may make its execve the end. */
  filtered?: true;
  /** There when the container has the session keyring of its creator. */
  noNewKeyring?: true;
}

export const STATE = "state.json";
export const PLAN = "plan";
export const START_OPS = "start.json";
export const CONFIG = "config.json";
export const FIFO = "exec.fifo";
/** The name of a process whose front has let init go on (prctl(2), PR_SET_NAME). */
export const LETS_GO = "kontena: start";
export const START_SHORTCUT = "start.ops";
export const DELETE_SHORTCUT = "delete.ops";
const NEW_STATE = `${STATE}.new`;
/** All of them. The state goes last: until then the container can be deleted again. */
export const FILES = [
  FIFO,
  LISTENER_FIFO,
  PLAN,
  START_OPS,
  START_SHORTCUT,
  DELETE_SHORTCUT,
  CONFIG,
  NEW_STATE,
  STATE,
] as const;

export function directoryOf(runtime: Runtime, id: string): string {
  checkId(id);
  return join(runtime.root, id);
}

/** The id is reserved by the directory's making, which the kernel does at once or not at all. */
export function makeDirectory(runtime: Runtime, id: string): string {
  const directory = directoryOf(runtime, id);
  try {
    if (!isRoot(runtime.root)) {
      mkdirSync(runtime.root, { recursive: true, mode: 0o700 });
      // Somebody else may have made it meanwhile.
      isRoot(runtime.root);
    }
    // Search for others: in a user namespace, init opens the FIFO as somebody else.
    mkdirSync(directory, { mode: 0o711 });
    // The caller's umask may have taken that away.
    chmodSync(directory, 0o711);
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = codeOf(error);
    if (errno === "ENOTDIR" || errno === "EEXIST") checkRootIsDirectory(runtime.root);
    const isTaken = errno === "EEXIST" && statSync(runtime.root).isDirectory();
    if (isTaken)
      throw new KontenaError("ID_IN_USE", `container with id exists: ${id}`, {
        path: directory,
        hint: `\`kontena delete ${id}\` removes it when it has stopped`,
      });
    throw new KontenaError("STATE_INVALID", `cannot make the state directory ${directory}: ${errno}`, {
      path: directory,
      errno,
      ...(errno === "EACCES" || errno === "EROFS" ? { hint: "--root names another place" } : {}),
    });
  }
  return directory;
}

/**
 * Whether it is there. Who can write there can make this process believe, and remove, anything: nobody but the caller and
 * root may. @throws KontenaError STATE_INVALID
 */
export function isRoot(root: string): boolean {
  const isOwn = (uid: number) => uid === 0 || uid === process.geteuid?.();
  // In a directory that anyone may write to, such as /tmp, a link can be anyone's too.
  const found = lstatSync(root, { throwIfNoEntry: false });
  if (found === undefined) return false;
  const { uid, mode } = found.isSymbolicLink() ? statSync(root) : found;
  if (isOwn(found.uid) && isOwn(uid) && (mode & 0o022) === 0) return true;
  throw new KontenaError("STATE_INVALID", `others may write to the state directory ${root}`, {
    path: root,
    hint: "it has to belong to the caller, with mode 0700; --root names another place",
  });
}

/** Whether a state is still of the container that was made as `own`: another may have its id by now. */
export const isSame = (
  state: StoredState | undefined,
  own: Pick<StoredState, "pid" | "startTime">,
): state is StoredState => state?.pid === own.pid && state.startTime === own.startTime;

/** Replaces state.json as a whole: a reader sees the old one or the new one. */
export function writeState(directory: string, state: StoredState): void {
  draftState(directory, state);
  publishState(directory);
}

/** The two halves of that: the first can be done while there is time, the second says that it is so. */
export function draftState(directory: string, state: StoredState): void {
  writeFileSync(join(directory, NEW_STATE), stringifyJson(state), { mode: 0o600 });
}

export function publishState(directory: string): void {
  renameSync(join(directory, NEW_STATE), join(directory, STATE));
}

function anothers(path: string): KontenaError {
  return new KontenaError("PERMISSION", "the container is another user's", {
    errno: "EACCES",
    path,
    hint: "act as its owner, or as root",
  });
}

/** @throws KontenaError STATE_INVALID */
export function checkRootIsDirectory(root: string): void {
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new KontenaError("STATE_INVALID", `the state directory ${root} is not a directory`, {
      path: root,
      hint: "--root names another place",
    });
}

/** Something else than a directory is in its place, or in that of the root. */
function noDirectory(directory: string): KontenaError {
  checkRootIsDirectory(dirname(directory));
  return doesNotExist(basename(directory));
}

/** Undefined when create was killed before it wrote any. */
export function readState(directory: string): StoredState | undefined {
  const path = join(directory, STATE);
  let text: string;
  try {
    text = readText(path);
  } catch (error) {
    const errno = codeOf(error);
    if (errno === "ENOENT") return undefined;
    if (errno === "EACCES") throw anothers(path);
    if (errno === "ENOTDIR") throw noDirectory(directory);
    throw error;
  }
  try {
    const state = parseJson(text) as StoredState;
    if (state.format === 1 && typeof state.id === "string" && Number.isSafeInteger(state.pid)) return state;
  } catch {
    // told below
  }
  throw new KontenaError("STATE_INVALID", `${path} is not a state that this version of kontena wrote`, {
    path,
  });
}

/** The config that the container was made by. @throws KontenaError STATE_INVALID for a container that is half made */
export function storedConfig(directory: string): Config {
  const path = join(directory, CONFIG);
  try {
    return parseJson(readText(path)) as Config;
  } catch (error) {
    throw new KontenaError("STATE_INVALID", `cannot read the container's config: ${codeOf(error)}`, { path });
  }
}

export function doesNotExist(id: string): KontenaError {
  return new KontenaError("NOT_FOUND", `container does not exist: ${id}`, {
    hint: "`kontena list` shows those that do",
  });
}

/** The state of an existing container. @throws KontenaError NOT_FOUND */
export function loadState(
  runtime: Runtime,
  id: string,
): { directory: string; state: StoredState | undefined } {
  const directory = directoryOf(runtime, id);
  const state = readState(directory);
  if (state === undefined && !exists(directory)) throw doesNotExist(id);
  return { directory, state };
}

function exists(directory: string): boolean {
  try {
    readdirSync(directory);
    return true;
  } catch {
    return false;
  }
}

const LOCK_EX = 2;

/** Holds the container for one operation at a time; the kernel lets go when the process ends, however it ends. */
export function withLock<T>(directory: string, id: string, action: () => T): T {
  for (;;) {
    let fd: number;
    try {
      // Anything else than a directory, a FIFO say, would keep this waiting.
      fd = openSync(directory, O.O_RDONLY | O.O_DIRECTORY);
    } catch (error) {
      if (codeOf(error) === "EACCES") throw anothers(directory);
      if (codeOf(error) === "ENOTDIR") throw noDirectory(directory);
      if (codeOf(error) === "ENOENT") throw doesNotExist(id);
      throw error;
    }
    try {
      syscall("flock", fd, LOCK_EX);
      // Whoever held it may have removed the container, and another one may have taken the id.
      if (fstatSync(fd).ino === inodeOf(directory)) return action();
    } finally {
      closeSync(fd);
    }
  }
}

function inodeOf(path: string): number {
  try {
    return statSync(path).ino;
  } catch {
    return -1;
  }
}

/** Loaded for what nobody here has made. */
const loadRemoval = () => require("./remove-tree.ts") as typeof import("./remove-tree.ts");

export function removeDirectory(directory: string): void {
  // Somebody's link is no container, and what it leads to isn't this program's.
  if (rawSyscall("unlinkat", AT_FDCWD, directory, 0) === 0) return;
  for (const file of FILES) rawSyscall("unlinkat", AT_FDCWD, join(directory, file), 0);
  const result = rawSyscall("unlinkat", AT_FDCWD, directory, AT_REMOVEDIR);
  if (result < 0 && result !== -ERRNO.ENOENT) loadRemoval().removeTree(directory);
}
