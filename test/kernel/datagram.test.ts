import { expect, test } from "bun:test";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindDatagram, connectDatagram, socketAddress } from "../../src/kernel/datagram.ts";
import { ERRNO } from "../../src/kernel/errno.ts";
import { rawSyscall, syscall } from "../../src/kernel/libc.ts";
import { sendDescriptor } from "../../src/kernel/unix-socket.ts";

test("a path ends with a NUL, an abstract name begins with one", () => {
  expect([...socketAddress("/a")]).toEqual([1, 0, 47, 97, 0]);
  expect([...socketAddress("@a")]).toEqual([1, 0, 0, 97]);
});

test("a name that is empty, too long or cut short by a NUL is refused", () => {
  for (const name of ["", "/".repeat(108), "/a\0b"]) expect(() => socketAddress(name)).toThrow(RangeError);
  expect(socketAddress("/".repeat(107))).toHaveLength(110);
});

test.each(["path", "abstract"])("what is sent to a name arrives there: %s", (kind) => {
  const directory = mkdtempSync(join(tmpdir(), "datagram-"));
  const name = kind === "path" ? join(directory, "socket") : `@kontena-test-${process.pid}`;
  const receiver = bindDatagram(name);
  const sender = connectDatagram(name);
  const bytes = new Uint8Array(16);
  expect(rawSyscall("read", receiver, bytes, 16)).toBe(-ERRNO.EAGAIN);
  syscall("write", sender, "READY=1", 7);
  expect(syscall("read", receiver, bytes, 16)).toBe(7);
  expect(new TextDecoder().decode(bytes.subarray(0, 7))).toBe("READY=1");
  for (const fd of [receiver, sender]) closeSync(fd);
  rmSync(directory, { recursive: true });
});

test("a descriptor goes along, and is closed with the message that is read without it", () => {
  const name = `@kontena-test-fd-${process.pid}`;
  const receiver = bindDatagram(name);
  const sender = connectDatagram(name);
  const ends = new Int32Array(2);
  syscall("pipe2", new Uint8Array(ends.buffer), 0o4000);
  const [readEnd, writeEnd] = ends as unknown as [number, number];
  const bytes = new Uint8Array(16);
  sendDescriptor(sender, new TextEncoder().encode("BARRIER=1"), writeEnd);
  closeSync(writeEnd);
  // Somebody could still write: the copy that is under way.
  expect(rawSyscall("read", readEnd, bytes, 16)).toBe(-ERRNO.EAGAIN);
  expect(syscall("read", receiver, bytes, 16)).toBe(9);
  expect(rawSyscall("read", readEnd, bytes, 16)).toBe(0);
  for (const fd of [receiver, sender, readEnd]) closeSync(fd);
});
