/** The end of this process, at once. */
import { rawSyscall } from "./libc.ts";

/**
 * exit_group(2). Everything is written: neither the C library nor Bun has anything left to do, which would take them 0.2 ms
 * (`process.reallyExit`) or 1.5 ms (`process.exit`).
 */
export function exitNow(status: number): never {
  for (;;) rawSyscall("exit_group", status & 0xff);
}
