/**
 * A look at the machine: huge pages for the memory of Bun's allocator, where a page fault is dear.
 *
 * A command touches more than a thousand pages. On most machines the first touch of one takes less than a microsecond; in a
 * virtual machine without the processor's help for page tables it takes ten, which is a third of a command's time. mimalloc, Bun's
 * allocator, asks for huge pages when its option allow_thp is set: a dozen of them do then. Clearing those takes about a
 * millisecond, so elsewhere they are no gain; and the environment, which can set the option too, is the caller's.
 *
 * So the executable begins with a look at the machine: it times the first touch of a page, sets the option if that is dear, and
 * goes on. MIMALLOC_ALLOW_THP in the environment still has the last word.
 */
import { type Line, label } from "../../src/init/machine/assemble.ts";
import {
  add,
  compareNumber,
  farJumpIf,
  jumpIf,
  load,
  move,
  moveNumber,
  moveNumber32,
  pop,
  push,
  store,
  storeNumber,
  subtract,
} from "../../src/init/machine/x64.ts";
import { MAX_ERRNO } from "../../src/init/op.ts";
import { MADV, MAP, PROT } from "../../src/kernel/consts/mman.ts";
import { readSegments } from "./elf.ts";
import { kernelCall } from "./kernel-call.ts";

/** Nanoseconds. Where the processor has page tables for guests too, half a microsecond is usual. */
const DEAR = 4000;
const ROUNDS = 3;
const CLOCK_MONOTONIC = 1;
const PAGE = 4096;
/** The first page has the times, `struct timespec` each; the second one is touched. */
const SIZE = 2 * PAGE;
const TIMES = [0, 16, 32] as const;
const NANOSECONDS = 8;

const readClock = (at: number): Line[] => [
  moveNumber32("rdi", CLOCK_MONOTONIC),
  move("rsi", "rbx"),
  ...(at === 0 ? [] : [moveNumber32("rcx", at), add("rsi", "rcx")]),
  ...kernelCall("clock_gettime"),
];

/**
 * At a program's start only rdx and the stack pointer mean something (System V psABI). The page is given back and touched again:
 * it is most likely the same one then, so what the hypervisor does for memory that nobody had yet is not in the shortest time.
 * The clock's own time is taken off: it is read twice before the touch. A second that passes meanwhile makes it look cheap at worst.
 *
 * @param option the address of the 64 bits that become 1
 * @param dear nanoseconds; the shortest of three touches counts
 */
export function look(option: bigint, dear = DEAR): Line[] {
  return [
    push("rdx"),
    moveNumber32("rdi", 0),
    moveNumber32("rsi", SIZE),
    moveNumber32("rdx", PROT.PROT_READ | PROT.PROT_WRITE),
    moveNumber32("r10", MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS),
    moveNumber("r8", 0xffff_ffff_ffff_ffffn),
    moveNumber32("r9", 0),
    ...kernelCall("mmap"),
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
    ...kernelCall("madvise"),
    moveNumber32("rcx", 1),
    subtract("r8", "rcx"),
    jumpIf("nz", "round"),

    moveNumber("rcx", option),
    storeNumber("rcx", 1),
    label("cheap"),
    move("rdi", "rbx"),
    moveNumber32("rsi", SIZE),
    ...kernelCall("munmap"),
    label("leave"),
    pop("rdx"),
  ];
}

function only(file: Buffer, what: Uint8Array, name: string): number {
  const at = file.indexOf(what);
  if (at < 0 || file.indexOf(what, at + 1) >= 0)
    throw new Error(`mimalloc's ${name} is not in this executable exactly once: is it another Bun?`);
  return at;
}

const little64 = (value: number): Uint8Array => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);

/**
 * The address of allow_thp's value. Its description (`mi_option_desc_t` in mimalloc's src/options.c) is `long value; int state; int
 * number; const char *name; …`, and value and state are 0: off, and the environment not yet asked.
 * @throws Error when the executable isn't built as the Bun that is known
 */
export function findOption(executable: Uint8Array): bigint {
  const file = Buffer.from(executable.buffer, executable.byteOffset, executable.length);
  const { loaded } = readSegments(executable);
  const addressOf = (offset: number): number => {
    const segment = loaded.find((one) => offset >= one.offset && offset < one.offset + one.fileSize);
    if (segment === undefined) throw new Error(`offset ${offset} is in no segment`);
    return segment.address + offset - segment.offset;
  };
  const name = only(file, Buffer.from("\0allow_thp\0"), "option allow_thp") + 1;
  const description = only(file, little64(addressOf(name)), "description of allow_thp") - 16;
  if (file.readBigUInt64LE(description) !== 0n || file.readUInt32LE(description + 8) !== 0)
    throw new Error("mimalloc's allow_thp is on already: is it another Bun?");
  return BigInt(addressOf(description));
}
