/**
 * init as a program: a static ELF file of one page that holds the interpreter, the ops that it begins with and their strings.
 * Formats: elf(5), System V gABI chapters 4 and 5.
 */
import { MAP, PROT } from "../kernel/consts/mman.ts";
import { cString } from "../kernel/libc.ts";
import type { Machine } from "./machine/index.ts";
import { OP_NONE, OP_OFFSET, OP_SIZE, type Op, writeOp } from "./op.ts";

/** The most that an init may take, in bytes: one page wherever it runs. */
export const ELF_SIZE_MAX = 4096;

/** Where init is loaded: a multiple of every page size. */
export const ELF_BASE = 0x40_0000n;

/** The exit status of an init that couldn't map its plan. */
export const BOOTSTRAP_FAILED = 125;

const FILE_HEADER_SIZE = 64;
export const PROGRAM_HEADER_SIZE = 56;
const STRINGS_OFFSET = FILE_HEADER_SIZE + 2 * PROGRAM_HEADER_SIZE;

const ET_EXEC = 2;
export const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
export const PF_X = 1;
const PF_W = 2;
export const PF_R = 4;

/** Addresses within the file that is being built. */
export interface InitElfLayout {
  /** Address of the op number `index`. */
  op(index: number): bigint;
  /** Address of the string number `index`, NUL-terminated. */
  string(index: number): bigint;
}

export interface InitElf {
  readonly machine: Machine;
  /** Address that the file is loaded at, a multiple of the page size; {@link ELF_BASE} unless given. */
  readonly base?: bigint;
  readonly strings?: readonly string[];
  /** The ops, the first one first; they lie in memory that can't be written to. */
  readonly ops: (layout: InitElfLayout) => readonly Op[];
}

function writeFileHeader(view: DataView, machine: Machine, entry: bigint): void {
  // Magic, ELFCLASS64, ELFDATA2LSB, EV_CURRENT; the rest of e_ident is 0 (ELFOSABI_NONE).
  [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1].forEach((byte, i) => {
    view.setUint8(i, byte);
  });
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, machine.elfMachine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, BigInt(FILE_HEADER_SIZE), true);
  view.setUint16(52, FILE_HEADER_SIZE, true);
  view.setUint16(54, PROGRAM_HEADER_SIZE, true);
  view.setUint16(56, 2, true);
  // e_shentsize: readers expect it even where there are no sections.
  view.setUint16(58, 64, true);
}

interface Segment {
  type: number;
  flags: number;
  address: bigint;
  size: number;
  align: number;
}

