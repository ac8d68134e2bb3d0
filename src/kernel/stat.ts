/** What a file is (statx(2)), by the names of node:fs. */
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "./consts/fcntl.ts";
import { makedev, S_IF, S_IFMT } from "./consts/stat.ts";
import { ERRNO } from "./errno.ts";
import { FileError, whole } from "./file-error.ts";
import { rawSyscall } from "./libc.ts";
import { decodeStatx, STATX_BASIC_STATS, STATX_SIZE } from "./structs.ts";

export interface Stats {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly ino: number;
  /** As mknod(2) takes it. */
  readonly rdev: number;
  /** The same of the device that it is on. */
  readonly dev: number;
  /** Milliseconds since the epoch. */
  readonly mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  isBlockDevice(): boolean;
  isCharacterDevice(): boolean;
}

const typeIs = (type: number) =>
  function (this: Stats): boolean {
    return (this.mode & S_IFMT) === type;
  };

const TYPES = {
  isFile: typeIs(S_IF.S_IFREG),
  isDirectory: typeIs(S_IF.S_IFDIR),
  isSymbolicLink: typeIs(S_IF.S_IFLNK),
  isBlockDevice: typeIs(S_IF.S_IFBLK),
  isCharacterDevice: typeIs(S_IF.S_IFCHR),
};

/** −errno for what can't be looked at. */
function look(fd: number, path: string, flags: number): Stats | number {
  const bytes = new Uint8Array(STATX_SIZE);
  const result = rawSyscall("statx", fd, path, flags, STATX_BASIC_STATS, bytes);
  if (result < 0) return result;
  const view = new DataView(bytes.buffer);
  const { mode, uid, gid, size, ino, rdevMajor, rdevMinor, devMajor, devMinor } = decodeStatx(view);
  return {
    ...{ mode, uid, gid, size: Number(size), ino: Number(ino) },
    rdev: makedev(rdevMajor, rdevMinor),
    dev: makedev(devMajor, devMinor),
    // stx_mtime: seconds, and nanoseconds behind them.
    mtimeMs: Number(view.getBigInt64(112, true)) * 1000 + view.getUint32(120, true) / 1e6,
    ...TYPES,
  };
}

function found(stats: Stats | number, path?: string): Stats {
  if (typeof stats === "number") throw new FileError(stats, "stat", path);
  return stats;
}

export interface StatOptions {
  /** False: undefined for what isn't there, without the cost of an exception. */
  throwIfNoEntry: false;
}

function statOf(path: string, flags: number, options?: StatOptions): Stats | undefined {
  const stats = look(AT_FDCWD, whole(path), flags);
  return options !== undefined && stats === -ERRNO.ENOENT ? undefined : found(stats, path);
}

export function statSync(path: string): Stats;
export function statSync(path: string, options: StatOptions): Stats | undefined;
export function statSync(path: string, options?: StatOptions): Stats | undefined {
  return statOf(path, 0, options);
}

export function lstatSync(path: string): Stats;
export function lstatSync(path: string, options: StatOptions): Stats | undefined;
export function lstatSync(path: string, options?: StatOptions): Stats | undefined {
  return statOf(path, AT_SYMLINK_NOFOLLOW, options);
}

export const fstatSync = (fd: number): Stats => found(look(fd, "", AT_EMPTY_PATH));
