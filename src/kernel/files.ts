/** Small files, those of /proc and of cgroups above all. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { AT_FDCWD, O } from "./consts/fcntl.ts";
import { rawSyscall } from "./libc.ts";

const CHUNK = 64 * 1024;
let shared: Uint8Array | undefined;

/**
 * The text of a file. node:fs takes fresh memory of 256 kB for each file that says its size is 0, as those of /proc do;
 * touching it costs more than reading. Throws what node:fs throws.
 */
export function readText(path: string): string {
  const fd = openSync(path, "r");
  try {
    shared ??= new Uint8Array(CHUNK);
    let buffer = shared;
    let length = 0;
    for (;;) {
      const got = readSync(fd, buffer, length, buffer.length - length, null);
      if (got === 0) return new TextDecoder().decode(buffer.subarray(0, length));
      length += got;
      if (length === buffer.length) {
        // Not kept: for a file of /proc/sys the kernel takes as much memory as it is asked for, and 4 MiB it doesn't give.
        const grown = new Uint8Array(2 * length);
        grown.set(buffer);
        buffer = grown;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** The bytes of a file of its own memory; undefined when there is none. No exception for that: one costs as much as the read. */
export function readBytes(path: string): Uint8Array | undefined {
  if (!existsSync(path)) return undefined;
  return readFileSync(path);
}

/** The error number's name (`ENOENT`) in what node:fs throws; EIO for what has none. */
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
  const results = values.map((value) => {
    const bytes = encoder.encode(value);
    return Math.min(rawSyscall("write", fd, bytes, bytes.length), 0);
  });
  rawSyscall("close", fd);
  return results;
}
