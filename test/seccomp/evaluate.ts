/** The kernel's interpreter of seccomp filters, in TypeScript: the classic BPF over `struct seccomp_data` (linux/filter.h). */
import { SECCOMP_RET } from "../../src/kernel/consts/seccomp.ts";

/** linux/audit.h. */
export const AUDIT_ARCH = { x86: 0x4000_0003, x86_64: 0xc000_003e, aarch64: 0xc000_00b7 } as const;

export interface Made {
  nr: number;
  arch?: number;
  args?: readonly (number | bigint)[];
}

function dataOf({ nr, arch = AUDIT_ARCH.x86_64, args = [] }: Made): DataView {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, nr >>> 0, true);
  view.setUint32(4, arch, true);
  args.forEach((arg, i) => {
    view.setBigUint64(16 + 8 * i, BigInt.asUintN(64, BigInt(arg)), true);
  });
  return view;
}

function isTaken(condition: number, a: number, k: number): boolean {
  switch (condition) {
    case 0x10:
      return a === k;
    case 0x20:
      return a > k;
    case 0x30:
      return a >= k;
    case 0x40:
      return (a & k) !== 0;
    default:
      throw new Error(`no condition ${condition.toString(16)}`);
  }
}

/** What the program returns for a system call. @throws Error for what the kernel's checker would refuse */
export function evaluate(program: Uint8Array, made: Made): number {
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = dataOf(made);
  let a = 0;
  for (let pc = 0; pc < program.length / 8; pc++) {
    const op = code.getUint16(8 * pc, true);
    const k = code.getUint32(8 * pc + 4, true);
    if (op === 0x20) {
      if (k % 4 !== 0 || k > 60) throw new Error(`instruction ${pc} loads from ${k}`);
      a = data.getUint32(k, true);
    } else if (op === 0x06) return k;
    else if (op === 0x54) a = (a & k) >>> 0;
    else if (op === 0x05) pc += k;
    else if ((op & 0x0f) === 0x05) pc += code.getUint8(8 * pc + (isTaken(op & 0xf0, a, k) ? 2 : 3));
    else throw new Error(`instruction ${pc}: no code 0x${op.toString(16)}`);
  }
  throw new Error("the program has no end");
}

/** `ERRNO 38`, `ALLOW`: the decision in words, its data where it isn't 0. */
export function decision(program: Uint8Array, made: Made): string {
  const result = evaluate(program, made);
  const action = Object.entries(SECCOMP_RET).find(([, value]) => value === (result & 0xffff_0000) >>> 0);
  if (action === undefined) throw new Error(`no action 0x${result.toString(16)}`);
  const name = action[0].slice("SECCOMP_RET_".length);
  const value = result & 0xffff;
  return value === 0 && name !== "ERRNO" ? name : `${name} ${value}`;
}
