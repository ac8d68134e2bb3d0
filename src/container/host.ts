/** Facts about the host and the caller, gathered once, before the plan. */

import { delegatedCgroup, readHierarchies } from "../cgroup/hierarchies.ts";
import { RLIMIT } from "../kernel/consts/resource.ts";
import { readPiece, readText } from "../kernel/files.ts";
import { lstatSync, readlinkSync, type Stats, statSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import type { Host, SourceKind } from "../plan/input.ts";
import type { Lookup } from "../plan/lookups.ts";
import { homeOf } from "./home.ts";
import { addRootFacts } from "./root-facts.ts";

/** Value of a line `Name:\tvalue` of /proc/PID/status. */
function field(status: string, name: string): string {
  // No regular expression: compiling one for each field costs more than reading the file.
  const label = `\n${name}:`;
  const at = status.indexOf(label);
  if (at < 0) return "";
  return status.slice(at + label.length, status.indexOf("\n", at + 1)).trim();
}

/** Numbers of the signals in a mask of /proc/PID/status: hexadecimal, bit N−1 for signal N. */
export function signalsOf(mask: string): number[] {
  const signals: number[] = [];
  // From the last digit on, each stands for four signals.
  for (let at = mask.length - 1, first = 1; at >= 0; at--, first += 4) {
    const digit = Number.parseInt(mask.charAt(at), 16);
    for (let bit = 0; digit >> bit > 0; bit++) if ((digit >> bit) & 1) signals.push(first + bit);
  }
  return signals;
}

const UNLIMITED = 0xffffffffffffffffn;

type OpenFiles = NonNullable<Host["nofile"]>;

/** The limit of a process, 0 for this one (prlimit(2)); undefined for another user's. */
function openFilesOf(pid: number): OpenFiles | undefined {
  const limit = new BigUint64Array(2);
  const result = rawSyscall("prlimit64", pid, RLIMIT.RLIMIT_NOFILE, 0, new Uint8Array(limit.buffer));
  return result < 0 ? undefined : { soft: limit[0] ?? 0n, hard: limit[1] ?? 0n };
}

/** The same from the text of /proc/PID/limits, which is everybody's. */
function openFilesIn(limits: string): OpenFiles | undefined {
  const label = "Max open files";
  const at = limits.indexOf(label);
  if (at < 0) return undefined;
  const [soft, hard] = limits
    .slice(at + label.length, at + 80)
    .split(" ")
    .filter((word) => word !== "");
  const value = (text = "") => (text === "unlimited" ? UNLIMITED : BigInt(text));
  return { soft: value(soft), hard: value(hard) };
}

/**
 * Bun raises RLIMIT_NOFILE to the hard limit as it starts, and the value before is lost; the parent's soft limit is what
 * this process was given, unless something between the two changed it, which then shows in a lower hard limit.
 */
function callersOpenFiles(): OpenFiles | undefined {
  const own = openFilesOf(0);
  const parent = openFilesOf(process.ppid) ?? openFilesIn(readPiece(`/proc/${process.ppid}/limits`) ?? "");
  if (own === undefined || parent === undefined) return undefined;
  // Math.min takes no bigint.
  const lowered = parent.soft > own.hard;
  return { soft: lowered ? own.hard : parent.soft, hard: own.hard };
}

const kindOf = (stats: Stats): SourceKind => (stats.isDirectory() ? "directory" : "file");

function linkKind(path: string): SourceKind {
  const stats = lstatSync(path);
  return stats.isSymbolicLink() ? `link ${readlinkSync(path)}` : kindOf(stats);
}

/** The answers to a plan's questions; what can't be seen is left out, and init's own error tells why. */
export function sourceKinds(lookups: readonly Lookup[], rootfs: string): Host["sources"] {
  const kinds: Record<string, SourceKind> = {};
  const images: Extract<Lookup, { of: "image" }>[] = [];
  for (const lookup of lookups) if (lookup.of === "image") images.push(lookup);
  addRootFacts(kinds, images, rootfs);
  for (const lookup of lookups) {
    const { of, name, path } = lookup;
    if (of === "home") kinds[name] = `home ${homeOf(lookup.top ?? rootfs, path, lookup.uid)}`;
    try {
      if (of === "source") kinds[name] = lookup.link ? linkKind(path) : kindOf(statSync(path));
      else if (of === "device" && statSync(path).isBlockDevice()) kinds[name] = "file";
    } catch {
      // open_tree(2) will say it better.
    }
  }
  return kinds;
}

/** What doesn't depend on the config. */
export type HostFacts = Omit<Host, "sources">;

/** The kernel gives the first one always the same inode: PROC_USER_INIT_INO (linux/proc_ns.h), 0xeffffffd. */
const FIRST_USER_NAMESPACE = "user:[4026531837]";

/** What can't change while this process runs. */
let constant: Pick<Host, "lastCap" | "firstUserNamespace" | "nofile"> | undefined;

export function gatherHost(): HostFacts {
  const status = readText("/proc/self/status");
  constant ??= {
    lastCap: Number(readText("/proc/sys/kernel/cap_last_cap")),
    firstUserNamespace: readlinkSync("/proc/self/ns/user") === FIRST_USER_NAMESPACE,
    // As it was when this process was started: the caller's of that time.
    nofile: callersOpenFiles(),
  };
  const ids = (name: string) => Number(field(status, name).split("\t")[1] ?? 0);
  const uid = ids("Uid");
  const hierarchies = readHierarchies();
  const delegated = uid === 0 ? undefined : delegatedCgroup(hierarchies);
  return {
    uid,
    gid: ids("Gid"),
    permitted: BigInt(`0x${field(status, "CapPrm")}`),
    bounding: BigInt(`0x${field(status, "CapBnd")}`),
    ignoredSignals: signalsOf(field(status, "SigIgn")),
    ...constant,
    hierarchies,
    ...(delegated === undefined ? {} : { delegated }),
  };
}
