/** Datagram sockets of AF_UNIX, as sd_notify(3) uses them (unix(7)). */

import { AF_UNIX, SOCK } from "./consts/socket.ts";
import { closeSync } from "./fs.ts";
import { syscall } from "./libc.ts";

/** `sun_path` of `struct sockaddr_un`. */
const SUN_PATH_SIZE = 108;

/**
 * `struct sockaddr_un`, as long as it has to be: an abstract name, written with `@` for its first NUL, ends with the struct.
 * @throws RangeError for a name that has no room
 */
export function socketAddress(name: string): Uint8Array {
  const isAbstract = name.startsWith("@");
  const text = new TextEncoder().encode(name);
  if (text.length === 0 || text.length >= SUN_PATH_SIZE || text.includes(0))
    throw new RangeError(`no address of a socket: ${JSON.stringify(name)}`);
  const bytes = new Uint8Array(2 + text.length + (isAbstract ? 0 : 1));
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(text, 2);
  if (isAbstract) bytes[2] = 0;
  return bytes;
}

function open(call: "bind" | "connect", name: string, flags: number): number {
  const address = socketAddress(name);
  const fd = syscall("socket", AF_UNIX, SOCK.SOCK_DGRAM | SOCK.SOCK_CLOEXEC | flags, 0);
  try {
    syscall(call, fd, address, address.length);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A socket that receives what is sent to `name`; a read of nothing is EAGAIN. @throws SyscallError */
export const bindDatagram = (name: string): number => open("bind", name, SOCK.SOCK_NONBLOCK);

/** A socket that sends to `name`. @throws SyscallError, RangeError */
export const connectDatagram = (name: string): number => open("connect", name, 0);
