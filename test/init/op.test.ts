import { describe, expect, test } from "bun:test";
import { OP_NONE, OP_OFFSET, OP_SIZE, type Op, writeOp } from "../../src/init/op.ts";

const A = 0x1000_0000;

function encode(op: Partial<Op>): DataView {
  const view = new DataView(new ArrayBuffer(OP_SIZE));
  new Uint8Array(view.buffer).fill(0xee);
  writeOp(view, 0, { ...OP_NONE, nr: 1, ...op });
  return view;
}

const words = (view: DataView) => Array.from({ length: 16 }, (_, i) => view.getBigUint64(8 * i, true));

test("an op is sixteen little-endian words in their order", () => {
  const view = encode({
    nr: 257,
    args: [3, A + 8, 5, 6, 7, 8],
    cells: 0b10,
    result: A + 16,
    errno1: 2,
    errno2: 17,
    next: A + 128,
    onErrno1: A + 256,
    onErrno2: A + 384,
    onZero: A + 512,
    onFail: A + 640,
    record: A + 768,
  });
  const args = [3, A + 8, 5, 6, 7, 8];
  const rest = [A + 16, 2, 17, A + 128, A + 256, A + 384, A + 512, A + 640, A + 768];
  expect(words(view)).toEqual([(2n << 32n) | 257n, ...[...args, ...rest].map(BigInt)]);
});

test("what an op leaves out is written as zero over what was there", () => {
  expect(words(encode({ nr: 39 }))).toEqual([39n, ...Array.from({ length: 15 }, () => 0n)]);
});

test("an op is written at its offset and nowhere else", () => {
  const view = new DataView(new ArrayBuffer(3 * OP_SIZE));
  writeOp(view, OP_SIZE, { ...OP_NONE, nr: 0x7fffffff, args: [-1, -1, -1, -1, -1, -1], record: A });
  const set = words(view).concat(words(new DataView(view.buffer, 2 * OP_SIZE)));
  expect(set.every((word) => word === 0n)).toBe(true);
  expect(() => writeOp(view, 2 * OP_SIZE + 1, { ...OP_NONE, nr: 1 })).toThrow(RangeError);
  const before = words(view);
  expect(() => writeOp(view, 0, { ...OP_NONE, nr: 1, args: [1], record: 1 })).toThrow(RangeError);
  expect(words(view)).toEqual(before);
});

test.each([
  [0, 0n],
  [-1, 0xffff_ffff_ffff_ffffn],
  [-100, 0xffff_ffff_ffff_ff9cn],
  [-(2 ** 32), 0xffff_ffff_0000_0000n],
  [2 ** 32 - 1, 0xffff_ffffn],
  [2 ** 32, 0x1_0000_0000n],
  [Number.MAX_SAFE_INTEGER, 0x1f_ffff_ffff_ffffn],
  [Number.MIN_SAFE_INTEGER, 0xffe0_0000_0000_0001n],
  [-1n, 0xffff_ffff_ffff_ffffn],
  [-(1n << 63n), 1n << 63n],
  [(1n << 64n) - 1n, 0xffff_ffff_ffff_ffffn],
])("the argument %p is the word %p", (arg, word) => {
  expect(encode({ args: [0, 0, 0, 0, 0, arg] }).getBigUint64(OP_OFFSET.args + 40, true)).toBe(word);
});

test("addresses are taken as numbers and as bigints, up to the end of user space", () => {
  for (const address of [0x1_0000, 2 ** 31, 2 ** 32 + 8, 2 ** 47 - 128, 2 ** 48 - 128]) {
    expect(encode({ next: address }).getBigUint64(OP_OFFSET.next, true)).toBe(BigInt(address));
    expect(encode({ next: BigInt(address) }).getBigUint64(OP_OFFSET.next, true)).toBe(BigInt(address));
  }
});

describe("a number that can't be meant is refused:", () => {
  const wrong: [string, Partial<Op>][] = [
    ["a negative system call number", { nr: -1 }],
    ["a fractional system call number", { nr: 1.5 }],
    ["a system call number of 32 bits", { nr: 2 ** 31 }],
    ["a system call number that isn't one", { nr: Number.NaN }],
    ["a fractional argument", { args: [1.5] }],
    ["an argument that isn't a number", { args: [Number.NaN] }],
    ["an infinite argument", { args: [Number.POSITIVE_INFINITY] }],
    ["an argument that lost precision", { args: [2 ** 53] }],
    ["an argument beyond 64 bits", { args: [1n << 64n] }],
    ["an argument below 64 bits", { args: [-(1n << 63n) - 1n] }],
    ["seven arguments", { args: [1, 2, 3, 4, 5, 6, 7] }],
    ["a cell beyond the arguments", { args: [A], cells: 0b10 }],
    ["a seventh cell", { args: [A, A, A, A, A, A], cells: 0x40 }],
    ["a negative cell mask", { args: [A], cells: -1 }],
    ["a cell without address", { args: [0], cells: 1 }],
    ["a cell at an offset that no one relocated", { args: [0x80], cells: 1 }],
    ["an odd cell address", { args: [A + 1], cells: 1 }],
    ["a negative errno", { errno1: -2 }],
    ["an errno beyond the kernel's", { errno2: 4096 }],
    ["the same errno twice", { errno1: 2, errno2: 2 }],
    ["a successor at an offset that no one relocated", { next: 0x80 }],
    ["a negative successor", { onZero: -128 }],
    ["a misaligned successor", { onFail: A + 4 }],
    ["a successor in the kernel's half", { onErrno1: 2 ** 48 }],
    ["a successor in the kernel's half as a bigint", { onErrno2: 0xffff_ffff_ffff_ff80n }],
    ["a successor that wraps around", { next: (1n << 64n) + BigInt(A) }],
    ["a fractional successor", { next: A + 0.5 }],
    ["a record that isn't a number", { record: Number.NaN }],
    ["a result at an odd address", { result: A + 2 }],
  ];
  test.each(wrong)("%s", (_, op) => {
    expect(() => encode(op)).toThrow(RangeError);
  });
});
