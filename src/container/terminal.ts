/** The terminal that a descriptor is, if it is one: its size, and its settings (ioctl_tty(2), termios(3)). */
import { CC, CFLAG, IFLAG, LFLAG, OFLAG, TERMIOS, TERMIOS_SIZE, TIOC } from "../kernel/consts/tty.ts";
import { rawSyscall } from "../kernel/libc.ts";

export interface TerminalSize {
  rows: number;
  columns: number;
}

/** Rows and columns; undefined when it isn't a terminal. A terminal that doesn't know has 24 by 80. */
export function terminalSize(fd: number): TerminalSize | undefined {
  const size = new Uint16Array(4);
  if (rawSyscall("ioctl", fd, TIOC.TIOCGWINSZ, new Uint8Array(size.buffer)) < 0) return undefined;
  return { rows: size[0] || 24, columns: size[1] || 80 };
}

export function setTerminalSize(fd: number, { rows, columns }: TerminalSize): void {
  const size = new Uint16Array([rows, columns, 0, 0]);
  rawSyscall("ioctl", fd, TIOC.TIOCSWINSZ, new Uint8Array(size.buffer));
}

const all = (flags: Readonly<Record<string, number>>) =>
  Object.values(flags).reduce((sum, flag) => sum | flag, 0);

/** The settings as cfmakeraw(3) makes them: every key goes through, nothing is added to the output. */
export function rawSettings(settings: Uint8Array): Uint8Array {
  const raw = settings.slice();
  const view = new DataView(raw.buffer);
  const clear = (at: number, flags: number) => view.setUint32(at, view.getUint32(at, true) & ~flags, true);
  clear(TERMIOS.iflag, all(IFLAG));
  clear(TERMIOS.oflag, OFLAG.OPOST);
  clear(TERMIOS.lflag, all(LFLAG));
  clear(TERMIOS.cflag, CFLAG.CSIZE | CFLAG.PARENB);
  view.setUint32(TERMIOS.cflag, view.getUint32(TERMIOS.cflag, true) | CFLAG.CS8, true);
  raw[TERMIOS.cc + CC.VMIN] = 1;
  raw[TERMIOS.cc + CC.VTIME] = 0;
  return raw;
}

/** Makes the terminal raw, until the returned function is called; nothing when it isn't one. */
export function makeRaw(fd: number): () => void {
  const before = new Uint8Array(TERMIOS_SIZE);
  if (rawSyscall("ioctl", fd, TIOC.TCGETS, before) < 0) return () => {};
  rawSyscall("ioctl", fd, TIOC.TCSETS, rawSettings(before));
  return () => {
    rawSyscall("ioctl", fd, TIOC.TCSETS, before);
  };
}