function writeProgramHeader(view: DataView, index: number, segment: Segment): void {
  const at = FILE_HEADER_SIZE + index * PROGRAM_HEADER_SIZE;
  view.setUint32(at, segment.type, true);
  view.setUint32(at + 4, segment.flags, true);
  view.setBigUint64(at + 16, segment.address, true);
  view.setBigUint64(at + 24, segment.address, true);
  view.setBigUint64(at + 32, BigInt(segment.size), true);
  view.setBigUint64(at + 40, BigInt(segment.size), true);
  view.setBigUint64(at + 48, BigInt(segment.align), true);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/**
 * The ELF file of an init that begins with `ops`: one segment, readable and executable but never writable, and a stack
 * that isn't executable. It traps after the last op.
 * Throws RangeError when it exceeds {@link ELF_SIZE_MAX}, has no ops, or a value doesn't fit.
 */
export function buildInitElf({ machine, base = ELF_BASE, strings = [], ops }: InitElf): Uint8Array {
  if (base <= 0n || base % BigInt(machine.pageAlign) !== 0n) {
    throw new RangeError(`elf: base 0x${base.toString(16)} is not a multiple of ${machine.pageAlign}`);
  }
  const texts = strings.map(cString);
  const starts: number[] = [];
  let stringsEnd = STRINGS_OFFSET;
  for (const text of texts) {
    starts.push(stringsEnd);
    stringsEnd += text.length;
  }
  const opsAt = roundUp(stringsEnd, OP_SIZE);
  const list = ops({
    op: (index) => base + BigInt(opsAt + index * OP_SIZE),
    string(index) {
      const start = starts[index];
      if (start === undefined) throw new RangeError(`elf: no string ${index}`);
      return base + BigInt(start);
    },
  });
  if (list.length === 0) throw new RangeError("elf: an init without ops");
  const codeAt = opsAt + list.length * OP_SIZE;
  const code = machine.entry(base + BigInt(opsAt));
  const size = codeAt + code.length;
  if (size > ELF_SIZE_MAX) throw new RangeError(`elf: ${size} bytes, an init may have ${ELF_SIZE_MAX}`);

  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  const align = machine.pageAlign;
  writeFileHeader(view, machine, base + BigInt(codeAt));
  writeProgramHeader(view, 0, { type: PT_LOAD, flags: PF_R | PF_X, address: base, size, align });
  writeProgramHeader(view, 1, { type: PT_GNU_STACK, flags: PF_R | PF_W, address: 0n, size: 0, align: 16 });
  texts.forEach((text, i) => {
    file.set(text, starts[i]);
  });
  list.forEach((op, i) => {
    writeOp(view, opsAt + i * OP_SIZE, op);
  });
  file.set(code, codeAt);
  return file;
}

const MMAP_OP = roundUp(STRINGS_OFFSET, OP_SIZE);
const CLOSE_OP = MMAP_OP + OP_SIZE;

/** Where {@link bootstrapElf} has what differs between plans, 64 bits each: arguments of mmap and close, and what follows these. */
export const BOOTSTRAP_OFFSETS = {
  planFd: [MMAP_OP + OP_OFFSET.args + 8 * 4, CLOSE_OP + OP_OFFSET.args],
  planSize: [MMAP_OP + OP_OFFSET.args + 8],
  firstOp: [CLOSE_OP + OP_OFFSET.next],
} as const;

export interface Bootstrap {
  readonly machine: Machine;
  /** The descriptor that init finds its plan memory at; it is closed once mapped. */
  readonly planFd: number;
  /** Where init maps it, a multiple of the page size. */
  readonly planBase: bigint;
  /** Its size in bytes. */
  readonly planSize: number;
  /** Address of the plan's first op, within the plan. */
  readonly firstOp: bigint;
  /** System call numbers of the machine's architecture. */
  readonly numbers: { readonly mmap: number; readonly close: number; readonly exit_group: number };
}

function checkBootstrap({ machine, planFd, planBase, planSize, firstOp }: Bootstrap): void {
  const hex = (value: bigint) => `0x${value.toString(16)}`;
  if (!(Number.isInteger(planFd) && planFd >= 0 && planFd < 2 ** 31)) {
    throw new RangeError(`bootstrap: no descriptor: ${planFd}`);
  }
  if (!(Number.isSafeInteger(planSize) && planSize >= OP_SIZE)) {
    throw new RangeError(`bootstrap: no size for a plan: ${planSize}`);
  }
  const page = BigInt(machine.pageAlign);
  const end = planBase + BigInt(planSize);
  const apart = planBase >= ELF_BASE + page || end <= ELF_BASE;
  if (planBase <= 0n || planBase % page !== 0n || !apart) {
    throw new RangeError(`bootstrap: no place for a plan: ${hex(planBase)} … ${hex(end)}`);
  }
  if (firstOp < planBase || firstOp + BigInt(OP_SIZE) > end) {
    throw new RangeError(`bootstrap: op at ${hex(firstOp)} outside of the plan`);
  }
}

/**
 * The init that every container begins with: maps the plan memory, closes its descriptor and goes on at the plan's first op.
 * It exits with {@link BOOTSTRAP_FAILED} when it can't. Throws RangeError for numbers that can't be meant.
 */
export function bootstrapElf(bootstrap: Bootstrap): Uint8Array {
  checkBootstrap(bootstrap);
  const { machine, planFd, planBase, planSize, firstOp, numbers } = bootstrap;
  const prot = PROT.PROT_READ | PROT.PROT_WRITE;
  // NOREPLACE: where something lies already, an error, not a plan mapped over it. Linux 4.17.
  const flags = MAP.MAP_SHARED | MAP.MAP_FIXED_NOREPLACE;
  return buildInitElf({
    machine,
    ops: ({ op }) => [
      {
        ...OP_NONE,
        nr: numbers.mmap,
        args: [planBase, planSize, prot, flags, planFd, 0],
        next: op(1),
        onFail: op(2),
      },
      { ...OP_NONE, nr: numbers.close, args: [planFd], next: firstOp, onFail: op(2) },
      { ...OP_NONE, nr: numbers.exit_group, args: [BOOTSTRAP_FAILED] },
    ],
  });
}
