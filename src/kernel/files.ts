/** Small files, those of /proc and of cgroups above all. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";

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
        const grown = new Uint8Array(2 * length);
        grown.set(buffer);
        buffer = grown;
        shared = grown;
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
