/**
 * The interpreter for x86-64, and the assembler for the instructions that it and scripts/front/ need.
 * Encodings: Intel SDM volume 2; calling conventions: System V psABI for x86-64, appendix A.2 for system calls.
 */
import { MAX_ERRNO, OP_OFFSET } from "../op.ts";
import { assemble, code, join, type Line, label, within } from "./assemble.ts";
import type { Machine } from "./index.ts";
import { LOOPS } from "./loops.ts";

/** Register numbers as in ModRM; 8 and above need a REX bit. rsp, rbp, r12 and r13 as a base would need other forms. */
const REGISTER = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r14: 14,
  r15: 15,
} as const;
type Register = keyof typeof REGISTER;

const REX = 0x40;
const REX_W = 0x48;

const CONDITION = { c: 0x72, nc: 0x73, z: 0x74, nz: 0x75, less: 0x7c } as const;

/** REX prefix, opcode and ModRM for `reg` and the register `rm`, 64 bits wide. */
function registers(opcode: number, reg: number, rm: number): Line {
  return code(REX_W | ((reg >> 3) << 2) | (rm >> 3), opcode, 0xc0 | ((reg & 7) << 3) | (rm & 7));
}

/** The same for memory at `base` + `offset`. */
function memory(opcode: number, reg: Register, base: Register, offset: number, wide = true): Line {
  const r = REGISTER[reg];
  const b = REGISTER[base];
  const rex = (wide ? REX_W : REX) | ((r >> 3) << 2) | (b >> 3);
  const prefix = rex === REX ? [] : [rex];
  const modRm = ((r & 7) << 3) | (b & 7);
  if (offset === 0) return code(...prefix, opcode, modRm);
  return code(...prefix, opcode, 0x40 | modRm, within(offset, -128, 127, "offset") & 0xff);
}

/** A 32-bit number, little-endian. */
function little(value: number): number[] {
  const n = within(value, -(2 ** 31), 2 ** 31 - 1, "number");
  return [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];
}

export const push = (reg: Register) => code(0x50 | within(REGISTER[reg], 0, 7, "register"));
export const pop = (reg: Register) => code(0x58 | within(REGISTER[reg], 0, 7, "register"));
export const move = (to: Register, from: Register) => registers(0x89, REGISTER[from], REGISTER[to]);
export const load = (to: Register, base: Register, offset = 0) => memory(0x8b, to, base, offset);
/** The lower 32 bits; the upper ones become 0. */
export const load32 = (to: Register, base: Register, offset = 0) => memory(0x8b, to, base, offset, false);
export const store = (base: Register, offset: number, from: Register) => memory(0x89, from, base, offset);
export const test = (reg: Register) => registers(0x85, REGISTER[reg], REGISTER[reg]);
/** The lower 32 bits; the upper ones become 0. */
export const moveNumber32 = (to: Register, value: number) => {
  const r = REGISTER[to];
  return code(...(r > 7 ? [REX | 1] : []), 0xb8 | (r & 7), ...little(value));
};
export const add = (to: Register, from: Register) => registers(0x01, REGISTER[from], REGISTER[to]);
export const subtract = (to: Register, from: Register) => registers(0x29, REGISTER[from], REGISTER[to]);
export const compareNumber = (reg: Register, value: number) =>
  code(REX_W | (REGISTER[reg] >> 3), 0x81, 0xf8 | (REGISTER[reg] & 7), ...little(value));
/** Stores a sign-extended 32-bit number. */
export const storeNumber = (base: Register, value: number) =>
  code(REX_W | (REGISTER[base] >> 3), 0xc7, REGISTER[base] & 7, ...little(value));
export const jumpTo = (reg: Register) =>
  code(...(REGISTER[reg] > 7 ? [REX | 1] : []), 0xff, 0xe0 | (REGISTER[reg] & 7));
export const compare = (a: Register, b: Register) => registers(0x39, REGISTER[b], REGISTER[a]);
export const addNumber = (reg: Register, value: number) =>
  code(REX_W | (REGISTER[reg] >> 3), 0x81, 0xc0 | (REGISTER[reg] & 7), ...little(value));
/** Whether the lower 32 bits have any of these. */
export const testBits = (reg: Register, bits: number) =>
  code(...(REGISTER[reg] > 7 ? [REX | 1] : []), 0xf7, 0xc0 | (REGISTER[reg] & 7), ...little(bits));
/** One byte; the others become 0. */
export const loadByte = (to: Register, base: Register) => {
  const [r, b] = [REGISTER[to], REGISTER[base]];
  const rex = REX | ((r >> 3) << 2) | (b >> 3);
  return code(...(rex === REX ? [] : [rex]), 0x0f, 0xb6, ((r & 7) << 3) | (b & 7));
};
/** Compares the lowest byte of rax with a number, or with memory. */
export const compareByte = (value: number) => code(0x3c, within(value, 0, 127, "byte"));
export const compareByteAt = (base: Register) =>
  code(...(REGISTER[base] > 7 ? [REX | 1] : []), 0x3a, REGISTER[base] & 7);
