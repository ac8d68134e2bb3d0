import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readSync } from "node:fs";
import { ERRNO } from "../../src/kernel/errno.ts";
import {
  addressOf,
  cString,
  nativeMemory,
  rawSyscall,
  SyscallError,
  syscall,
} from "../../src/kernel/libc.ts";

describe("a call", () => {
  test("gives what the kernel gives", () => {
    expect(rawSyscall("getpid")).toBe(process.pid);
    expect(syscall("getuid")).toBe(process.getuid?.() as number);
  });

  test("that fails gives −errno, the right one each time, whatever the collector does", () => {
    for (let i = 0; i < 200; i++) {
      if (i % 50 === 0) Bun.gc(true);
      expect(rawSyscall("close", -1)).toBe(-ERRNO.EBADF);
      expect(rawSyscall("openat", -100, `/nowhere/${i}`, 0, 0)).toBe(-ERRNO.ENOENT);
      expect(rawSyscall("getpid")).toBe(process.pid);
      expect(rawSyscall("mkdirat", -100, "/", 0)).toBe(-ERRNO.EEXIST);
    }
  });

  test("that fails throws with the call's and the error's names", () => {
    let error: unknown;
    try {
      syscall("openat", -100, "/nowhere", 0, 0);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SyscallError);
    expect(error).toMatchObject({
      syscall: "openat",
      errno: "ENOENT",
      number: ERRNO.ENOENT,
      message: "openat: no such file or directory",
    });
  });

  test("passes 64 bits, negative numbers and none", () => {
    // lseek gives back the offset that it was told, and refuses a negative one.
    const fd = openSync("/proc/self/stat", "r");
    expect(rawSyscall("lseek", fd, 5n, 0)).toBe(5);
    expect(rawSyscall("lseek", fd, -1, 0)).toBe(-ERRNO.EINVAL);
    closeSync(fd);
    const memory = rawSyscall("memfd_create", "size", 1);
    expect(rawSyscall("lseek", memory, 2 ** 40, 0)).toBe(2 ** 40);
    expect(rawSyscall("lseek", memory, 0xffff_ffff_ffff_ffffn, 0)).toBe(-ERRNO.EINVAL);
    expect(rawSyscall("lseek", memory, undefined, undefined)).toBe(0);
    closeSync(memory);
  });

  test("takes its arguments from memory as it is, and writes to it", () => {
    const pair = new Int32Array(2);
    syscall("pipe2", new Uint8Array(pair.buffer), 0o2000000);
    const [from, to] = pair as unknown as [number, number];
    const text = new TextEncoder().encode("hello");
    expect(syscall("write", to, text, text.length)).toBe(5);
    const read = new Uint8Array(8);
    expect(readSync(from, read)).toBe(5);
    expect(new TextDecoder().decode(read.subarray(0, 5))).toBe("hello");
    closeSync(from);
    closeSync(to);
  });

  test("refuses numbers that FFI would make another one of", () => {
    for (const wrong of [Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 53])
      expect(() => rawSyscall("close", wrong)).toThrow(RangeError);
    for (const wrong of [1n << 64n, -(1n << 63n) - 1n])
      expect(() => rawSyscall("close", wrong)).toThrow(RangeError);
  });

  test("refuses a string that the kernel would read as a shorter one", () => {
    expect(() => rawSyscall("openat", -100, "/etc/passwd\0.txt", 0, 0)).toThrow("NUL");
  });
});

describe("a C string", () => {
  test("is UTF-8 with one NUL at its end", () => {
    expect(cString("").toHex()).toBe("00");
    expect(cString("aé📦").toHex()).toBe("61c3a9f09f93a600");
  });

  test("has no other NUL", () => {
    for (const text of ["\0", "a\0", "\0a", "a\0b"]) expect(() => cString(text)).toThrow(RangeError);
  });
});

test("native memory is the memory at its address, seen twice", () => {
  const size = 4096;
  const address = syscall("mmap", 0, size, 3, 0x22, -1, 0);
  const { bytes, view } = nativeMemory(address, size);
  bytes[0] = 0x12;
  view.setUint8(1, 0x34);
  expect(nativeMemory(address, size).view.getUint16(0, true)).toBe(0x3412);
  expect(addressOf(bytes)).toBe(address);
  Bun.gc(true);
  expect(bytes[1]).toBe(0x34);
  syscall("munmap", address, size);
});
