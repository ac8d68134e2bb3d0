/**
 * node:fs, as far as containers need it: the same names, arguments and errors (`code`, `syscall`, `path`), by system calls.
 * Loading node:fs takes 0.7 ms, which is a tenth of what a container's `run` may cost; and for errnos that it has no name for
 * (those of cgroups) it tells another one.
 */
import { dirname } from "../path.ts";
import { ACCESS, AT_EACCESS, AT_FDCWD, AT_REMOVEDIR, O } from "./consts/fcntl.ts";
import { S_IF, S_IFMT } from "./consts/stat.ts";
import { DT_DIR, DT_UNKNOWN, entriesOf } from "./dents.ts";
import { ERRNO } from "./errno.ts";
import { call, FileError, whole } from "./file-error.ts";
import { rawSyscall } from "./libc.ts";
import { fstatSync, lstatSync, statSync } from "./stat.ts";

export { FileError } from "./file-error.ts";
export { fstatSync, lstatSync, type Stats, statSync } from "./stat.ts";

/** By the names of node:fs: O_* of open(2), those of access(2), and types of inode(7). */
export const constants = { ...O, ...ACCESS, S_IFMT, ...S_IF } as const;

const FLAGS = {
  r: O.O_RDONLY,
  w: O.O_WRONLY | O.O_CREAT | O.O_TRUNC,
  wx: O.O_WRONLY | O.O_CREAT | O.O_EXCL,
  a: O.O_WRONLY | O.O_CREAT | O.O_APPEND,
} as const;

/** A descriptor with FD_CLOEXEC. */
export function openSync(path: string, flags: keyof typeof FLAGS | number = "r", mode = 0o666): number {
  const bits = typeof flags === "number" ? flags : FLAGS[flags];
  return call(path, "openat", AT_FDCWD, whole(path), bits | O.O_CLOEXEC, mode);
}

export function closeSync(fd: number): void {
  // After EINTR the descriptor is gone (close(2)).
  const result = rawSyscall("close", fd);
  if (result < 0 && result !== -ERRNO.EINTR) throw new FileError(result, "close");
}

/** From `position`, or from where the descriptor stands. @returns bytes read, 0 at the end */
export function readSync(
  fd: number,
  buffer: Uint8Array,
  offset = 0,
  length = buffer.length - offset,
  position?: number,
): number {
  const part = partOf(buffer, offset, length);
  if (length === 0) return 0;
  return position === undefined
    ? call(undefined, "read", fd, part, length)
    : call(undefined, "pread64", fd, part, length, position);
}

/** One write(2). @returns bytes written, which may be fewer than there are */
export function writeSync(
  fd: number,
  data: string | Uint8Array,
  offset = 0,
  length?: number,
  position?: number,
): number {
  const bytes = bytesOf(data);
  const part = partOf(bytes, offset, length ?? bytes.length - offset);
  return position === undefined
    ? call(undefined, "write", fd, part, part.length)
    : call(undefined, "pwrite64", fd, part, part.length, position);
}

const bytesOf = (data: string | Uint8Array): Uint8Array =>
  typeof data === "string" ? new TextEncoder().encode(data) : data;

const partOf = (bytes: Uint8Array, offset: number, length: number): Uint8Array =>
  offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length);

/** All of it, to a file that is made anew, or to an open descriptor. */
export function writeFileSync(
  file: string | number,
  data: string | Uint8Array,
  { mode = 0o666, flag = "w" }: { mode?: number; flag?: keyof typeof FLAGS } = {},
): void {
  const path = typeof file === "number" ? undefined : file;
  const fd = typeof file === "number" ? file : openSync(file, flag, mode);
  try {
    let rest = bytesOf(data);
    // An empty value is a value for a control file.
    do rest = rest.subarray(call(path, "write", fd, rest, rest.length));
    while (rest.length > 0);
  } finally {
    if (path !== undefined) closeSync(fd);
  }
}

/** As node decodes: what is in the file, a byte order mark too. */
const decoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

const CHUNK = 64 * 1024;
let shared: Uint8Array | undefined;

/** A file that says how long it is: one buffer of that size, one read. Undefined for one that says 0, or has changed meanwhile. */
function readSized(path: string): Uint8Array | undefined {
  const fd = openSync(path);
  try {
    const { size } = fstatSync(fd);
    if (size === 0) return undefined;
    const bytes = new Uint8Array(size);
    return call(path, "read", fd, bytes, size) === size ? bytes : undefined;
  } finally {
    closeSync(fd);
  }
}

function readAll<T>(
  file: string | number,
  take: (bytes: Uint8Array) => T,
  most = Number.POSITIVE_INFINITY,
): T {
  const path = typeof file === "number" ? undefined : file;
  const fd = typeof file === "number" ? file : openSync(file);
  try {
    shared ??= new Uint8Array(CHUNK);
    let buffer = shared;
    for (let length = 0; ; ) {
      const rest = partOf(buffer, length, buffer.length - length);
      const got = call(path, "read", fd, rest, rest.length);
      if (got === 0) return take(partOf(buffer, 0, length));
      length += got;
      if (length > most) throw new FileError(-ERRNO.EFBIG, "read", path);
      if (length < buffer.length) continue;
      // Not kept: for a file of /proc/sys the kernel takes as much memory as it is asked for, and 4 MiB it doesn't give.
      const grown = new Uint8Array(2 * length);
      grown.set(buffer);
      buffer = grown;
    }
  } finally {
    if (path !== undefined) closeSync(fd);
  }
}

