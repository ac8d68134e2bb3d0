/** Sockets of AF_UNIX that this process connects to, and descriptors sent through them (unix(7), cmsg(3)). */

import { basename, dirname } from "../path.ts";
import { AT_FDCWD, O } from "./consts/fcntl.ts";
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_NOSIGNAL,
  SCM_RIGHTS,
  SO_SNDTIMEO,
  SOCK,
  SOL_SOCKET,
} from "./consts/socket.ts";
import { closeSync } from "./fs.ts";
import { addressOf, syscall } from "./libc.ts";

/** `sun_path` of `struct sockaddr_un`, its NUL included. */
const SUN_PATH_SIZE = 108;

function address(path: string): Uint8Array {
  const bytes = new Uint8Array(2 + SUN_PATH_SIZE);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  const { read } = new TextEncoder().encodeInto(path, bytes.subarray(2, -1));
  if (read < path.length || path.includes("\0")) throw new RangeError(`no path of a socket: ${path}`);
  return bytes;
}

/**
 * A stream socket connected to `path`. Connecting and sending wait `seconds` at most, then fail with EAGAIN.
 * @throws SyscallError, RangeError for a last component that has no room in an address
 */
export function connectStream(path: string, seconds: number): number {
  if (new TextEncoder().encode(path).length < SUN_PATH_SIZE) return connectTo(address(path), seconds);
  // State directories can be deep: the way there is a descriptor then.
  const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
  const directory = syscall("openat", AT_FDCWD, dirname(path), flags, 0);
  try {
    return connectTo(address(`/proc/self/fd/${directory}/${basename(path)}`), seconds);
  } finally {
    closeSync(directory);
  }
}

function connectTo(to: Uint8Array, seconds: number): number {
  const socket = syscall("socket", AF_UNIX, SOCK.SOCK_STREAM | SOCK.SOCK_CLOEXEC, 0);
  try {
    // `struct timeval`; a connect waits as long, while the other side's backlog is full.
    const timeout = new Uint8Array(new BigInt64Array([BigInt(seconds), 0n]).buffer);
    syscall("setsockopt", socket, SOL_SOCKET, SO_SNDTIMEO, timeout, timeout.length);
    syscall("connect", socket, to, to.length);
    return socket;
  } catch (error) {
    closeSync(socket);
    throw error;
  }
}

/** Sends all of `data`, and with its first bytes a copy of the descriptor. @throws SyscallError */
export function sendDescriptor(socket: number, data: Uint8Array, descriptor: number): void {
  let sent = sendWith(socket, data, descriptor);
  while (sent < data.length) sent += sendWith(socket, data.subarray(sent), undefined);
}

function sendWith(socket: number, data: Uint8Array, descriptor: number | undefined): number {
  const vector = new Uint8Array(new BigUint64Array([BigInt(addressOf(data)), BigInt(data.length)]).buffer);
  // `struct cmsghdr` and its data, padded to 8 bytes.
  const control = new Uint8Array(24);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, 20n, true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  view.setInt32(16, descriptor ?? -1, true);
  const hasControl = descriptor !== undefined;
  // `struct msghdr`: no address, one vector, control data, no flags.
  const message = new Uint8Array(
    new BigUint64Array([
      0n,
      0n,
      BigInt(addressOf(vector)),
      1n,
      hasControl ? BigInt(addressOf(control)) : 0n,
      hasControl ? BigInt(control.length) : 0n,
      0n,
    ]).buffer,
  );
  return syscall("sendmsg", socket, message, MSG_NOSIGNAL);
}

/** Receives one descriptor, and forgets the data beside it; undefined when the other side closed without sending one. */
export function receiveDescriptor(socket: number): number | undefined {
  const data = new Uint8Array(256);
  const vector = new Uint8Array(new BigUint64Array([BigInt(addressOf(data)), BigInt(data.length)]).buffer);
  const control = new Uint8Array(24);
  const message = new Uint8Array(
    new BigUint64Array([
      0n,
      0n,
      BigInt(addressOf(vector)),
      1n,
      BigInt(addressOf(control)),
      BigInt(control.length),
      0n,
    ]).buffer,
  );
  const got = syscall("recvmsg", socket, message, MSG_CMSG_CLOEXEC);
  const view = new DataView(control.buffer);
  const isRights = view.getInt32(8, true) === SOL_SOCKET && view.getInt32(12, true) === SCM_RIGHTS;
  // msg_controllen says how much of it the kernel has filled.
  const filled = new DataView(message.buffer).getBigUint64(40, true);
  return got > 0 && filled >= 20n && isRights ? view.getInt32(16, true) : undefined;
}
