/** What init found at the destinations of mounts, looked at before the program can run. */
import { KontenaError } from "../error.ts";
import type { EncodedPlan } from "../init/memory.ts";
import { PROC_SUPER_MAGIC } from "../kernel/consts/mount.ts";
import { decodeStatx } from "../kernel/structs.ts";
import type { Checks } from "../plan/outside.ts";
import type { MountCheck } from "../plan/proc-guard.ts";

/** The root of every procfs has this inode number (linux/proc_ns.h, PROC_ROOT_INO). */
const PROC_ROOT_INO = 1n;

/** @throws KontenaError MOUNT_FAILED for a mount on procfs, something else on /proc, another file for a symlink */
export function checkMounts(
  { mounts, links }: Pick<Checks, "mounts" | "links">,
  encoded: EncodedPlan,
  memory: Uint8Array,
): void {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  for (const check of mounts) {
    const at = encoded.buffers.get(check.statfs);
    if (at === undefined) continue;
    const onProc = view.getBigInt64(at, true) === BigInt(PROC_SUPER_MAGIC);
    const statx = encoded.buffers.get(check.statx);
    const isRoot = statx === undefined || decodeStatx(view, statx).ino === PROC_ROOT_INO;
    if (check.guard === "outside" ? onProc : !onProc || !isRoot) throw refused(check);
  }
  for (const { at, destination, target, buffer } of links) {
    const found = textAt(memory, encoded.buffers.get(buffer));
    if (found === "" || found === target) continue;
    throw new KontenaError(
      "MOUNT_FAILED",
      `${destination} exists and is a symlink to "${found}", not to "${target}"`,
      {
        at: `${at}.destination`,
        path: destination,
      },
    );
  }
}

function refused({ at, destination, guard }: MountCheck): KontenaError {
  return guard === "outside"
    ? new KontenaError("MOUNT_FAILED", `${destination} lies on a procfs, where nothing may be mounted`, {
        at: `${at}.destination`,
        path: destination,
        hint: "a symlink of the image leads there",
      })
    : new KontenaError("MOUNT_FAILED", `only a whole procfs can be bound to ${destination}`, {
        at: `${at}.source`,
        path: destination,
      });
}

/** Empty when the call that would have filled it wasn't needed. */
function textAt(memory: Uint8Array, at: number | undefined): string {
  if (at === undefined) return "";
  return new TextDecoder().decode(memory.subarray(at, memory.indexOf(0, at)));
}