/** The stack pointer, which is no {@link Register}. */
export const moveFromStack = (to: Register) => registers(0x89, 4, REGISTER[to]);
export const moveToStack = (from: Register) => registers(0x89, REGISTER[from], 4);
export const addToStack = (value: number) => code(REX_W, 0x81, 0xc4, ...little(value));
const negate = (reg: Register) => registers(0xf7, 3, REGISTER[reg]);
const compareMemory = (reg: Register, base: Register, offset: number) => memory(0x3b, reg, base, offset);
/** Compares rax with a sign-extended 32-bit number. */
const compareRax = (value: number) => code(REX_W, 0x3d, ...little(value));
/** Shifts the lower 32 bits right by one; the bit that falls out is the carry. */
const shiftRight32 = (reg: Register) => code(0xd1, 0xe8 | within(REGISTER[reg], 0, 7, "register"));
export const systemCall = code(0x0f, 0x05);
const trap = code(0x0f, 0x0b);
export const ret = code(0xc3);

export function moveNumber(to: Register, value: bigint): Line {
  if (value < 0n || value >= 1n << 64n) throw new RangeError(`assembler: ${value} exceeds 64 bits`);
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, value, true);
  return code(REX_W | (REGISTER[to] >> 3), 0xb8 | (REGISTER[to] & 7), ...number);
}

function shortJump(opcode: number, target: string): Line {
  const encode = (distance: number) => [opcode, within(distance - 2, -128, 127, "short jump") & 0xff];
  return { kind: "branch", size: 2, target, encode };
}
export const jump = (target: string) => shortJump(0xeb, target);
export const jumpIf = (condition: keyof typeof CONDITION, target: string) =>
  shortJump(CONDITION[condition], target);
const far = (target: string, ...opcode: number[]): Line => {
  const size = opcode.length + 4;
  return { kind: "branch", size, target, encode: (distance) => [...opcode, ...little(distance - size)] };
};
export const call = (target: string) => far(target, 0xe8);
export const farJump = (target: string) => far(target, 0xe9);
/** The address of what lies at a label. */
export const addressOf = (to: Register, target: string) =>
  far(target, REX_W | ((REGISTER[to] >> 3) << 2), 0x8d, ((REGISTER[to] & 7) << 3) | 5);
/** The form for more than 128 bytes. */
export function farJumpIf(condition: keyof typeof CONDITION, target: string): Line {
  return far(target, 0x0f, CONDITION[condition] + 0x10);
}

// r10 in place of C's rcx: the kernel gets the return address in rcx.
const ARGUMENTS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const;

function loadArguments(): Line[] {
  const values = ARGUMENTS.map((reg, i) => load(reg, "rbx", OP_OFFSET.args + 8 * i));
  const cells = ARGUMENTS.flatMap((reg, i) => [
    shiftRight32("rcx"),
    jumpIf("nc", `literal${i}`),
    load(reg, reg),
    label(`literal${i}`),
  ]);
  return [...values, load32("rcx", "rbx", OP_OFFSET.cells), ...cells];
}

/** Runs ops from the one at rbx until a successor is 0. rbx is all that it keeps: `syscall` destroys rcx and r11. */
function loopLines(): Line[] {
  return [
    label("op"),
    ...loadArguments(),
    load32("rax", "rbx", OP_OFFSET.nr),
    systemCall,

    load("rcx", "rbx", OP_OFFSET.result),
    test("rcx"),
    jumpIf("z", "stored"),
    store("rcx", 0, "rax"),
    label("stored"),

    // Unsigned, so that only the last 4095 values are errors and an address with its top bit set isn't.
    compareRax(-MAX_ERRNO),
    jumpIf("nc", "error"),
    test("rax"),
    jumpIf("nz", "next"),
    load("rcx", "rbx", OP_OFFSET.onZero),
    test("rcx"),
    jumpIf("z", "next"),
    move("rbx", "rcx"),
    jump("successor"),
    label("next"),
    load("rbx", "rbx", OP_OFFSET.next),
    jump("successor"),

    // "None expected" is 0 and needs no test of its own: rax is 1 … 4095 here.
    label("error"),
    negate("rax"),
    compareMemory("rax", "rbx", OP_OFFSET.errno1),
    jumpIf("z", "errno1"),
    compareMemory("rax", "rbx", OP_OFFSET.errno2),
    jumpIf("z", "errno2"),
    load("rcx", "rbx", OP_OFFSET.record),
    test("rcx"),
    jumpIf("z", "recorded"),
    store("rcx", 0, "rax"),
    store("rcx", 8, "rbx"),
    label("recorded"),
    load("rbx", "rbx", OP_OFFSET.onFail),
    jump("successor"),
    label("errno1"),
    load("rbx", "rbx", OP_OFFSET.onErrno1),
    jump("successor"),
    label("errno2"),
    load("rbx", "rbx", OP_OFFSET.onErrno2),

    label("successor"),
    test("rbx"),
    farJumpIf("nz", "op"),
  ];
}

/** The loop from its source; what runs is the copy in loops.ts, and a test holds the two together. */
export const assembleX64Loop = () => assemble(loopLines());

const loop = () => Uint8Array.fromHex(LOOPS.x64);

export const x64: Machine = {
  arch: "x64",
  elfMachine: 62,
  pageAlign: 0x1000,
  interpreter: () => join(assemble([push("rbx"), move("rbx", "rdi")]), loop(), assemble([pop("rbx"), ret])),
  entry: (firstOp) => join(assemble([moveNumber("rbx", firstOp)]), loop(), assemble([trap])),
};
