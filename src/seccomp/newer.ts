/**
 * System calls that are newer than the profile.
 *
 * A C library tries a new system call first and falls back to an old one when the kernel answers ENOSYS. A profile that was
 * written before the call existed answers with its default, often EPERM, and the program gives up instead. So a program of
 * our own stands before the filter: a number above all that the profile names, on the same architecture, gets ENOSYS. The
 * numbers in the holes between the profile's are left to the filter; most of them were refused on purpose.
 */
import { SECCOMP_DATA, SECCOMP_RET } from "../kernel/consts/seccomp.ts";
import { ERRNO } from "../kernel/errno.ts";
import { SCMP_ARCH_X32 } from "../kernel/libseccomp.ts";
import { decide, type Instruction, ifAnyBit, ifEqual, ifGreater, load, skip } from "./bpf.ts";

/** The newest system call that a profile names on one architecture. */
export interface Newest {
  /** libseccomp's token. */
  arch: number;
  number: number;
}

/** x32 calls come with the architecture of x86-64 and this bit in the number. */
const X32_BIT = 0x4000_0000;
const AUDIT_ARCH_X86_64 = 0xc000_003e;

export const ENOSYS_ACTION = SECCOMP_RET.SECCOMP_RET_ERRNO | ERRNO.ENOSYS;

/** What stands before the filter: it decides, or falls through. */
export function newerCalls(newest: readonly Newest[]): Instruction[] {
  const audit = ({ arch }: Newest) => (arch === SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : arch);
  const archs = [...new Set(newest.map(audit))];
  let program: Instruction[] = [];
  // From the last to the first, so that the way to the end is known.
  for (const arch of archs.toReversed()) {
    const own = newest.filter((n) => audit(n) === arch);
    const part = [load(SECCOMP_DATA.nr), ...numbers(own, arch, program.length)];
    program = [ifEqual(arch, 0, part.length), ...part, ...program];
  }
  return program.length === 0 ? [] : [load(SECCOMP_DATA.arch), ...program];
}

/** Compares the number with the newest one. `after` instructions lie between the end of this and the filter. */
function numbers(own: readonly Newest[], arch: number, after: number): Instruction[] {
  const limit = (n: Newest | undefined, behind: number): Instruction[] =>
    n === undefined
      ? [skip(after + behind)]
      : [ifGreater(n.number, 0, 1), decide(ENOSYS_ACTION), skip(after + behind)];
  if (arch !== AUDIT_ARCH_X86_64) return limit(own[0], 0);
  const x32 = limit(
    own.find((n) => n.arch === SCMP_ARCH_X32),
    0,
  );
  const x64 = limit(
    own.find((n) => n.arch !== SCMP_ARCH_X32),
    x32.length,
  );
  return [ifAnyBit(X32_BIT, x64.length, 0), ...x64, ...x32];
}