/** The whole of a file, of one that says its size is 0 too, as those of /proc do; of a descriptor, the rest. */
export function readFileSync(file: string | number): Uint8Array;
export function readFileSync(file: string | number, encoding: "utf8"): string;
export function readFileSync(file: string | number, encoding?: "utf8"): Uint8Array | string {
  if (encoding === undefined)
    return (
      (typeof file === "string" ? readSized(file) : undefined) ?? readAll(file, (bytes) => bytes.slice())
    );
  return readAll(file, (bytes) => decoder().decode(bytes));
}

/**
 * A file, or what is left to read from a descriptor, as `take` makes it of its bytes; they are others' when that returns.
 * @throws FileError EFBIG for more than so many bytes
 */
export function readBounded(
  file: string | number,
  most: number,
  take = (bytes: Uint8Array): string => decoder().decode(bytes),
): string {
  return readAll(file, take, most);
}

/** False for whatever can't be seen. */
export function existsSync(path: string): boolean {
  // A NUL is in no name.
  return !path.includes("\0") && rawSyscall("faccessat2", AT_FDCWD, path, ACCESS.F_OK, 0) === 0;
}

/** By the effective ids, unlike node's: what an open(2) would be measured by. */
export function accessSync(path: string, mode: number): void {
  call(path, "faccessat2", AT_FDCWD, whole(path), mode, AT_EACCESS);
}

export function mkdirSync(path: string, { mode = 0o777, recursive = false } = {}): void {
  const result = rawSyscall("mkdirat", AT_FDCWD, whole(path), mode);
  if (result === 0) return;
  if (!recursive) throw new FileError(result, "mkdir", path);
  if (result === -ERRNO.EEXIST && statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = dirname(path);
  if (result !== -ERRNO.ENOENT || above === path) throw new FileError(result, "mkdir", path);
  mkdirSync(above, { mode, recursive });
  const again = rawSyscall("mkdirat", AT_FDCWD, path, mode);
  // Somebody else may have made it meanwhile.
  if (again < 0 && again !== -ERRNO.EEXIST) throw new FileError(again, "mkdir", path);
}

export function unlinkSync(path: string): void {
  call(path, "unlinkat", AT_FDCWD, path, 0);
}

export function rmdirSync(path: string): void {
  const result = rawSyscall("unlinkat", AT_FDCWD, path, AT_REMOVEDIR);
  if (result < 0) throw new FileError(result, "rmdir", path);
}

export function renameSync(from: string, to: string): void {
  call(from, "renameat2", AT_FDCWD, from, AT_FDCWD, to, 0);
}

export function chmodSync(path: string, mode: number): void {
  call(path, "fchmodat", AT_FDCWD, path, mode);
}

export function fchownSync(fd: number, uid: number, gid: number): void {
  call(undefined, "fchown", fd, uid, gid);
}

/** The longest path that the kernel takes, its NUL included. */
const PATH_MAX = 4096;

export function readlinkSync(path: string): string {
  const target = new Uint8Array(PATH_MAX);
  const length = call(path, "readlinkat", AT_FDCWD, whole(path), target, target.length);
  return decoder().decode(target.subarray(0, length));
}

/** The path without symlinks, of what is there. */
export function realpathSync(path: string): string {
  const fd = openSync(path, O.O_PATH);
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

export interface Dirent {
  name: string;
  isDirectory(): boolean;
}

function entriesIn(path: string): { name: string; type: number }[] {
  const fd = openSync(path, O.O_RDONLY | O.O_DIRECTORY);
  const text = decoder();
  try {
    return entriesOf(fd, path).map(({ name, type }) => ({ name: text.decode(name.subarray(0, -1)), type }));
  } finally {
    closeSync(fd);
  }
}

/** The names in a directory, in the kernel's order; with `withFileTypes`, whether each is a directory, links not followed. */
export function readdirSync(path: string): string[];
export function readdirSync(path: string, options: { withFileTypes: true }): Dirent[];
export function readdirSync(path: string, options?: { withFileTypes: true }): string[] | Dirent[] {
  const entries = entriesIn(path);
  if (options === undefined) return entries.map(({ name }) => name);
  return entries.map(({ name, type }) => ({
    name,
    // Some file systems leave the type open.
    isDirectory: () =>
      type === DT_UNKNOWN
        ? (lstatSync(`${path}/${name}`, { throwIfNoEntry: false })?.isDirectory() ?? false)
        : type === DT_DIR,
  }));
}

/** Removes a file. `force`: or there is none. */
export function rmSync(path: string, { force = false } = {}): void {
  const result = rawSyscall("unlinkat", AT_FDCWD, whole(path), 0);
  if (result < 0 && !(force && result === -ERRNO.ENOENT)) throw new FileError(result, "rm", path);
}
