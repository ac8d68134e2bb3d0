/**
 * The op: one system call and what follows each of its outcomes, as init's interpreter reads it.
 * 16 little-endian u64 in 128 bytes. An op is never written to by the interpreter, so it may lie in read-only memory.
 */

/** Bytes of an encoded op. */
export const OP_SIZE = 128;

/** Where each field lies in an encoded op, in bytes. */
export const OP_OFFSET = {
  /** u32: the system call's number. */
  nr: 0,
  /** u32: bit i set = `args[i]` is the address of the u64 that holds the argument. */
  cells: 4,
  args: 8,
  result: 56,
  errno1: 64,
  errno2: 72,
  next: 80,
  onErrno1: 88,
  onErrno2: 96,
  onZero: 104,
  onFail: 112,
  record: 120,
} as const;

/** System calls take six arguments (syscall(2)). */
export const MAX_ARGS = 6;

/** The greatest error number that a system call can return: MAX_ERRNO of include/linux/err.h. */
export const MAX_ERRNO = 4095;

/** Bytes of a failure record: u64 errno, u64 address of the op that failed. */
export const RECORD_SIZE = 16;

/** A 64-bit value: a safe integer or a bigint, −2^63 … 2^64−1. */
export type Word = number | bigint;

/** An op with every address resolved; 0 stands for "none" in each address. */
export interface Op {
  /** System call number. */
  readonly nr: number;
  /** Up to six; those left out are 0. */
  readonly args: readonly Word[];
  /** Bit i set: `args[i]` is the address of the u64 that holds the argument, read just before the call. */
  readonly cells: number;
  /** Where the i64 that the kernel returned is stored, −errno included. */
  readonly result: Word;
  /** An expected error number (positive), 0 for none. */
  readonly errno1: number;
  readonly errno2: number;
  /** The op after this one; a successor of 0 ends the interpreter. */
  readonly next: Word;
  readonly onErrno1: Word;
  readonly onErrno2: Word;
  /** The op after a result of 0; 0 means `next`. */
  readonly onZero: Word;
  /** The op after any other error. */
  readonly onFail: Word;
  /** Where such an error is recorded, {@link RECORD_SIZE} bytes. */
  readonly record: Word;
}

/** Nothing stored, expected or recorded, and the interpreter ends after it: what ops are spread from. */
export const OP_NONE: Omit<Op, "nr"> = {
  args: [],
  cells: 0,
  result: 0,
  errno1: 0,
  errno2: 0,
  next: 0,
  onErrno1: 0,
  onErrno2: 0,
  onZero: 0,
  onFail: 0,
  record: 0,
};

const TWO_32 = 0x1_0000_0000;
const WORD_MIN = -(1n << 63n);
const WORD_END = 1n << 64n;

// Below lies what vm.mmap_min_addr keeps unmapped: a small address is an offset that no one relocated.
const ADDRESS_MIN = 0x1_0000;
// User space ends at 2^47 on x86-64 and 2^48 on arm64, unless a mapping was asked for above.
const ADDRESS_END = 2 ** 48;

/** Where an op is put: 32-bit words, all 0 yet, and the index of its first one. Both architectures are little-endian. */
interface Place {
  words: Uint32Array;
  first: number;
}

/** Puts a safe integer over zeros. */
function putInteger({ words, first }: Place, offset: number, value: number): void {
  const at = first + (offset >> 2);
  words[at] = value;
  if (value < 0 || value >= TWO_32) words[at + 1] = Math.floor(value / TWO_32);
}

function putWord(place: Place, offset: number, value: Word): void {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new RangeError(`op: an argument is not an integer: ${value}`);
    putInteger(place, offset, value);
    return;
  }
  if (value < WORD_MIN || value >= WORD_END)
    throw new RangeError(`op: an argument exceeds 64 bits: ${value}`);
  const at = place.first + (offset >> 2);
  place.words[at] = Number(BigInt.asUintN(32, value));
  place.words[at + 1] = Number(BigInt.asUintN(32, value >> 32n));
}

