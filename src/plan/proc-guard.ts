/**
 * What may be mounted on procfs: nothing, but for a few files that lxcfs emulates. /proc of the container is where labels
 * are set and limits are read; a mount that covers part of it makes that a lie (CVE-2019-16884, CVE-2019-19921,
 * CVE-2023-28642). The config's own words are checked before anything is done. Where a symlink of the image has led to is
 * known to init alone: it asks statfs(2), and the runtime looks at the answers before the program can run.
 */
import type { Config } from "../../spec/config.ts";
import type { Mount } from "../../spec/mounts.ts";
import type { Problem } from "../error.ts";
import { buffer, type Call, cell, type Failure } from "../init/step.ts";
import { AT_EMPTY_PATH } from "../kernel/consts/fcntl.ts";
import { STATX_BASIC_STATS, STATX_SIZE } from "../kernel/structs.ts";
import { relative } from "./destination.ts";
import type { PlanInput } from "./input.ts";
import { isBind } from "./source.ts";

/** As runc has them (checkProcMount). */
const MAY_COVER: ReadonlySet<string> = new Set(
  "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    .split(" ")
    .map((name) => `proc/${name}`),
);

const PROC = "proc";
/** Bytes of `struct statfs` on 64-bit machines; the first eight are the type. */
const STATFS_SIZE = 120;

/**
 * `outside`: the destination may not lie on procfs. `procfs`: the source has to be the root of one, as it will be /proc.
 */
type Guard = "outside" | "procfs" | "none";

function guardOf(mount: Mount): Guard {
  const path = relative(mount.destination);
  if (mount.options?.includes("remount") || MAY_COVER.has(path)) return "none";
  if (path !== PROC) return "outside";
  return isBind(mount) ? "procfs" : "none";
}

/** Whether the destination's path may have no symlink: /proc has to be the directory of that name. */
export function isProc(mount: Mount): boolean {
  return relative(mount.destination) === PROC;
}

/** What init asks of the descriptors, between opening the destination and mounting there. */
export function guardSteps(
  mount: Mount,
  at: string,
  destination: string,
  source: string,
  fail: Failure,
): Call[] {
  const place = `${at}.destination`;
  const guard = guardOf(mount);
  if (guard === "none") return [];
  const statfs = (descriptor: string, why: string): Call => ({
    call: "fstatfs",
    args: [cell(descriptor), buffer(`statfs ${at}`, STATFS_SIZE)],
    why,
    at: place,
    fail,
  });
  if (guard === "outside") return [statfs(destination, "is it on procfs, where nothing may be mounted?")];
  return [
    statfs(source, "is it a procfs? Only that may be /proc"),
    {
      call: "statx",
      args: [cell(source), "", AT_EMPTY_PATH, STATX_BASIC_STATS, buffer(`statx ${at}`, STATX_SIZE)],
      why: "is it the root of it?",
      at: place,
      fail,
    },
  ];
}

/** An answer of init that the runtime looks at. */
export interface MountCheck {
  at: string;
  destination: string;
  guard: Exclude<Guard, "none">;
  statfs: string;
  statx: string;
}

export function mountChecks({ config }: PlanInput): MountCheck[] {
  return (config.mounts ?? []).flatMap((mount, i) => {
    const at = `mounts[${i}]`;
    const guard = guardOf(mount);
    if (guard === "none") return [];
    return [{ at, destination: mount.destination, guard, statfs: `statfs ${at}`, statx: `statx ${at}` }];
  });
}

/** Destinations below /proc, and other things than a procfs on it. */
export function procProblems({ mounts = [] }: Config): Problem[] {
  return mounts.flatMap((mount, i) => {
    const path = relative(mount.destination);
    if (mount.options?.includes("remount")) return [];
    const at = `mounts[${i}].destination`;
    if (path === PROC && mount.type !== "proc" && !isBind(mount))
      return [{ at, message: `${mount.destination} can only be a procfs, not a ${mount.type ?? "none"}` }];
    if (!path.startsWith(`${PROC}/`) || MAY_COVER.has(path)) return [];
    return [
      {
        at,
        message: `${mount.destination} is inside of /proc, where nothing may be mounted`,
        hint: `linux.maskedPaths and linux.readonlyPaths cover parts of /proc; a bind may have ${[...MAY_COVER].map((p) => `/${p}`).join(", ")}`,
      },
    ];
  });
}
