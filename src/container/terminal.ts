/** The terminal that a descriptor is, if it is one. */
import { rawSyscall } from "../kernel/libc.ts";

const TIOCGWINSZ = 0x5413;

/** Rows and columns (ioctl_tty(2)); undefined when it isn't a terminal. A terminal that doesn't know has 24 by 80. */
export function terminalSize(fd: number): { rows: number; columns: number } | undefined {
  const size = new Uint16Array(4);
  if (rawSyscall("ioctl", fd, TIOCGWINSZ, new Uint8Array(size.buffer)) < 0) return undefined;
  return { rows: size[0] || 24, columns: size[1] || 80 };
}
