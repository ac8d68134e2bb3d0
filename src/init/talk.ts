/**
 * The conversation with init: a pair of sockets, one byte each way.
 *
 *     runtime                      init
 *        │  spawnInit ───────────▶  │  waits
 *        │  go ──────────────────▶  │  runs a batch
 *        │  ◀─────────────────done  │  waits
 *        │  go ──────────────────▶  │  runs the next …
 *
 * End of file means exit on both sides. What init has found out lies in plan memory.
 */

import { F } from "../kernel/consts/fcntl.ts";
import { AF_UNIX, SOCK } from "../kernel/consts/socket.ts";
import { ERRNO } from "../kernel/errno.ts";
import { closeSync } from "../kernel/fs.ts";
import { rawSyscall, SyscallError, syscall } from "../kernel/libc.ts";

export interface Talk {
  /** The runtime's end. */
  ours: number;
  /** init's end, to be closed here when init is born. */
  theirs: number;
}

/** A pair of sockets that close at execve; a descriptor that init is to keep loses that in its own table. */
export function openTalk(): Talk {
  const pair = new Int32Array(2);
  syscall("socketpair", AF_UNIX, SOCK.SOCK_SEQPACKET | SOCK.SOCK_CLOEXEC, 0, new Uint8Array(pair.buffer));
  return { ours: pair[0] as number, theirs: pair[1] as number };
}

/** A copy of `fd` with a number of `least` or more; the original is closed. */
export function moveAbove(fd: number, least: number): number {
  if (fd >= least) return fd;
  const moved = syscall("fcntl", fd, F.F_DUPFD_CLOEXEC, least);
  closeSync(fd);
  return moved;
}

const GO = new Uint8Array([0x67]);

/** Lets init run its next batch; false when init is gone. */
export function sendGo(socket: number): boolean {
  for (;;) {
    const sent = rawSyscall("write", socket, GO, 1);
    if (sent === 1) return true;
    if (sent === -ERRNO.EPIPE || sent === -ERRNO.ECONNRESET) return false;
    if (sent !== -ERRNO.EINTR) throw new SyscallError("write", -sent);
  }
}

/** Waits until init is done with its batch; false when it ended instead. */
export function awaitDone(socket: number): boolean {
  const byte = new Uint8Array(1);
  for (;;) {
    const got = rawSyscall("read", socket, byte, 1);
    if (got === 1) return true;
    if (got === 0 || got === -ERRNO.ECONNRESET) return false;
    if (got !== -ERRNO.EINTR) throw new SyscallError("read", -got);
  }
}
