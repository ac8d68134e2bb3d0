/** eBPF instructions, those that a device filter needs (linux/bpf.h; Documentation/bpf/standardization/instruction-set.rst). */

/** Registers: r0 is the result, r1 the context. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5;

/** One instruction of 8 bytes. */
export interface Instruction {
  opcode: number;
  dst: Register;
  src: Register;
  /** In instructions, from the next one. */
  offset: number;
  immediate: number;
}

/** Instruction classes, sizes, sources and operations, by the header's names. */
export const OPCODE = {
  /** BPF_LDX | BPF_MEM | BPF_W */
  LOAD_WORD: 0x61,
  /** BPF_ALU64 | BPF_MOV | BPF_K */
  MOVE: 0xb7,
  /** BPF_ALU64 | BPF_AND | BPF_K */
  AND: 0x57,
  /** BPF_ALU64 | BPF_RSH | BPF_K */
  SHIFT_RIGHT: 0x77,
  /** BPF_JMP | BPF_JNE | BPF_K */
  JUMP_IF_NOT: 0x55,
  /** BPF_JMP | BPF_JSET | BPF_K */
  JUMP_IF_BITS: 0x45,
  /** BPF_JMP | BPF_JA */
  JUMP: 0x05,
  /** BPF_JMP | BPF_EXIT */
  EXIT: 0x95,
} as const;

const make = (opcode: number, dst: Register, immediate = 0, offset = 0, src: Register = 0): Instruction => ({
  ...{ opcode, dst, src, offset, immediate },
});

/** dst = 32 bits at `offset` in what src points to */
export const loadWord = (dst: Register, src: Register, offset: number) =>
  make(OPCODE.LOAD_WORD, dst, 0, offset, src);
export const move = (dst: Register, value: number) => make(OPCODE.MOVE, dst, value);
/** The mask is extended by its sign to 64 bits. */
export const and = (dst: Register, mask: number) => make(OPCODE.AND, dst, mask);
export const shiftRight = (dst: Register, bits: number) => make(OPCODE.SHIFT_RIGHT, dst, bits);
export const jumpIfNot = (dst: Register, value: number, over: number) =>
  make(OPCODE.JUMP_IF_NOT, dst, value, over);
export const jumpIfBits = (dst: Register, mask: number, over: number) =>
  make(OPCODE.JUMP_IF_BITS, dst, mask, over);
export const jump = (over: number) => make(OPCODE.JUMP, 0, 0, over);
export const exit = () => make(OPCODE.EXIT, 0);

/** The program as the kernel reads it. */
export function encodeInstructions(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(({ opcode, dst, src, offset, immediate }, i) => {
    if (offset !== (offset << 16) >> 16 || immediate !== (immediate | 0))
      throw new RangeError(`instruction ${i} exceeds its fields`);
    view.setUint8(i * 8, opcode);
    view.setUint8(i * 8 + 1, (src << 4) | dst);
    view.setInt16(i * 8 + 2, offset, true);
    view.setInt32(i * 8 + 4, immediate, true);
  });
  return bytes;
}
