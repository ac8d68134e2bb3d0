/**
 * Hearing of the OOM killer's work in a cgroup. v1: an eventfd that is registered for memory.oom_control
 * (cgroup-v1/memory.rst, "OOM Control"). v2: the counter oom_kill of memory.events, whose change poll(2) tells.
 */

import { POLL } from "../kernel/consts/socket.ts";
import { readText } from "../kernel/files.ts";
import { closeSync, existsSync, openSync, readSync, writeFileSync } from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import type { Cgroup } from "./cgroup.ts";
import { controllerOf, failed, unifiedOf } from "./directories.ts";
import { parseFlat } from "./stats/text.ts";

export interface OomWatch {
  /** To be polled for `events`. */
  fd: number;
  events: number;
  /** Whether the OOM killer was there since the last call. */
  happened(): boolean;
  close(): void;
}

/**
 * Undefined where the host has no memory controller for it, or a real-time kernel, which has no events in v1.
 * @throws KontenaError CGROUP_FAILED
 */
export function watchOom(cgroup: Cgroup): OomWatch | undefined {
  const v1 = controllerOf(cgroup, "memory");
  const v2 = unifiedOf(cgroup);
  try {
    if (v1 !== undefined) return existsSync(`${v1}/${REGISTER}`) ? watchV1(v1) : undefined;
    return v2 !== undefined && existsSync(`${v2}/memory.events`) ? watchV2(v2) : undefined;
  } catch (error) {
    throw failed("watch", v1 ?? v2 ?? cgroup.path, error);
  }
}

const REGISTER = "cgroup.event_control";
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

function watchV1(directory: string): OomWatch {
  const control = openSync(`${directory}/memory.oom_control`, "r");
  const fd = syscall("eventfd2", 0, EFD_CLOEXEC | EFD_NONBLOCK);
  const close = () => {
    closeSync(fd);
    closeSync(control);
  };
  const register = `${directory}/${REGISTER}`;
  try {
    writeFileSync(register, `${fd} ${control}`);
  } catch (error) {
    close();
    throw error;
  }
  return {
    fd,
    events: POLL.POLLIN,
    // The kernel tells of the cgroup's removal in the same way.
    happened: () => rawSyscall("read", fd, new Uint8Array(8), 8) === 8 && existsSync(register),
    close,
  };
}

function watchV2(directory: string): OomWatch {
  const fd = openSync(`${directory}/memory.events`, "r");
  const buffer = new Uint8Array(4096);
  // Reading it is what makes poll wait for the next change.
  const kills = () => {
    const length = readSync(fd, buffer, 0, buffer.length, 0);
    return parseFlat(new TextDecoder().decode(buffer.subarray(0, length))).get("oom_kill") ?? 0n;
  };
  let before = kills();
  return {
    fd,
    events: POLL.POLLPRI,
    happened() {
      let now: bigint;
      try {
        now = kills();
      } catch {
        // The cgroup is gone.
        return false;
      }
      const isMore = now > before;
      before = now;
      return isMore;
    },
    close: () => closeSync(fd),
  };
}

/** How many processes of the cgroup the OOM killer has taken; 0 where nobody counts. */
export function oomKills(cgroup: Cgroup): bigint {
  const v1 = controllerOf(cgroup, "memory");
  const v2 = unifiedOf(cgroup);
  const path = v1 === undefined ? `${v2}/memory.events` : `${v1}/memory.oom_control`;
  try {
    return parseFlat(readText(path)).get("oom_kill") ?? 0n;
  } catch {
    return 0n;
  }
}
