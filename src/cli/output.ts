import { fstatSync, writeSync } from "../kernel/fs.ts";

/**
 * Writes all of a text to a descriptor before it returns, also to a full pipe that somebody else made non-blocking. `process.stdout` is never
 * used: it costs milliseconds and itself switches the descriptor, which the container will share, to O_NONBLOCK.
 *
 * @returns false when the reader has gone (EPIPE); nobody is left to tell. Other errors (ENOSPC, EIO) are thrown.
 */
export function writeAll(fd: number, text: string): boolean {
  let rest: Uint8Array = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") return false;
      if (code === "EAGAIN") Bun.sleepSync(1);
      else if (code !== "EINTR") throw error;
    }
  }
  return true;
}

/** Major number of /dev/null, /dev/zero and their kin: the character devices that aren't terminals (devices.txt). */
const MEMORY_DEVICES = 1;

/**
 * Whether a descriptor is most likely a terminal. isatty(3) would be exact, but loading it costs 11 ms; all that hangs on the answer is colour.
 */
export function isTerminal(fd: number): boolean {
  try {
    const info = fstatSync(fd);
    return info.isCharacterDevice() && ((info.rdev >> 8) & 0xfff) !== MEMORY_DEVICES;
  } catch {
    return false;
  }
}

/** Whether to use colour on a descriptor: only on a terminal, and not when NO_COLOR is set (no-color.org) or the terminal is dumb. */
export function wantsColor(fd: number, env: Record<string, string | undefined> = process.env): boolean {
  return !env["NO_COLOR"] && env["TERM"] !== "dumb" && isTerminal(fd);
}
