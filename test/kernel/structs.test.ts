import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { AT_FDCWD } from "../../src/kernel/consts/fcntl.ts";
import { makedev, S_IF, S_IFMT } from "../../src/kernel/consts/stat.ts";
import { syscall } from "../../src/kernel/libc.ts";
import {
  decodeStatx,
  encodeStruct,
  isErrno,
  STATX_BASIC_STATS,
  STATX_SIZE,
} from "../../src/kernel/structs.ts";

const words = (bytes: Uint8Array) => [...new BigUint64Array(bytes.buffer)];
const halves = (bytes: Uint8Array) => [...new Uint32Array(bytes.buffer)];

test("open_how is three words", () => {
  const bytes = encodeStruct("open_how", { flags: 0o12000000, mode: 0o755, resolve: 0x10 });
  expect(bytes).toHaveLength(24);
  expect(words(bytes)).toEqual([0o12000000n, 0o755n, 0x10n]);
  expect(words(encodeStruct("open_how", { flags: 1, resolve: 2 }))).toEqual([1n, 0n, 2n]);
});

test("mount_attr is four words, in the header's order", () => {
  const bytes = encodeStruct("mount_attr", { attr_set: 1, attr_clr: 2, propagation: 1 << 18, userns_fd: 4 });
  expect(bytes).toHaveLength(32);
  expect(words(bytes)).toEqual([1n, 2n, 262144n, 4n]);
  expect(words(encodeStruct("mount_attr", {}))).toEqual([0n, 0n, 0n, 0n]);
});

test("clone_args has the size that knows cgroups, and each field its place", () => {
  const value = { flags: 0x300000000n, pidfd: 2n, exit_signal: 17n, stack: 6n, stack_size: 7n, cgroup: 11n };
  const bytes = encodeStruct("clone_args", value);
  expect(bytes).toHaveLength(88);
  expect(words(bytes)).toEqual([0x300000000n, 2n, 0n, 0n, 17n, 6n, 7n, 0n, 0n, 0n, 11n]);
});

test("rlimit64 keeps 64 bits", () => {
  const bytes = encodeStruct("rlimit64", { rlim_cur: 2n ** 53n + 1n, rlim_max: 2n ** 64n - 1n });
  expect(bytes).toHaveLength(16);
  expect(words(bytes)).toEqual([2n ** 53n + 1n, 2n ** 64n - 1n]);
});

test("capability sets are split into two data of three words, low halves first", () => {
  expect(encodeStruct("cap_user_header", { version: 0x20080522, pid: 0 })).toHaveLength(8);
  expect(halves(encodeStruct("cap_user_header", { version: 0x20080522, pid: 7 }))).toEqual([0x20080522, 7]);
  const bytes = encodeStruct("cap_user_data", {
    effective: 0x1_0000_0002n,
    permitted: 0x3_ffff_ffffn,
    inheritable: 0x100_0000_0000n,
  });
  expect(bytes).toHaveLength(24);
  expect(halves(bytes)).toEqual([2, 0xffffffff, 0, 1, 3, 0x100]);
});

test("sched_attr is 56 bytes that begin with their size, the nice value signed, the clamps 0", () => {
  const bytes = encodeStruct("sched_attr", {
    ...{ policy: 6, flags: 0x41, nice: -20, priority: 99 },
    ...{ runtime: 2n ** 53n + 1n, deadline: 5n, period: 2n ** 64n - 1n },
  });
  expect(bytes).toHaveLength(56);
  expect(halves(bytes).slice(0, 6)).toEqual([56, 6, 0x41, 0, 0xffff_ffec, 99]);
  expect(words(bytes).slice(3)).toEqual([2n ** 53n + 1n, 5n, 2n ** 64n - 1n, 0n]);
});

test("a set of signals is one word, all of them −1", () => {
  expect(words(encodeStruct("sigset", ~0n))).toEqual([2n ** 64n - 1n]);
  expect(words(encodeStruct("sigset", 0n))).toEqual([0n]);
});

test("sigaction is the kernel's, all zero: the default", () => {
  const bytes = encodeStruct("sigaction", {});
  expect(bytes).toHaveLength(32);
  expect(bytes.every((b) => b === 0)).toBe(true);
});

test("ifreq is a name of 16 bytes and the flags behind it", () => {
  const bytes = encodeStruct("ifreq_flags", { name: "lo", flags: 0x41 });
  expect(bytes).toHaveLength(40);
  expect(new TextDecoder().decode(bytes.subarray(0, 16))).toBe("lo".padEnd(16, "\0"));
  expect([bytes[16], bytes[17]]).toEqual([0x41, 0]);
});

test("a list of groups is 32 bits each, with the highest id", () => {
  expect(halves(encodeStruct("gid_list", [0, 5, 4294967294]))).toEqual([0, 5, 4294967294]);
  expect(encodeStruct("gid_list", [])).toHaveLength(0);
});

describe("statx", () => {
  const look = (path: string) => {
    const bytes = new Uint8Array(STATX_SIZE + 8);
    syscall("statx", AT_FDCWD, path, 0, STATX_BASIC_STATS, bytes.subarray(8));
    return decodeStatx(new DataView(bytes.buffer), 8);
  };

  test("of /dev/null has the device's numbers, mode, owner and inode", () => {
    const { mode, uid, gid, ino, rdevMajor, rdevMinor } = look("/dev/null");
    const known = statSync("/dev/null", { bigint: true });
    expect([rdevMajor, rdevMinor]).toEqual([1, 3]);
    expect(mode & S_IFMT).toBe(S_IF.S_IFCHR);
    expect([BigInt(mode), BigInt(uid), BigInt(gid), ino]).toEqual([
      known.mode,
      known.uid,
      known.gid,
      known.ino,
    ]);
  });

  test("of a directory has the numbers of the device that it is on", () => {
    const { mode, devMajor, devMinor } = look("/");
    expect(mode & S_IFMT).toBe(S_IF.S_IFDIR);
    expect(BigInt(makedev(devMajor, devMinor))).toBe(statSync("/", { bigint: true }).dev);
  });
});

test.each([
  [1, 3, 0x103],
  [5, 0, 0x500],
  [0, 255, 0xff],
  [0, 256, 0x100000],
  [8, 0xfffff, 0xfff008ff],
  [0xfff, 0, 0xfff00],
])("device %d:%d is %d to mknod", (major, minor, device) => {
  expect(makedev(major, minor)).toBe(device);
});

test("an errno in a cell is a negative result, and nothing else is", () => {
  expect(isErrno(-2n, "ENOENT")).toBe(true);
  expect(isErrno(2n, "ENOENT")).toBe(false);
  expect(isErrno(-3n, "ENOENT")).toBe(false);
});
