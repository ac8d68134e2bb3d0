/** Instructions of the classic BPF (linux/filter.h, linux/bpf_common.h), as many as a filter's preface needs. */
import { SOCK_FILTER_SIZE } from "../kernel/consts/seccomp.ts";

/** `struct sock_filter`. Jumps count the instructions to skip. */
export interface Instruction {
  code: number;
  /** Instructions to skip when the condition holds, and when it doesn't; 255 at most. */
  jt: number;
  jf: number;
  k: number;
}

/** BPF_LD|BPF_W|BPF_ABS: 32 bits of `struct seccomp_data` to the accumulator. */
export const load = (offset: number): Instruction => ({ code: 0x20, jt: 0, jf: 0, k: offset });
/** BPF_JMP|BPF_JA: skips `k` instructions, any number. */
export const skip = (count: number): Instruction => ({ code: 0x05, jt: 0, jf: 0, k: count });
/** BPF_JMP|BPF_JEQ|BPF_K. */
export const ifEqual = (k: number, jt: number, jf: number): Instruction => ({ code: 0x15, jt, jf, k });
/** BPF_JMP|BPF_JGT|BPF_K, unsigned. */
export const ifGreater = (k: number, jt: number, jf: number): Instruction => ({ code: 0x25, jt, jf, k });
/** BPF_JMP|BPF_JSET|BPF_K. */
export const ifAnyBit = (k: number, jt: number, jf: number): Instruction => ({ code: 0x45, jt, jf, k });
/** BPF_RET|BPF_K. */
export const decide = (k: number): Instruction => ({ code: 0x06, jt: 0, jf: 0, k });

/** Bytes as the kernel takes them. @throws RangeError for a jump or value that the format has no room for */
export function assemble(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(SOCK_FILTER_SIZE * instructions.length);
  const view = new DataView(bytes.buffer);
  instructions.forEach(({ code, jt, jf, k }, i) => {
    if (![jt, jf].every((jump) => Number.isInteger(jump) && jump >= 0 && jump <= 255))
      throw new RangeError(`instruction ${i}: a conditional jump of ${Math.max(jt, jf)}`);
    if (!(Number.isInteger(k) && k >= 0 && k <= 0xffff_ffff))
      throw new RangeError(`instruction ${i}: ${k} exceeds 32 bits`);
    const at = SOCK_FILTER_SIZE * i;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  });
  return bytes;
}
