/** sys/socket.h and poll.h. */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const SOCK = {
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_SEQPACKET: 5,
  SOCK_CLOEXEC: 0o2000000,
  SOCK_NONBLOCK: 0o4000,
} as const;
export const SOL_SOCKET = 1;
/** As every 64-bit architecture has it; its value is a `struct timeval`. */
export const SO_SNDTIMEO = 21;
export const SCM_RIGHTS = 1;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const POLL = { POLLIN: 1, POLLPRI: 2, POLLERR: 8, POLLHUP: 16 } as const;

/** linux/sockios.h and net/if.h. */
export const SIOCSIFFLAGS = 0x8914;
export const IFF = { IFF_UP: 0x1, IFF_RUNNING: 0x40 } as const;
