/** The interpreter of this machine's architecture, run within the test process. */
import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, readSync } from "node:fs";
import { machineFor } from "../../src/init/machine/index.ts";
import { OP_NONE, OP_SIZE, type Op, writeOp } from "../../src/init/op.ts";
import { MAP, PROT } from "../../src/kernel/consts/mman.ts";
import { CLONE, CLONE3 } from "../../src/kernel/consts/sched.ts";
import { ERRNO } from "../../src/kernel/errno.ts";
import {
  type NativeMemory,
  nativeFunction,
  nativeMemory,
  rawSyscall,
  syscall,
} from "../../src/kernel/libc.ts";
import { ARCH, type SyscallName, syscallNumber } from "../../src/kernel/syscalls.ts";

const CODE_SIZE = 65536;
const DATA_SIZE = 65536;
/** Offsets in the data area. Ops begin at 0. */
const RECORD = 0x8000;
const CELLS = 0x8100;
const BUFFER = 0x8200;

let run: (first: number) => void;
let memory: NativeMemory;

beforeAll(() => {
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS;
  const size = CODE_SIZE + DATA_SIZE;
  const at = syscall("mmap", 0, size, PROT.PROT_READ | PROT.PROT_WRITE, flags, -1, 0);
  nativeMemory(at, CODE_SIZE).bytes.set(machineFor(ARCH).interpreter());
  syscall("mprotect", at, CODE_SIZE, PROT.PROT_READ | PROT.PROT_EXEC);
  run = nativeFunction(at);
  memory = nativeMemory(at + CODE_SIZE, DATA_SIZE);
});

interface Call extends Partial<Omit<Op, "nr">> {
  call: SyscallName;
}

const at = (offset: number) => memory.address + offset;
const opAt = (index: number) => at(index * OP_SIZE);
const cell = (index: number) => at(CELLS + 8 * index);
const word = (offset: number) => memory.view.getBigInt64(offset, true);
const cellValue = (index: number) => word(CELLS + 8 * index);

function execute(...calls: Call[]): void {
  memory.bytes.fill(0);
  write(...calls);
  run(opAt(0));
}

function write(...calls: Call[]): void {
  calls.forEach(({ call, ...op }, i) => {
    writeOp(memory.view, i * OP_SIZE, { ...OP_NONE, nr: syscallNumber(call), ...op });
  });
}

/** An op that leaves `process.pid` in a cell: a mark that it ran. */
const mark = (index: number, next = 0): Call => ({ call: "getpid", result: cell(index), next });
const PID = BigInt(process.pid);
const BAD_FD = 1_000_000;

test("a result is stored, and the interpreter ends at a successor of 0", () => {
  execute(mark(0), mark(1));
  expect(cellValue(0)).toBe(PID);
  expect(cellValue(1)).toBe(0n);
});

test("ops follow each other by address, in whatever order they lie", () => {
  execute(mark(0, opAt(2)), mark(1), mark(2, opAt(1)));
  expect([0, 1, 2].map(cellValue)).toEqual([PID, PID, PID]);
});

test("an error number is stored as a negative result", () => {
  execute({ call: "close", args: [BAD_FD], result: cell(0) });
  expect(cellValue(0)).toBe(-BigInt(ERRNO.EBADF));
});

test("the ops themselves stay as they were", () => {
  execute({ call: "close", args: [BAD_FD], result: cell(0), record: at(RECORD), onFail: opAt(1) }, mark(1));
  const after = memory.bytes.slice(0, 2 * OP_SIZE);
  write({ call: "close", args: [BAD_FD], result: cell(0), record: at(RECORD), onFail: opAt(1) }, mark(1));
  expect(memory.bytes.slice(0, 2 * OP_SIZE)).toEqual(after);
});

test("an argument comes from a cell: what one op returns, several others use", () => {
  memory.bytes.fill(0);
  const text = new TextEncoder().encode("through a pipe");
  const pipe = new Int32Array(2);
  syscall("pipe2", new Uint8Array(pipe.buffer), 0);
  const [reader = -1, writer = -1] = pipe;
  write(
    { call: "fcntl", args: [writer, 0, 0], result: cell(0), next: opAt(1) },
    { call: "write", args: [cell(0), at(BUFFER), cell(1)], cells: 0b101, result: cell(2), next: opAt(2) },
    { call: "close", args: [cell(0)], cells: 1, result: cell(3) },
  );
  memory.bytes.set(text, BUFFER);
  memory.view.setBigInt64(CELLS + 8, BigInt(text.length), true);
  memory.view.setBigInt64(CELLS + 24, -1n, true);
  run(opAt(0));
  const read = new Uint8Array(100);
  const length = readSync(reader, read);
  closeSync(reader);
  closeSync(writer);
  expect(new TextDecoder().decode(read.subarray(0, length))).toBe("through a pipe");
  expect(cellValue(2)).toBe(BigInt(text.length));
  expect(cellValue(3)).toBe(0n);
});

test("each of the six arguments can be a cell, and the others stay literal", () => {
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS;
  const args = [0, 65536, PROT.PROT_READ | PROT.PROT_WRITE, flags, -1, 0];
  for (let mask = 0; mask < 64; mask++) {
    memory.bytes.fill(0);
    args.forEach((value, i) => {
      memory.view.setBigInt64(CELLS + 64 + 8 * i, BigInt(value), true);
    });
    const given = args.map((value, i) => ((mask & (1 << i)) === 0 ? value : cell(8 + i)));
    write({ call: "mmap", args: given, cells: mask, result: cell(0) });
    run(opAt(0));
    expect(cellValue(0)).toBeGreaterThan(0xffffn);
    expect(rawSyscall("munmap", cellValue(0), 65536)).toBe(0);
  }
});

