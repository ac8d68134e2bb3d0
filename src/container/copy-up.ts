/**
 * tmpcopyup: what the image has at a tmpfs's destination is copied into the tmpfs, before anyone sees it there. init has no
 * loops over directories, so it waits while the runtime does this, through init's own descriptors of both directories.
 *
 * The image is hostile: each name is opened from its directory's descriptor without following symlinks, so nothing but what
 * lies in the directory is read. And a user namespace's root gets nothing that it couldn't read by itself.
 */

import { readdirSync } from "node:fs";
import { KontenaError } from "../error.ts";
import { cellOffset, type EncodedPlan } from "../init/memory.ts";
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, O } from "../kernel/consts/fcntl.ts";
import { makedev, S_IF, S_IFMT } from "../kernel/consts/stat.ts";
import { ERRNO, errnoName, errnoText } from "../kernel/errno.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { closeSync, fstatSync, readSync, writeSync } from "../kernel/fs.ts";
import { SyscallError, syscall } from "../kernel/libc.ts";
import { decodeStatx, STATX_BASIC_STATS, STATX_SIZE, type Statx } from "../kernel/structs.ts";
import { type CopyUp, copyUps } from "../plan/copy-up.ts";
import type { PlanInput } from "../plan/input.ts";
import { copyXattrs } from "./xattrs.ts";

/** Who the container's root is, for the caller, and which ids it has. */
interface Owner {
  uid: number;
  gid: number;
  has(uid: number, gid: number): boolean;
  /** Runs `act` with its file-system ids: nobody else makes files on a file system of its user namespace. */
  as<T>(act: () => T): T;
}

interface Copying {
  owner: Owner;
  /** Where it is, for errors. */
  path: string[];
  buffer: Uint8Array;
}

/** A file of the image. */
interface Entry {
  stat: Statx;
  /** Two of `struct timespec`: access and modification. */
  times: Uint8Array;
}

type Range = [inside: number, outside: number, count: number];

/** Lines of /proc/PID/uid_map: the second column has ids as the caller sees them. */
function ranges(pid: number, file: string): Range[] {
  const lines = readText(`/proc/${pid}/${file}`).trim().split("\n");
  return lines.map((line) => line.trim().split(/\s+/).map(Number) as Range);
}

function ownerOf(pid: number, { host }: PlanInput): Owner {
  const status = readText(`/proc/${pid}/status`);
  const id = (name: string) => Number(new RegExp(`^${name}:.*\t(\\d+)$`, "m").exec(status)?.[1] ?? 0);
  const [uid, gid] = [id("Uid"), id("Gid")];
  const [uids, gids] = [ranges(pid, "uid_map"), ranges(pid, "gid_map")];
  const within = (list: Range[], one: number) =>
    list.some(([, from, count]) => one >= from && one < from + count);
  return {
    uid,
    gid,
    has: (user, group) => within(uids, user) && within(gids, group),
    as(act) {
      if (uid === host.uid && gid === host.gid) return act();
      // The group first: with another user the right to change it is gone.
      syscall("setfsgid", gid);
      syscall("setfsuid", uid);
      try {
        return act();
      } finally {
        syscall("setfsuid", host.uid);
        syscall("setfsgid", host.gid);
      }
    },
  };
}

/** statx(2) has seconds and nanoseconds in 16 bytes each: access at 64, modification at 112. */
function look(directory: number, name: Uint8Array | string): Entry {
  const bytes = new Uint8Array(STATX_SIZE);
  const flags = AT_SYMLINK_NOFOLLOW | (name === "" ? AT_EMPTY_PATH : 0);
  syscall("statx", directory, name, flags, STATX_BASIC_STATS, bytes);
  const view = new DataView(bytes.buffer);
  const times = new DataView(new ArrayBuffer(32));
  for (const [to, from] of [
    [0, 64],
    [16, 112],
  ] as const) {
    times.setBigInt64(to, view.getBigInt64(from, true), true);
    times.setBigInt64(to + 8, BigInt(view.getUint32(from + 8, true)), true);
  }
  return { stat: decodeStatx(view), times: new Uint8Array(times.buffer) };
}

