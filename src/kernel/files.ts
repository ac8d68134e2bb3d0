/** Small files, those of /proc and of cgroups above all. */

import { mapped } from "../lists.ts";
import { AT_FDCWD, O } from "./consts/fcntl.ts";
import { existsSync, readFileSync } from "./fs.ts";
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

/** The bytes of a file of its own memory; undefined when there is none. No exception for that: one costs as much as the read. */
export function readBytes(path: string): Uint8Array | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
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
