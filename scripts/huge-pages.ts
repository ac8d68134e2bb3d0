/**
 * Huge pages for the memory of Bun's allocator, where a page fault is dear.
 *
 * A command touches more than a thousand pages. On most machines the first touch of one takes less than a microsecond; in a
 * virtual machine without the processor's help for page tables it takes ten, which is a third of a command's time. mimalloc, Bun's
 * allocator, asks for huge pages when its option allow_thp is set: a dozen of them do then. Clearing those takes about a
 * millisecond, so elsewhere they are no gain; and the environment, which can set the option too, is the caller's.
 *
 * So the executable begins with a look at the machine: it times the first touch of a page, sets the option if that is dear, and
 * goes on at Bun's own entry. This takes a segment of some 200 bytes, whose program header is that of the notes, which nobody reads
 * at run time. MIMALLOC_ALLOW_THP in the environment still has the last word. x86-64 only.
 *
 * Formats: elf(5); `mi_option_desc_t` in mimalloc's src/options.c.
 */
import { assemble, type Line, label } from "../src/init/machine/assemble.ts";
import {
  add,
  compareNumber,
  farJumpIf,
  jumpIf,
  jumpTo,
  load,
  move,
  moveNumber,
  moveNumber32,
  pop,
  push,
  store,
  storeNumber,
  subtract,
  systemCall,
} from "../src/init/machine/x64.ts";
import { MADV, MAP, PROT } from "../src/kernel/consts/mman.ts";
import { syscallNumber } from "../src/kernel/syscalls.ts";

/** Nanoseconds. Where the processor has page tables for guests too, half a microsecond is usual. */
const DEAR = 4000;
const ROUNDS = 3;
const CLOCK_MONOTONIC = 1;
const MAX_ERRNO = 4095;
const PAGE = 4096;
/** The first page has the times, `struct timespec` each; the second one is touched. */
const SIZE = 2 * PAGE;
const TIMES = [0, 16, 32] as const;
const NANOSECONDS = 8;

const call = (name: Parameters<typeof syscallNumber>[0]): Line[] => [
  moveNumber32("rax", syscallNumber(name, "x64")),
  systemCall,
];

const readClock = (at: number): Line[] => [
  moveNumber32("rdi", CLOCK_MONOTONIC),
  move("rsi", "rbx"),
  ...(at === 0 ? [] : [moveNumber32("rcx", at), add("rsi", "rcx")]),
  ...call("clock_gettime"),
];

export interface Look {
  /** Where it goes on. */
  entry: bigint;
  /** The 64 bits that become 1. */
  option: bigint;
  /** Nanoseconds; the shortest of three touches counts. */
  dear?: number;
}

/**
 * At a program's start only rdx and the stack pointer mean something (System V psABI). The page is given back and touched again:
 * it is most likely the same one then, so what the hypervisor does for memory that nobody had yet is not in the shortest time.
 * The clock's own time is taken off: it is read twice before the touch. A second that passes meanwhile makes it look cheap at worst.
 */
export function look({ entry, option, dear = DEAR }: Look): Uint8Array {
  return assemble([
    push("rdx"),
    moveNumber32("rdi", 0),
    moveNumber32("rsi", SIZE),
    moveNumber32("rdx", PROT.PROT_READ | PROT.PROT_WRITE),
    moveNumber32("r10", MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS),
    moveNumber("r8", 0xffff_ffff_ffff_ffffn),
    moveNumber32("r9", 0),
    ...call("mmap"),
    compareNumber("rax", -MAX_ERRNO),
    farJumpIf("nc", "leave"),
    move("rbx", "rax"),
    move("r9", "rax"),
    moveNumber32("rcx", PAGE),
    add("r9", "rcx"),
    store("rbx", 0, "rax"),
    moveNumber32("r8", ROUNDS),

    label("round"),
    ...readClock(TIMES[0]),
    ...readClock(TIMES[1]),
    store("r9", 0, "rax"),
    ...readClock(TIMES[2]),
    load("rax", "rbx", TIMES[2] + NANOSECONDS),
    load("rcx", "rbx", TIMES[1] + NANOSECONDS),
    subtract("rax", "rcx"),
    subtract("rax", "rcx"),
    load("rcx", "rbx", TIMES[0] + NANOSECONDS),
    add("rax", "rcx"),
    compareNumber("rax", dear),
    jumpIf("less", "cheap"),
    move("rdi", "r9"),
    moveNumber32("rsi", PAGE),
    moveNumber32("rdx", MADV.MADV_DONTNEED),
    ...call("madvise"),
    moveNumber32("rcx", 1),
    subtract("r8", "rcx"),
    jumpIf("nz", "round"),

    moveNumber("rcx", option),
    storeNumber("rcx", 1),
    label("cheap"),
    move("rdi", "rbx"),
    moveNumber32("rsi", SIZE),
    ...call("munmap"),
    label("leave"),
    pop("rdx"),
    moveNumber("rax", entry),
    jumpTo("rax"),
  ]);
}

