/**
 * A front for an executable: machine code that runs before the program's own entry, and goes on there. It is a segment of its own
 * behind all others, and has the program header of the notes, which nobody reads at run time. Formats: elf(5). x86-64 only.
 */
import { PF_R, PF_X, PROGRAM_HEADER_SIZE, PT_LOAD } from "../../src/init/elf.ts";
import { x64 } from "../../src/init/machine/x64.ts";

const ENTRY_AT = 24;
const HEADERS_AT = 32;
const HEADER_COUNT_AT = 56;
const PT_NOTE = 4;

const viewOf = ({ buffer, byteOffset, length }: Uint8Array) => new DataView(buffer, byteOffset, length);

export const isX64 = (executable: Uint8Array): boolean =>
  viewOf(executable).getUint16(18, true) === x64.elfMachine;

export interface Segment {
  /** Of its program header in the file. */
  at: number;
  type: number;
  offset: number;
  address: number;
  fileSize: number;
  memorySize: number;
}

/** Those that are loaded, and the notes. */
export function readSegments(executable: Uint8Array): { loaded: Segment[]; notes: Segment | undefined } {
  const view = viewOf(executable);
  const number = (at: number) => Number(view.getBigUint64(at, true));
  const headers = number(HEADERS_AT);
  const segments = Array.from({ length: view.getUint16(HEADER_COUNT_AT, true) }, (_, i) => {
    const at = headers + i * PROGRAM_HEADER_SIZE;
    return {
      at,
      type: view.getUint32(at, true),
      offset: number(at + 8),
      address: number(at + 16),
      fileSize: number(at + 32),
      memorySize: number(at + 40),
    };
  });
  return {
    loaded: segments.filter(({ type }) => type === PT_LOAD),
    notes: segments.find(({ type }) => type === PT_NOTE),
  };
}

/**
 * @param front makes the code, given where it has to go on
 * @throws Error for an executable of another kind, or one that has a front
 */
export function addFront(executable: Uint8Array, front: (entry: bigint) => Uint8Array): Uint8Array {
  if (!isX64(executable)) throw new Error("the executable is not for x86-64");
  const { loaded, notes } = readSegments(executable);
  const last = loaded.at(-1);
  // The segments that are loaded have to be in the order of their addresses.
  if (notes === undefined || last === undefined || notes.at < last.at)
    throw new Error("the executable has no program header of notes behind those that are loaded");
  const code = front(viewOf(executable).getBigUint64(ENTRY_AT, true));
  const up = (value: number) => Math.ceil(value / x64.pageAlign) * x64.pageAlign;
  const offset = up(executable.length);
  const address = up(last.address + last.memorySize);
  const result = new Uint8Array(offset + code.length);
  result.set(executable);
  result.set(code, offset);
  const view = viewOf(result);
  view.setBigUint64(ENTRY_AT, BigInt(address), true);
  view.setUint32(notes.at, PT_LOAD, true);
  view.setUint32(notes.at + 4, PF_R | PF_X, true);
  for (const [at, value] of [
    [8, offset],
    [16, address],
    [24, address],
    [32, code.length],
    [40, code.length],
    [48, x64.pageAlign],
  ] as const)
    view.setBigUint64(notes.at + at, BigInt(value), true);
  return result;
}
