/** The environment that this process was started with, as text (proc(5), /proc/PID/environ). */
import { readPiece } from "./files.ts";

/** In characters: of more than so many the rest may have been cut off just behind a NUL. */
const LONG = 5 * 1024;

/** Whether it may have one of these variables. `process.env` tells for sure, but takes a tenth of a millisecond to be made. */
export function mentions(...names: string[]): boolean {
  const text = readPiece("/proc/self/environ");
  // Each ends in a NUL: of one that is too long to be read at once the end isn't there.
  if (text === undefined || (text !== "" && !text.endsWith("\0")) || text.length > LONG) return true;
  for (const name of names) if (text.includes(`${name}=`)) return true;
  return false;
}
