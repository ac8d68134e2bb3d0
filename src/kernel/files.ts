/** Small files, those of /proc and of cgroups above all. */

import { mapped } from "../lists.ts";
import { AT_FDCWD, O } from "./consts/fcntl.ts";
import { closeSync, fstatSync, readFileSync } from "./fs.ts";
import { rawSyscall } from "./libc.ts";

/** The text of a file. @throws FileError */
export const readText = (path: string): string => readFileSync(path, "utf8");

/** More than any file has that the kernel makes in one piece. */
const PIECE = 16 * 1024;
let piece: Uint8Array | undefined;

/**
 * The text of a file that the kernel makes in one piece, as most of /proc and of cgroups are: one read has it all. Undefined for
 * whatever can't be read: no exception for what may well be gone, one costs as much as the read.
 */
export function readPiece(path: string): string | undefined {
  const fd = rawSyscall("openat", AT_FDCWD, path, O.O_RDONLY | O.O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  piece ??= new Uint8Array(PIECE);
  const got = rawSyscall("read", fd, piece, PIECE);
  rawSyscall("close", fd);
  return got < 0 ? undefined : new TextDecoder().decode(piece.subarray(0, got));
}

/** Whether nobody but the caller and root can have written it. */
export const isOwn = ({ uid, mode }: { uid: number; mode: number }): boolean =>
  (uid === 0 || uid === process.geteuid?.()) && (mode & 0o022) === 0;

/** More than any file has that this program keeps. */
const MOST_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * The bytes of a file that nobody but the caller and root can have written: the descriptor is asked, so what the path leads to by
 * then doesn't matter. Undefined for any other, and when there is none. No exception for that: one costs as much as the read.
 */
export function readOwnBytes(path: string): Uint8Array | undefined {
  if (path.includes("\0")) return undefined;
  const fd = rawSyscall("openat", AT_FDCWD, path, O.O_RDONLY | O.O_NOFOLLOW | O.O_NONBLOCK | O.O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && isOwn(stat) && stat.size <= MOST_KEPT_BYTES ? readFileSync(fd) : undefined;
  } finally {
    closeSync(fd);
  }
}

/** The error number's name (`ENOENT`) in what the functions of fs.ts throw; EIO for what has none. */
export function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? "EIO";
}

/**
 * One write, since the kernel takes a value whole. Not by node:fs: cgroups answer with errnos that it has no name for.
 * @returns 0 or −errno
 */
export function writeControl(path: string, value: string): number {
  return writeControls(path, [value])[0] ?? 0;
}

/** The same for several values of one file, a write for each. @returns a result for each */
export function writeControls(path: string, values: readonly string[]): number[] {
  if (values.length === 0) return [];
  const fd = rawSyscall("openat", AT_FDCWD, path, O.O_WRONLY | O.O_CLOEXEC, 0);
  if (fd < 0) return values.map(() => fd);
  const encoder = new TextEncoder();
  const results = mapped(values, (value) => {
    const bytes = encoder.encode(value);
    return Math.min(rawSyscall("write", fd, bytes, bytes.length), 0);
  });
  rawSyscall("close", fd);
  return results;
}