describe("errors", () => {
  const failing = (op: Partial<Call>): void =>
    execute(
      {
        call: "close",
        args: [BAD_FD],
        next: opAt(1),
        onErrno1: opAt(2),
        onErrno2: opAt(3),
        onFail: opAt(4),
        onZero: opAt(5),
        record: at(RECORD),
        ...op,
      },
      ...[0, 1, 2, 3, 4].map((i) => mark(i)),
    );
  const ran = () => [0, 1, 2, 3, 4].filter((i) => cellValue(i) !== 0n);
  const recorded = () => [word(RECORD), word(RECORD + 8)];

  test("the first expected error has its own successor and isn't recorded", () => {
    failing({ errno1: ERRNO.EBADF, errno2: ERRNO.ENOENT });
    expect(ran()).toEqual([1]);
    expect(recorded()).toEqual([0n, 0n]);
  });

  test("the second expected error has its own successor and isn't recorded", () => {
    failing({ errno1: ERRNO.ENOENT, errno2: ERRNO.EBADF });
    expect(ran()).toEqual([2]);
    expect(recorded()).toEqual([0n, 0n]);
  });

  test("any other error is recorded with the op that it met", () => {
    failing({ errno1: ERRNO.ENOENT, errno2: ERRNO.EPERM });
    expect(ran()).toEqual([3]);
    expect(recorded()).toEqual([BigInt(ERRNO.EBADF), BigInt(opAt(0))]);
  });

  test("without an expected error any error is a failure", () => {
    failing({});
    expect(ran()).toEqual([3]);
  });

  test("a record of 0 records nothing", () => {
    failing({ record: 0 });
    expect(ran()).toEqual([3]);
    expect(recorded()).toEqual([0n, 0n]);
  });

  test("a failure without a successor ends the interpreter, recorded", () => {
    failing({ onFail: 0 });
    expect(ran()).toEqual([]);
    expect(recorded()).toEqual([BigInt(ERRNO.EBADF), BigInt(opAt(0))]);
  });

  test("success takes none of the errors' successors", () => {
    failing({ call: "getpid", errno1: ERRNO.EBADF });
    expect(ran()).toEqual([0]);
    expect(recorded()).toEqual([0n, 0n]);
  });

  test("a result of 0 goes to its own successor", () => {
    failing({ call: "fcntl", args: [0, 1], errno1: ERRNO.EBADF });
    expect(ran()).toEqual([4]);
  });

  test("a result of 0 without one of its own goes on", () => {
    failing({ call: "fcntl", args: [0, 1], onZero: 0 });
    expect(ran()).toEqual([0]);
  });
});

test("only the last 4095 values are errors: a negative result beyond them is a success", () => {
  // lseek of /proc/PID/mem takes and returns offsets with the top bit set (FMODE_UNSIGNED_OFFSET).
  const fd = syscall("openat", -100, "/proc/self/mem", 0);
  const far = -(1n << 40n);
  execute(
    {
      call: "lseek",
      args: [fd, far, 0],
      result: cell(0),
      next: opAt(1),
      onFail: opAt(2),
      record: at(RECORD),
    },
    mark(1),
    mark(2),
  );
  closeSync(fd);
  expect(cellValue(0)).toBe(far);
  expect([cellValue(1), cellValue(2), word(RECORD)]).toEqual([PID, 0n, 0n]);
});

test("a vfork child with a stack of its own goes on at the op after clone3", () => {
  memory.bytes.fill(0);
  const flags = BigInt(CLONE.CLONE_VM | CLONE.CLONE_VFORK) | CLONE3.CLONE_CLEAR_SIGHAND;
  const args = BUFFER;
  memory.view.setBigUint64(args, flags, true);
  memory.view.setBigUint64(args + 40, BigInt(at(0xc000)), true);
  memory.view.setBigUint64(args + 48, 0x1000n, true);
  const blocked = BUFFER + 128;
  memory.view.setBigUint64(blocked, 0xffff_ffff_ffff_ffffn, true);
  const mask = (how: number, set: number, old: number, next: number): Call => ({
    call: "rt_sigprocmask",
    args: [how, at(set), old === 0 ? 0 : at(old), 8],
    next,
  });
  write(
    mask(2, blocked, blocked + 8, opAt(1)),
    { call: "clone3", args: [at(args), 88], result: cell(0), onZero: opAt(3), next: opAt(2) },
    mask(2, blocked + 8, 0, 0),
    { call: "getpid", result: cell(1), next: opAt(4) },
    { call: "exit_group", args: [42] },
  );
  run(opAt(0));
  const child = Number(cellValue(0));
  expect(child).toBeGreaterThan(0);
  expect(cellValue(1)).not.toBe(PID);
  // __WALL: a child whose exit signal is 0 is no child to a plain wait.
  const status = new Uint8Array(4);
  expect(syscall("wait4", child, status, 0x4000_0000, 0)).toBe(child);
  expect(status[1]).toBe(42);
});

test("ten thousand runs leave the caller's registers and the garbage collector in peace", () => {
  execute(
    { call: "close", args: [BAD_FD], errno1: ERRNO.EBADF, onErrno1: opAt(1) },
    { call: "lseek", args: [BAD_FD, 0, 0], onFail: opAt(2), record: at(RECORD) },
    mark(0),
  );
  let sum = 0;
  for (let i = 0; i < 10_000; i++) {
    const before = { i, list: [i, i + 1, `${i}`] };
    run(opAt(0));
    sum += before.i + Number(before.list[1]) + Number(before.list[2]);
    if (i % 2000 === 0) Bun.gc(true);
  }
  expect(sum).toBe(10_000 + 3 * ((9_999 * 10_000) / 2));
  expect(cellValue(0)).toBe(PID);
});