/** Names of a directory as bytes that end in NUL: they may be no text. */
function namesIn(directory: number): Uint8Array[] {
  const names = readdirSync(`/proc/self/fd/${directory}`, { encoding: "buffer" });
  return names.map((name) => {
    const bytes = new Uint8Array(name.length + 1);
    bytes.set(name);
    return bytes;
  });
}

const textOf = (name: Uint8Array) => new TextDecoder().decode(name.subarray(0, -1));
const typeOf = ({ stat }: Entry) => stat.mode & S_IFMT;

/**
 * Capabilities of a user namespace's root count only for files whose ids it has; others it reads as anybody. Without that,
 * a file of mode 0600 that belongs to the host's root would be given away.
 */
function checkReadable({ owner }: Copying, { stat }: Entry, bits: number): void {
  if (owner.has(stat.uid, stat.gid)) return;
  const mode = stat.uid === owner.uid ? stat.mode >> 6 : stat.mode;
  if ((mode & bits) !== bits) throw new SyscallError("openat", ERRNO.EACCES);
}

const READ = 0o4;
const SEARCH = 0o1;
const FILE = O.O_RDONLY | O.O_NOFOLLOW | O.O_NONBLOCK | O.O_CLOEXEC;
const NEW_FILE = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW | O.O_CLOEXEC;
const DIRECTORY = O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;

/** Owner, mode, extended attributes, times; in this order, since a new owner takes set-id bits and capabilities away. */
function setAttributes(
  { owner }: Copying,
  { stat, times }: Entry,
  directory: number,
  name: Uint8Array,
  files?: { from: number; to: number },
): void {
  if (owner.has(stat.uid, stat.gid))
    syscall("fchownat", directory, name, stat.uid, stat.gid, AT_SYMLINK_NOFOLLOW);
  if ((stat.mode & S_IFMT) !== S_IF.S_IFLNK) syscall("fchmodat", directory, name, stat.mode & ~S_IFMT);
  if (files !== undefined) copyXattrs(files.from, files.to);
  syscall("utimensat", directory, name, times, AT_SYMLINK_NOFOLLOW);
}

