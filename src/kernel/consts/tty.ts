/** asm-generic/ioctls.h: terminals (ioctl_tty(2)); the same numbers on x86-64 and arm64. */
export const TIOC = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TIOCSCTTY: 0x540e,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  TIOCSPTLCK: 0x40045431,
  /** Linux 4.13: the other end of a pseudoterminal, without a path. */
  TIOCGPTPEER: 0x5441,
} as const;

/** asm-generic/termbits.h: offsets in the kernel's `struct termios`, and the flags that make a terminal raw. */
export const TERMIOS_SIZE = 36;
export const TERMIOS = { iflag: 0, oflag: 4, cflag: 8, lflag: 12, cc: 17 } as const;
export const IFLAG = {
  IGNBRK: 0o1,
  BRKINT: 0o2,
  PARMRK: 0o10,
  ISTRIP: 0o40,
  INLCR: 0o100,
  IGNCR: 0o200,
  ICRNL: 0o400,
  IXON: 0o2000,
} as const;
export const OFLAG = { OPOST: 0o1 } as const;
export const CFLAG = { CSIZE: 0o60, PARENB: 0o400, CS8: 0o60 } as const;
export const LFLAG = { ISIG: 0o1, ICANON: 0o2, ECHO: 0o10, ECHONL: 0o100, IEXTEN: 0o100000 } as const;
/** Indices in `c_cc`. */
export const CC = { VTIME: 5, VMIN: 6 } as const;
