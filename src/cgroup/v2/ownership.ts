/** "Cgroup ownership" (config-linux.md): a container that manages its own part of v2 owns it, and nothing that limits it. */

import { AT_FDCWD } from "../../kernel/consts/fcntl.ts";
import { ERRNO, errnoName } from "../../kernel/errno.ts";
import { readText } from "../../kernel/files.ts";
import { rawSyscall } from "../../kernel/libc.ts";
import { hasAny } from "../../lists.ts";
import { join } from "../../path.ts";
import { isNew, type PlanInput } from "../../plan/input.ts";
import { failed } from "../directories.ts";

/** cgroups(7), for kernels without /sys/kernel/cgroup/delegate (before Linux 4.15). */
const DELEGATED = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/** The uid on the host of the program's user, when the cgroup shall be its; only v2 can be delegated safely. */
export function ownerOf({ config, host }: PlanInput): number | undefined {
  const isWritable = hasAny(
    config.mounts ?? [],
    ({ source, destination, options = [] }) =>
      source === "cgroup" && destination === "/sys/fs/cgroup" && !options.includes("ro"),
  );
  if (!isWritable || !isNew(config, "cgroup") || hasAny(host.hierarchies, (h) => h.version === 1))
    return undefined;
  const uid = config.process?.user?.uid ?? 0;
  if (!isNew(config, "user")) return uid;
  const mapping = config.linux?.uidMappings?.find(
    ({ containerID, size }) => uid >= containerID && uid < containerID + size,
  );
  return mapping === undefined ? undefined : mapping.hostID + uid - mapping.containerID;
}

function delegatedFiles(): string[] {
  try {
    return readText("/sys/kernel/cgroup/delegate")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return DELEGATED;
  }
}

/** The directory, and those files in it that are there. @throws KontenaError CGROUP_FAILED */
export function giveAway(directory: string, uid: number): void {
  for (const path of [directory, ...delegatedFiles().map((file) => join(directory, file))]) {
    const result = rawSyscall("fchownat", AT_FDCWD, path, uid, -1, 0);
    if (result < 0 && result !== -ERRNO.ENOENT) throw failed("give away", path, { code: errnoName(-result) });
  }
}
