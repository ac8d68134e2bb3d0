/**
 * A seccomp agent as a program of its own: listens at the path of argv[2], and for each connection writes what it got to
 * argv[3] as a line of JSON, then answers all calls as argv[4] says: an error number, `go` for going on, or `none`.
 */
import { appendFileSync, closeSync } from "node:fs";
import { AF_UNIX, SOCK } from "../../src/kernel/consts/socket.ts";
import { addressOf, rawSyscall, syscall } from "../../src/kernel/libc.ts";

const [, , path = "", log = "", answer = "go"] = process.argv;
/** linux/seccomp.h. */
const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;

function open(): number {
  const address = new Uint8Array(110);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  new TextEncoder().encodeInto(path, address.subarray(2));
  const socket = syscall("socket", AF_UNIX, SOCK.SOCK_STREAM | SOCK.SOCK_CLOEXEC, 0);
  syscall("bind", socket, address, address.length);
  syscall("listen", socket, 5);
  return socket;
}

/** Everything that a peer sends until it closes, and the descriptors that come with the first part. */
function receive(socket: number): { text: string; fds: number[] } {
  let text = "";
  const fds: number[] = [];
  for (;;) {
    const data = new Uint8Array(65536);
    const control = new Uint8Array(256);
    const vector = new Uint8Array(new BigUint64Array([BigInt(addressOf(data)), BigInt(data.length)]).buffer);
    const words = [0n, 0n, BigInt(addressOf(vector)), 1n, BigInt(addressOf(control)), 256n, 0n];
    const message = new Uint8Array(new BigUint64Array(words).buffer);
    const got = syscall("recvmsg", socket, message, 0);
    const length = Number(new DataView(control.buffer).getBigUint64(0, true));
    for (let at = 16; at < length; at += 4) fds.push(new DataView(control.buffer).getInt32(at, true));
    if (got === 0) return { text, fds };
    text += new TextDecoder().decode(data.subarray(0, got));
  }
}

function serve(listener: number): void {
  for (;;) {
    const asked = new Uint8Array(80);
    if (rawSyscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_RECV, asked) < 0) return;
    const view = new DataView(asked.buffer);
    appendFileSync(log, `${JSON.stringify({ call: view.getInt32(16, true) })}\n`);
    const reply = new Uint8Array(24);
    reply.set(asked.subarray(0, 8));
    const to = new DataView(reply.buffer);
    if (answer === "go") to.setUint32(20, SECCOMP_USER_NOTIF_FLAG_CONTINUE, true);
    else to.setInt32(16, -Number(answer), true);
    rawSyscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_SEND, reply);
  }
}

const socket = open();
for (;;) {
  const peer = syscall("accept4", socket, 0, 0, SOCK.SOCK_CLOEXEC);
  const { text, fds } = receive(peer);
  closeSync(peer);
  // The container's init ended before there was anything to send.
  if (text === "") continue;
  appendFileSync(
    log,
    `${JSON.stringify({ message: JSON.parse(text) as unknown, descriptors: fds.length })}\n`,
  );
  for (const fd of fds) {
    if (answer !== "none") serve(fd);
    closeSync(fd);
  }
}