const ENTRY_AT = 24;
const HEADERS_AT = 32;
const HEADER_SIZE = 56;
const HEADER_COUNT_AT = 56;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const READ_EXECUTE = 5;

const viewOf = ({ buffer, byteOffset, length }: Uint8Array) => new DataView(buffer, byteOffset, length);

export const isX64 = (executable: Uint8Array): boolean =>
  viewOf(executable).getUint16(18, true) === EM_X86_64;

interface Segment {
  /** Of its program header in the file. */
  at: number;
  type: number;
  offset: number;
  address: number;
  fileSize: number;
  memorySize: number;
}

function readSegments(view: DataView): Segment[] {
  const number = (at: number) => Number(view.getBigUint64(at, true));
  const headers = number(HEADERS_AT);
  return Array.from({ length: view.getUint16(HEADER_COUNT_AT, true) }, (_, i) => {
    const at = headers + i * HEADER_SIZE;
    return {
      at,
      type: view.getUint32(at, true),
      offset: number(at + 8),
      address: number(at + 16),
      fileSize: number(at + 32),
      memorySize: number(at + 40),
    };
  });
}

function only(file: Buffer, what: Uint8Array, name: string): number {
  const at = file.indexOf(what);
  if (at < 0 || file.indexOf(what, at + 1) >= 0)
    throw new Error(`mimalloc's ${name} is not in this executable exactly once: is it another Bun?`);
  return at;
}

const little64 = (value: number): Uint8Array => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);

/**
 * The address of allow_thp's value. Its description is `long value; int state; int number; const char *name; …`, and value and
 * state are 0: off, and the environment not yet asked.
 */
function findOption(file: Buffer, segments: readonly Segment[]): number {
  const addressOf = (offset: number): number => {
    const segment = segments.find((one) => offset >= one.offset && offset < one.offset + one.fileSize);
    if (segment === undefined) throw new Error(`offset ${offset} is in no segment`);
    return segment.address + offset - segment.offset;
  };
  const name = only(file, Buffer.from("\0allow_thp\0"), "option allow_thp") + 1;
  const description = only(file, little64(addressOf(name)), "description of allow_thp") - 16;
  if (file.readBigUInt64LE(description) !== 0n || file.readUInt32LE(description + 8) !== 0)
    throw new Error("mimalloc's allow_thp is on already: is it another Bun?");
  return addressOf(description);
}

/**
 * The executable with the look in front.
 * @throws Error when it isn't for x86-64, or isn't built as the Bun that is known
 */
export function withLook(executable: Uint8Array, dear?: number): Uint8Array {
  const file = Buffer.from(executable.buffer, executable.byteOffset, executable.length);
  const view = viewOf(executable);
  if (!isX64(executable)) throw new Error("the executable is not for x86-64");
  const segments = readSegments(view);
  const loaded = segments.filter(({ type }) => type === PT_LOAD);
  const notes = segments.find(({ type }) => type === PT_NOTE);
  const last = loaded.at(-1);
  // The segments that are loaded have to be in the order of their addresses.
  if (notes === undefined || last === undefined || notes.at < last.at)
    throw new Error("the executable has no program header of notes behind those that are loaded");
  const code = look({
    entry: view.getBigUint64(ENTRY_AT, true),
    option: BigInt(findOption(file, loaded)),
    ...(dear !== undefined && { dear }),
  });
  const up = (value: number) => Math.ceil(value / PAGE) * PAGE;
  const offset = up(executable.length);
  const address = up(last.address + last.memorySize);
  const result = new Uint8Array(offset + code.length);
  result.set(executable);
  result.set(code, offset);
  const written = new DataView(result.buffer);
  written.setBigUint64(ENTRY_AT, BigInt(address), true);
  written.setUint32(notes.at, PT_LOAD, true);
  written.setUint32(notes.at + 4, READ_EXECUTE, true);
  for (const [at, value] of [
    [8, offset],
    [16, address],
    [24, address],
    [32, code.length],
    [40, code.length],
    [48, PAGE],
  ] as const)
    written.setBigUint64(notes.at + at, BigInt(value), true);
  return result;
}