/** Opens `name` in both directories, and closes both when `use` is done. */
function withBoth(
  open: { from: () => number; to: () => number },
  use: (files: { from: number; to: number }) => void,
): void {
  const from = open.from();
  try {
    const to = open.to();
    try {
      use({ from, to });
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

function copyFile(copying: Copying, entry: Entry, from: number, to: number, name: Uint8Array): void {
  checkReadable(copying, entry, READ);
  const open = {
    from: () => syscall("openat", from, name, FILE, 0),
    to: () => copying.owner.as(() => syscall("openat", to, name, NEW_FILE, 0o600)),
  };
  withBoth(open, (files) => {
    // Whoever can write to the image may have put another thing in its place since it was looked at.
    if (!fstatSync(files.from).isFile()) throw new SyscallError("openat", ERRNO.ESTALE);
    for (;;) {
      const got = readSync(files.from, copying.buffer);
      if (got === 0) break;
      for (let done = 0; done < got; ) done += writeSync(files.to, copying.buffer, done, got - done);
    }
    setAttributes(copying, entry, to, name, files);
  });
}

function copyDirectory(copying: Copying, entry: Entry, from: number, to: number, name: Uint8Array): void {
  checkReadable(copying, entry, READ | SEARCH);
  const open = {
    from: () => syscall("openat", from, name, DIRECTORY, 0),
    to: () =>
      copying.owner.as(() => {
        syscall("mkdirat", to, name, 0o700);
        return syscall("openat", to, name, DIRECTORY, 0);
      }),
  };
  withBoth(open, (files) => {
    copyEntries(copying, files.from, files.to);
    setAttributes(copying, entry, to, name, files);
  });
}

const PATH_MAX = 4096;

/** Symlinks, FIFOs, sockets, devices. */
function copyOther(copying: Copying, entry: Entry, from: number, to: number, name: Uint8Array): void {
  const { stat } = entry;
  const type = typeOf(entry);
  const isDevice = type === S_IF.S_IFCHR || type === S_IF.S_IFBLK;
  if (type === S_IF.S_IFLNK) {
    const target = new Uint8Array(PATH_MAX + 1);
    syscall("readlinkat", from, name, target, PATH_MAX);
    copying.owner.as(() => syscall("symlinkat", target, to, name));
  } else if (isDevice) {
    syscall("mknodat", to, name, type | 0o600, makedev(stat.rdevMajor, stat.rdevMinor));
  } else copying.owner.as(() => syscall("mknodat", to, name, type | 0o600, 0));
  setAttributes(copying, entry, to, name);
}

function copyEntries(copying: Copying, from: number, to: number): void {
  for (const name of namesIn(from)) {
    copying.path.push(textOf(name));
    const entry = look(from, name);
    const type = typeOf(entry);
    const copy = type === S_IF.S_IFDIR ? copyDirectory : type === S_IF.S_IFREG ? copyFile : copyOther;
    copy(copying, entry, from, to, name);
    copying.path.pop();
  }
}

/** A descriptor of init's, by the cell that has its number. */
function descriptorOf(pidfd: number, encoded: EncodedPlan, planFd: number, cell: string): number {
  const number = new BigInt64Array(1);
  syscall("pread64", planFd, new Uint8Array(number.buffer), 8, cellOffset(encoded, cell));
  return syscall("pidfd_getfd", pidfd, Number(number[0]), 0);
}

const SELF = new Uint8Array([".".charCodeAt(0), 0]);

function copyAll(copying: Copying, { ownsTop }: CopyUp, directory: number, mount: number): void {
  const open = {
    from: () => syscall("openat", directory, ".", DIRECTORY, 0),
    to: () => syscall("openat", mount, ".", DIRECTORY, 0),
  };
  withBoth(open, (files) => {
    const top = look(files.from, "");
    checkReadable(copying, top, READ | SEARCH);
    const { stat } = look(files.to, "");
    // Whatever mode the tmpfs has, its owner can fill it.
    syscall("fchmodat", files.to, SELF, 0o700);
    copyEntries(copying, files.from, files.to);
    if (ownsTop)
      setAttributes(copying, { ...top, stat: { ...top.stat, mode: stat.mode } }, files.to, SELF, files);
    else syscall("fchmodat", files.to, SELF, stat.mode & ~S_IFMT);
  });
}

/**
 * Fills the tmpfs of the pause of this name. Init is stopped meanwhile, and nobody else has its descriptors.
 * @throws KontenaError MOUNT_FAILED with the file that can't be copied
 */
export function copyUp(
  pause: string,
  input: PlanInput,
  encoded: EncodedPlan,
  init: { pid: number; pidfd: number; planFd: number },
): void {
  const which = copyUps(input).find((one) => one.pause === pause);
  if (which === undefined) return;
  const { at, destination } = which;
  const opened: number[] = [];
  const path = [destination.replace(/\/$/, "")];
  try {
    for (const cell of [which.destinationCell, which.mountCell])
      opened.push(descriptorOf(init.pidfd, encoded, init.planFd, cell));
    const [directory, mount] = opened as [number, number];
    const copying = { owner: ownerOf(init.pid, input), path, buffer: new Uint8Array(1024 * 1024) };
    copyAll(copying, which, directory, mount);
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = error instanceof SyscallError ? errnoName(error.number) : codeOf(error);
    throw new KontenaError(
      "MOUNT_FAILED",
      `cannot copy ${path.join("/")} into the tmpfs: ${errnoText(errno)}`,
      {
        at,
        errno,
        path: path.join("/"),
        ...HINTS[errno],
      },
    );
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

const HINTS: Readonly<Record<string, { hint: string }>> = {
  ENOSPC: { hint: "the tmpfs is too small for what the image has there: size=…" },
  EACCES: { hint: "the container's root has no right to read it" },
  EPERM: { hint: "the container's root can't make such a file" },
};
