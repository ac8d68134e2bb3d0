/** The size of a page: munmap(2) takes whole ones. */
import { readFileSync } from "./fs.ts";

/** getauxval(3), elf.h. */
const AT_PAGESZ = 6n;
let size: number | undefined;

/** 4 KiB on x86-64; arm64 kernels are built for 4, 16 or 64 KiB, and tell in the auxiliary vector. */
export function pageSize(): number {
  size ??= process.arch === "arm64" ? fromAuxiliaryVector() : 4096;
  return size;
}

function fromAuxiliaryVector(): number {
  const bytes = readFileSync("/proc/self/auxv");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 16 <= bytes.length; at += 16)
    if (view.getBigUint64(at, true) === AT_PAGESZ) return Number(view.getBigUint64(at + 8, true));
  return 65536;
}
