/** The environment that this process was started with, as text (proc(5), /proc/PID/environ). */
import { readPiece } from "./files.ts";

/** A longer one isn't looked through. */
const LONG = 8 * 1024;

/** Whether it may have one of these variables. `process.env` tells for sure, but takes a tenth of a millisecond to be made. */
export function mentions(...names: string[]): boolean {
  const text = readPiece("/proc/self/environ");
  if (text === undefined || text.length > LONG) return true;
  for (const name of names) if (text.includes(`${name}=`)) return true;
  return false;
}
