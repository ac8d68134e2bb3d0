/**
 * The interpreter for arm64, and the assembler for the instructions that it needs.
 * Encodings: Arm ARM chapter C6; calling convention: AAPCS64; system calls: number in x8, nothing but x0 changed.
 */
import { MAX_ERRNO, OP_OFFSET } from "../op.ts";
import { assemble, code, join, type Line, label, within } from "./assemble.ts";
import type { Machine } from "./index.ts";
import { LOOPS } from "./loops.ts";

/** A register's number: x0 … x30; 31 is sp as a base and the zero register as an operand. */
type Register = number;
const SP = 31;
const ZERO = 31;

const CONDITION = { eq: 0, hs: 2 } as const;

function bytesOf(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
const word = (value: number) => code(...bytesOf(value));

/** `value`, which counts in units of `unit` bytes, as a field of `bits` bits. */
const unsigned = (value: number, unit: number, bits: number) =>
  within(value / unit, 0, 2 ** bits - 1, "field");
/** The same in two's complement. */
const signed = (value: number, unit: number, bits: number) =>
  within(value / unit, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, "field") & (2 ** bits - 1);

const move = (to: Register, from: Register) => word(0xaa000000 | (from << 16) | (ZERO << 5) | to);
const negate = (to: Register, from: Register) => word(0xcb000000 | (from << 16) | (ZERO << 5) | to);
const compare = (a: Register, b: Register) => word(0xeb000000 | (b << 16) | (a << 5) | ZERO);
/** Compares with −value. */
const compareNegative = (a: Register, value: number) =>
  word(0xb1000000 | (unsigned(value, 1, 12) << 10) | (a << 5) | ZERO);
const load = (to: Register, base: Register, offset = 0) =>
  word(0xf9400000 | (unsigned(offset, 8, 12) << 10) | (base << 5) | to);
/** The lower 32 bits; the upper ones become 0. */
const load32 = (to: Register, base: Register, offset = 0) =>
  word(0xb9400000 | (unsigned(offset, 4, 12) << 10) | (base << 5) | to);
const store = (from: Register, base: Register, offset = 0) =>
  word(0xf9000000 | (unsigned(offset, 8, 12) << 10) | (base << 5) | from);
const loadPair = (a: Register, b: Register, base: Register, offset = 0) =>
  word(0xa9400000 | (signed(offset, 8, 7) << 15) | (b << 10) | (base << 5) | a);
const storePair = (a: Register, b: Register, base: Register, offset = 0) =>
  word(0xa9000000 | (signed(offset, 8, 7) << 15) | (b << 10) | (base << 5) | a);
/** `[sp, #-16]!` and `[sp], #16`: sp stays a multiple of 16, as the hardware demands. */
const push = (reg: Register) => word(0xf8000c00 | (signed(-16, 1, 9) << 12) | (SP << 5) | reg);
const pop = (reg: Register) => word(0xf8400400 | (signed(16, 1, 9) << 12) | (SP << 5) | reg);
const systemCall = word(0xd4000001);
const trap = word(0xd4200000);
const ret = word(0xd65f03c0);

function moveNumber(to: Register, value: bigint): Line[] {
  if (value < 0n || value >= 1n << 64n) throw new RangeError(`assembler: ${value} exceeds 64 bits`);
  // movz clears the rest, movk keeps it.
  return [0, 1, 2, 3].map((half) => {
    const part = Number((value >> BigInt(16 * half)) & 0xffffn);
    return word((half === 0 ? 0xd2800000 : 0xf2800000) | (half << 21) | (part << 5) | to);
  });
}

/** A branch whose distance is a field of `bits` bits at bit `shift`, in instructions. */
function branch(instruction: number, target: string, bits: number, shift: number): Line {
  const encode = (distance: number) => bytesOf(instruction | (signed(distance, 4, bits) << shift));
  return { kind: "branch", size: 4, target, encode };
}
const jump = (target: string) => branch(0x14000000, target, 26, 0);
const jumpIf = (condition: keyof typeof CONDITION, target: string) =>
  branch(0x54000000 | CONDITION[condition], target, 19, 5);
const jumpIfZero = (reg: Register, target: string) => branch(0xb4000000 | reg, target, 19, 5);
const jumpIfNotZero = (reg: Register, target: string) => branch(0xb5000000 | reg, target, 19, 5);
/** Looks at one of the lower 32 bits. */
const jumpIfBitClear = (reg: Register, bit: number, target: string) =>
  branch(0x36000000 | (unsigned(bit, 1, 5) << 19) | reg, target, 14, 5);

/** Where the op's address is kept: callee-saved. */
const OP: Register = 19;
const NUMBER: Register = 8;
const SCRATCH: Register = 9;

function loadArguments(): Line[] {
  const values = [0, 2, 4].map((i) => loadPair(i, i + 1, OP, OP_OFFSET.args + 8 * i));
  const cells = [0, 1, 2, 3, 4, 5].flatMap((i) => [
    jumpIfBitClear(SCRATCH, i, `literal${i}`),
    load(i, i),
    label(`literal${i}`),
  ]);
  return [...values, load32(SCRATCH, OP, OP_OFFSET.cells), ...cells];
}

/** Runs ops from the one at x19 until a successor is 0. */
function loopLines(): Line[] {
  return [
    label("op"),
    ...loadArguments(),
    load32(NUMBER, OP, OP_OFFSET.nr),
    systemCall,

    load(SCRATCH, OP, OP_OFFSET.result),
    jumpIfZero(SCRATCH, "stored"),
    store(0, SCRATCH),
    label("stored"),

    // Unsigned, so that only the last 4095 values are errors and an address with its top bit set isn't.
    compareNegative(0, MAX_ERRNO),
    jumpIf("hs", "error"),
    jumpIfNotZero(0, "next"),
    load(SCRATCH, OP, OP_OFFSET.onZero),
    jumpIfZero(SCRATCH, "next"),
    move(OP, SCRATCH),
    jump("successor"),
    label("next"),
    load(OP, OP, OP_OFFSET.next),
    jump("successor"),

    // "None expected" is 0 and needs no test of its own: x0 is 1 … 4095 here.
    label("error"),
    negate(0, 0),
    load(SCRATCH, OP, OP_OFFSET.errno1),
    compare(0, SCRATCH),
    jumpIf("eq", "errno1"),
    load(SCRATCH, OP, OP_OFFSET.errno2),
    compare(0, SCRATCH),
    jumpIf("eq", "errno2"),
    load(SCRATCH, OP, OP_OFFSET.record),
    jumpIfZero(SCRATCH, "recorded"),
    storePair(0, OP, SCRATCH),
    label("recorded"),
    load(OP, OP, OP_OFFSET.onFail),
    jump("successor"),
    label("errno1"),
    load(OP, OP, OP_OFFSET.onErrno1),
    jump("successor"),
    label("errno2"),
    load(OP, OP, OP_OFFSET.onErrno2),

    label("successor"),
    jumpIfNotZero(OP, "op"),
  ];
}

/** The loop from its source; what runs is the copy in loops.ts, and a test holds the two together. */
export const assembleArm64Loop = () => assemble(loopLines());

const loop = () => Uint8Array.fromHex(LOOPS.arm64);

export const arm64: Machine = {
  arch: "arm64",
  elfMachine: 183,
  pageAlign: 0x10000,
  interpreter: () => join(assemble([push(OP), move(OP, 0)]), loop(), assemble([pop(OP), ret])),
  entry: (firstOp) => join(assemble(moveNumber(OP, firstOp)), loop(), assemble([trap])),
};
