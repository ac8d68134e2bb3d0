/** ns: which namespaces a container has, and which of them it shares: `readlink /proc/PID/ns/*` as one command. */

import { KontenaError } from "../error.ts";
import { codeOf } from "../kernel/files.ts";
import { readlinkSync } from "../kernel/fs.ts";
import { NAMESPACES } from "../plan/namespaces.ts";
import { loadState } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { hasProcess, statusOf } from "./state.ts";

export interface NamespaceInfo {
  /** The spec's word: `uts`, `mount`, `network` … */
  type: string;
  /** Inode number of the namespace, its identity on this machine. */
  inode: number;
  /** Not the one that kontena itself runs in. */
  own: boolean;
  /** The namespace of kontena itself. */
  hostInode: number | undefined;
  /** A file that setns(2) takes, while the container runs. */
  path: string;
}

/** `uts:[4026531838]` → 4026531838. */
function inodeOf(path: string): number | undefined {
  try {
    return Number(/\[(\d+)\]/.exec(readlinkSync(path))?.[1]);
  } catch (error) {
    const errno = codeOf(error);
    if (errno === "ENOENT") return undefined;
    throw new KontenaError("PERMISSION", `cannot read ${path}: ${errno}`, {
      path,
      errno,
    });
  }
}

/** @throws KontenaError NOT_FOUND, WRONG_STATUS for a container without a process, PERMISSION */
export function namespaces(runtime: Runtime, id: string): NamespaceInfo[] {
  const { directory, state } = loadState(runtime, id);
  const status = statusOf(directory, state);
  if (state === undefined || !hasProcess(status))
    throw new KontenaError(
      "WRONG_STATUS",
      `container ${id} is ${status}: it has no process, so no namespaces`,
    );
  return Object.entries(NAMESPACES).flatMap(([type, { file }]) => {
    const path = `/proc/${state.pid}/ns/${file}`;
    const inode = inodeOf(path);
    const hostInode = inodeOf(`/proc/self/ns/${file}`);
    return inode === undefined ? [] : [{ type, inode, own: inode !== hostInode, hostInode, path }];
  });
}
