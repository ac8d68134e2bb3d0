/** The few eBPF instructions of a device filter, run as the kernel would; the encoded bytes are what is run. */
import { DEVICE_TYPE } from "../../../src/cgroup/devices/program.ts";

export interface Access {
  type: "b" | "c";
  major: number;
  minor: number;
  /** Bits: 1 mknod, 2 read, 4 write. */
  access: number;
}

/** @returns r0 @throws for what the kernel's verifier would refuse: unknown instructions, jumps to nowhere, unset registers */
export function run(program: Uint8Array, { type, major, minor, access }: Access): number {
  const context = [(access << 16) | DEVICE_TYPE[type], major, minor];
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const registers: (bigint | undefined)[] = Array(11).fill(undefined);
  registers[1] = -1n;
  const get = (r: number) => {
    const value = registers[r];
    if (value === undefined) throw new Error(`r${r} is read before it is set`);
    return value;
  };
  const u64 = (value: bigint) => BigInt.asUintN(64, value);
  for (let at = 0; ; at++) {
    if (at < 0 || at * 8 >= program.length) throw new Error(`no instruction ${at}`);
    const [dst, src] = [view.getUint8(at * 8 + 1) & 15, view.getUint8(at * 8 + 1) >> 4];
    const offset = view.getInt16(at * 8 + 2, true);
    const immediate = u64(BigInt(view.getInt32(at * 8 + 4, true)));
    switch (view.getUint8(at * 8)) {
      case 0x61: {
        const word = context[offset / 4];
        if (src !== 1 || word === undefined) throw new Error(`a load outside of the context at ${at}`);
        registers[dst] = BigInt(word >>> 0);
        break;
      }
      case 0xb7:
        registers[dst] = immediate;
        break;
      case 0x57:
        registers[dst] = get(dst) & immediate;
        break;
      case 0x77:
        registers[dst] = get(dst) >> immediate;
        break;
      case 0x55:
        if (get(dst) !== immediate) at += offset;
        break;
      case 0x45:
        if ((get(dst) & immediate) !== 0n) at += offset;
        break;
      case 0x05:
        at += offset;
        break;
      case 0x95:
        return Number(get(0));
      default:
        throw new Error(`unknown instruction at ${at}`);
    }
  }
}

/** Which instructions can be reached at all: the verifier refuses a program with others. */
export function unreachable(program: Uint8Array): number[] {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const count = program.length / 8;
  const reached = new Set<number>();
  const open = [0];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (reached.has(at)) continue;
    if (at >= count) throw new Error("the program runs over its end");
    reached.add(at);
    const opcode = view.getUint8(at * 8);
    const target = at + 1 + view.getInt16(at * 8 + 2, true);
    if (opcode === 0x95) continue;
    if (opcode === 0x05) open.push(target);
    else if (opcode === 0x55 || opcode === 0x45) open.push(at + 1, target);
    else open.push(at + 1);
  }
  return Array.from({ length: count }, (_, i) => i).filter((i) => !reached.has(i));
}