function putAddress(place: Place, offset: number, value: Word, align: number): void {
  const address = Number(value);
  if (address === 0) return;
  if (!(address >= ADDRESS_MIN && address < ADDRESS_END && address % align === 0)) {
    throw new RangeError(`op: ${value} is not an address of ${align}-byte aligned memory`);
  }
  putInteger(place, offset, address);
}

function checkInteger(value: number, max: number, field: string): void {
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) {
    throw new RangeError(`op: ${field} is not an integer of 0 … ${max}: ${value}`);
  }
}

function putArgs(place: Place, args: readonly Word[], cells: number): void {
  const count = args.length;
  if (count > MAX_ARGS) throw new RangeError(`op: ${count} arguments, a system call takes six`);
  if (cells !== 0) checkInteger(cells, (1 << count) - 1, "cells");
  for (let i = 0; i < count; i++) {
    const arg = args[i] ?? 0;
    if ((cells & (1 << i)) !== 0) {
      if (Number(arg) === 0) throw new RangeError(`op: argument ${i} is a cell without an address`);
      putAddress(place, OP_OFFSET.args + 8 * i, arg, 4);
    } else if (arg !== 0) putWord(place, OP_OFFSET.args + 8 * i, arg);
  }
}

function putErrnos(place: Place, errno1: number, errno2: number): void {
  checkInteger(errno1, MAX_ERRNO, "errno1");
  checkInteger(errno2, MAX_ERRNO, "errno2");
  if (errno1 === errno2) throw new RangeError(`op: errno ${errno1} twice`);
  putInteger(place, OP_OFFSET.errno1, errno1);
  putInteger(place, OP_OFFSET.errno2, errno2);
}

/**
 * Encodes `op` over zeros, from the word `first` of `words` on, {@link OP_SIZE} bytes.
 * Throws RangeError for whatever the 64-bit fields couldn't hold as meant and for what can only be a mistake: an address
 * below 64 KiB or above user space, a misaligned op, a cell that has no argument, an error expected twice. Part of the op may
 * be written then.
 */
export function putOp(words: Uint32Array, first: number, op: Op): void {
  const place = { words, first };
  checkInteger(op.nr, 0x7fff_ffff, "nr");
  words[first] = op.nr;
  putArgs(place, op.args, op.cells);
  if (op.cells !== 0) putInteger(place, OP_OFFSET.cells, op.cells);
  if (op.errno1 !== 0 || op.errno2 !== 0) putErrnos(place, op.errno1, op.errno2);
  // 4, not 8: a descriptor that an op returns may go right into one of several in a control message.
  if (op.result !== 0) putAddress(place, OP_OFFSET.result, op.result, 4);
  if (op.next !== 0) putAddress(place, OP_OFFSET.next, op.next, 8);
  if (op.onErrno1 !== 0) putAddress(place, OP_OFFSET.onErrno1, op.onErrno1, 8);
  if (op.onErrno2 !== 0) putAddress(place, OP_OFFSET.onErrno2, op.onErrno2, 8);
  if (op.onZero !== 0) putAddress(place, OP_OFFSET.onZero, op.onZero, 8);
  if (op.onFail !== 0) putAddress(place, OP_OFFSET.onFail, op.onFail, 8);
  if (op.record !== 0) putAddress(place, OP_OFFSET.record, op.record, 8);
}

/** Encodes `op` at `offset` of `view`, all {@link OP_SIZE} bytes of it, or throws and writes nothing. */
export function writeOp(view: DataView, offset: number, op: Op): void {
  const words = new Uint32Array(OP_SIZE / 4);
  putOp(words, 0, op);
  checkInteger(offset, view.byteLength - OP_SIZE, "offset");
  new Uint8Array(view.buffer, view.byteOffset + offset, OP_SIZE).set(new Uint8Array(words.buffer));
}
