/** A client's end of a stream socket in the file system or in the abstract name space (unix(7)). */
import { AF_UNIX, POLL, SOCK } from "./consts/socket.ts";
import { ERRNO } from "./errno.ts";
import { rawSyscall, syscall } from "./libc.ts";

/** `struct sockaddr_un`'s room for a path, with its NUL. */
const PATH_SIZE = 108;

/**
 * @param path a NUL in front makes it an abstract name
 * @returns a descriptor, or −errno
 */
export function connectUnix(path: string): number {
  const name = new TextEncoder().encode(path);
  if (name.length >= PATH_SIZE) return -ERRNO.ENAMETOOLONG;
  const address = new Uint8Array(2 + PATH_SIZE);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  // An abstract name is as long as it is said to be, a path ends at its NUL.
  const length = 2 + name.length + (path.startsWith("\0") ? 0 : 1);
  const fd = syscall("socket", AF_UNIX, SOCK.SOCK_STREAM | SOCK.SOCK_CLOEXEC, 0);
  for (;;) {
    const result = rawSyscall("connect", fd, address, length);
    if (result === 0) return fd;
    if (result === -ERRNO.EINTR) continue;
    syscall("close", fd);
    return result;
  }
}

/** Writes all of it; 0, or −errno. */
export function sendAll(fd: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length; ) {
    const sent = rawSyscall("write", fd, bytes.subarray(done), bytes.length - done);
    if (sent === -ERRNO.EINTR) continue;
    if (sent < 0) return sent;
    done += sent;
  }
  return 0;
}

/**
 * Reads what there is, waiting for it if need be.
 * @param deadline time of `Date.now()` until which it waits
 * @returns number of bytes, 0 at the end of the stream, or −errno; −ETIMEDOUT when the time is over
 */
export function receive(fd: number, buffer: Uint8Array, deadline: number): number {
  for (;;) {
    const left = Math.max(0, deadline - Date.now());
    // struct pollfd: descriptor, events, what happened.
    const poll = new Uint8Array(8);
    const view = new DataView(poll.buffer);
    view.setInt32(0, fd, true);
    view.setInt16(4, POLL.POLLIN, true);
    // struct timespec.
    const time = new BigInt64Array([BigInt(Math.floor(left / 1000)), BigInt(left % 1000) * 1_000_000n]);
    const ready = rawSyscall("ppoll", poll, 1, new Uint8Array(time.buffer), 0, 0);
    if (ready === -ERRNO.EINTR) continue;
    if (ready < 0) return ready;
    if (ready === 0) return -ERRNO.ETIMEDOUT;
    const got = rawSyscall("read", fd, buffer, buffer.length);
    if (got !== -ERRNO.EINTR) return got;
  }
}
