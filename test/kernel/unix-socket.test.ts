import { expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AF_UNIX, SCM_RIGHTS, SOCK, SOL_SOCKET } from "../../src/kernel/consts/socket.ts";
import { addressOf, SyscallError, syscall } from "../../src/kernel/libc.ts";
import { connectStream, sendDescriptor } from "../../src/kernel/unix-socket.ts";

function inDirectory(action: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "kontena-unix-"));
  try {
    action(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function listenAt(path: string): number {
  const address = new Uint8Array(110);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  new TextEncoder().encodeInto(path, address.subarray(2));
  const socket = syscall("socket", AF_UNIX, SOCK.SOCK_STREAM | SOCK.SOCK_CLOEXEC, 0);
  syscall("bind", socket, address, address.length);
  syscall("listen", socket, 1);
  return socket;
}

test("a descriptor comes with the first bytes of what is sent, and is another one for the same file", () => {
  inDirectory((directory) => {
    const path = join(directory, "socket");
    const listener = listenAt(path);
    const socket = connectStream(path, 5);
    const peer = syscall("accept4", listener, 0, 0, SOCK.SOCK_CLOEXEC);
    writeFileSync(join(directory, "file"), "");
    const file = openSync(join(directory, "file"), "r");
    sendDescriptor(socket, new TextEncoder().encode("state"), file);
    const data = new Uint8Array(16);
    const control = new Uint8Array(24);
    const vector = new Uint8Array(new BigUint64Array([BigInt(addressOf(data)), 16n]).buffer);
    const words = [0n, 0n, BigInt(addressOf(vector)), 1n, BigInt(addressOf(control)), 24n, 0n];
    expect(syscall("recvmsg", peer, new Uint8Array(new BigUint64Array(words).buffer), 0)).toBe(5);
    expect(new TextDecoder().decode(data.subarray(0, 5))).toBe("state");
    const view = new DataView(control.buffer);
    expect([view.getBigUint64(0, true), view.getInt32(8, true), view.getInt32(12, true)]).toEqual([
      20n,
      SOL_SOCKET,
      SCM_RIGHTS,
    ]);
    const received = view.getInt32(16, true);
    expect(received).not.toBe(file);
    expect(fstatSync(received).ino).toBe(fstatSync(file).ino);
    expect(readlinkSync(`/proc/self/fd/${received}`)).toBe(join(directory, "file"));
    for (const fd of [received, file, peer, socket, listener]) closeSync(fd);
  });
});

test("what can't be connected to is an error of the kernel, and a path that is too long one of ours", () => {
  inDirectory((directory) => {
    expect(() => connectStream(join(directory, "none"), 1)).toThrow(SyscallError);
    expect(() => connectStream(`/${"a".repeat(107)}`, 1)).toThrow(RangeError);
    expect(() => connectStream(`/${"a".repeat(106)}`, 1)).toThrow(SyscallError);
    expect(() => connectStream("/a\0b", 1)).toThrow(RangeError);
    expect(() => connectStream(join(directory, "none", "a".repeat(60), "b".repeat(60)), 1)).toThrow(
      SyscallError,
    );
  });
});

test("a socket deeper than an address has room for is reached through its directory", () => {
  inDirectory((directory) => {
    const deep = join(directory, "a".repeat(60), "b".repeat(60));
    mkdirSync(deep, { recursive: true });
    // bind(2) has no more room than connect(2).
    symlinkSync(deep, join(directory, "short"));
    const listener = listenAt(join(directory, "short", "socket"));
    closeSync(connectStream(join(deep, "socket"), 1));
    closeSync(listener);
  });
});

test("a listener whose backlog is full lets the caller wait for so long and no longer", () => {
  inDirectory((directory) => {
    const path = join(directory, "socket");
    const listener = listenAt(path);
    const made: number[] = [];
    expect(() => {
      for (let i = 0; i < 10; i++) made.push(connectStream(path, 1));
    }).toThrow("connect: resource temporarily unavailable");
    for (const fd of [...made, listener]) closeSync(fd);
  });
});
