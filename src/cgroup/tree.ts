/**
 * What is below a cgroup, whatever a container has made there: names that are no text, nested deeper than a path can say and than
 * this process may have descriptors. So it is gone from one directory to the next: down by name, up by "..", which a cgroup keeps
 * for good, since v1 renames within a directory only and v2 not at all.
 */

import { AT_FDCWD, AT_REMOVEDIR, O } from "../kernel/consts/fcntl.ts";
import { DT_DIR, type Entry, entriesOf } from "../kernel/dents.ts";
import { ERRNO } from "../kernel/errno.ts";
import { call, FileError } from "../kernel/file-error.ts";
import { codeOf } from "../kernel/files.ts";
import { closeSync, readFileSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { chosen } from "../lists.ts";

interface Visitor {
  /** In a directory, by its descriptor; in each before those below. The first is `top`. */
  enter?(fd: number): void;
  /** Whether to go into one, seen from the one above it. */
  goesInto?(above: number, entry: Entry): boolean;
  /** Back from it. */
  leave?(above: number, entry: Entry): void;
}

/** What it gives for one that is gone, or going; else `otherwise`. @throws what isn't one of the errors */
function unless<T>(errors: readonly string[], otherwise: T, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (errors.includes(codeOf(error))) return otherwise;
    throw error;
  }
}

const GONE = ["ENOENT", "ENODEV"];
const DIRECTORY = O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;

const open = (at: number, name: string | Uint8Array): number | undefined =>
  unless(GONE, undefined, () => call(undefined, "openat", at, name, DIRECTORY, 0));
/** A file system of cgroups tells the type of each. */
const directoriesIn = (fd: number): Entry[] =>
  unless(GONE, [], () => chosen(entriesOf(fd), ({ type }) => type === DT_DIR));

/** Goes through `top` and all below it; what goes away meanwhile is passed over, and so is a `top` that isn't there. @throws FileError */
export function walk(top: string, { enter, goesInto, leave }: Visitor): void {
  let fd = open(AT_FDCWD, top);
  if (fd === undefined) return;
  const move = (to: number) => {
    closeSync(fd as number);
    fd = to;
  };
  try {
    enter?.(fd);
    /** The way from `top`, and on each of its directories what is still to be looked at. */
    const way: { entry?: Entry; rest: Entry[] }[] = [{ rest: directoriesIn(fd) }];
    for (let here = way.at(-1); here !== undefined; here = way.at(-1)) {
      const entry = here.rest.pop();
      if (entry === undefined) {
        way.pop();
        if (here.entry === undefined) continue;
        move(call(undefined, "openat", fd, "..", DIRECTORY, 0));
        leave?.(fd, here.entry);
      } else if (goesInto?.(fd, entry) ?? true) {
        const below = open(fd, entry.name);
        if (below === undefined) continue;
        move(below);
        enter?.(fd);
        way.push({ entry, rest: directoriesIn(fd) });
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** A threaded cgroup doesn't tell its processes: they are told where the threads' domain begins (cgroup-v2.rst, "Threads"). */
const WITHOUT_PROCESSES = [...GONE, "EOPNOTSUPP"];

function readProcesses(directory: number): string {
  const fd = call(undefined, "openat", directory, "cgroup.procs", O.O_RDONLY | O.O_CLOEXEC, 0);
  try {
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Each process in the cgroup and in those below, as it is found; one may be found twice. @throws FileError */
export function eachProcess(top: string, take: (pid: number) => void): void {
  walk(top, {
    enter: (fd) => {
      const text = unless(WITHOUT_PROCESSES, "", () => readProcesses(fd));
      // 0 is one that this process can't see.
      for (const line of text.split("\n")) if (line !== "" && line !== "0") take(Number(line));
    },
  });
}

/** False for one that isn't empty. @throws FileError */
function removeOne(above: number, { name }: Entry): boolean {
  const result = rawSyscall("unlinkat", above, name, AT_REMOVEDIR);
  if (result === 0 || result === -ERRNO.ENOENT) return true;
  if (result === -ERRNO.EBUSY || result === -ERRNO.ENOTEMPTY) return false;
  throw new FileError(result, "rmdir");
}

/**
 * Removes what is below, the lowest first, but for directories of the inodes `kept`; false when more is left, which isn't empty.
 * @throws FileError
 */
export function removeBelow(top: string, kept: ReadonlySet<number> = new Set()): boolean {
  let isAll = true;
  walk(top, {
    goesInto: (above, entry) => kept.has(entry.inode) || !removeOne(above, entry),
    leave: (above, entry) => {
      if (!kept.has(entry.inode) && !removeOne(above, entry)) isAll = false;
    },
  });
  return isAll;
}

/** What is below, by inode: a name may be no text, and a cgroup that is made later never has the same one. @throws FileError */
export function inodesBelow(top: string): number[] {
  const inodes: number[] = [];
  walk(top, { goesInto: (_, { inode }) => inodes.push(inode) > 0 });
  return inodes;
}
