/**
 * libseccomp (seccomp.h), found by its soname when a config has a filter, and only then.
 * Its functions return −errno on failure, as the kernel does; what that means for a filter is for the caller to say.
 */

import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { KontenaError } from "../error.ts";
import { MFD } from "./consts/fcntl.ts";
import { ERRNO } from "./errno.ts";
import { closeSync } from "./fs.ts";
import { rawSyscall, SyscallError, syscall } from "./libc.ts";

const SONAME = "libseccomp.so.2";
/** seccomp_api_set(3): what Linux 5.7 has, and libseccomp 2.5; SCMP_ACT_NOTIFY is in it. */
const API_LEVEL = 6;
/** `__NR_SCMP_ERROR`. */
const NO_SUCH_NAME = -1;

/** `enum scmp_filter_attr`. */
export const SCMP_FLTATR = { SCMP_FLTATR_CTL_OPTIMIZE: 8 } as const;

/** `enum scmp_compare`. */
export const SCMP_CMP = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
} as const;

/** Token of x32, which libseccomp tells from x86-64 although the kernel doesn't: EM_X86_64, little-endian, not 64 bits. */
export const SCMP_ARCH_X32 = 0x4000_003e;

/** `struct scmp_arg_cmp`: one condition on an argument. */
export interface ScmpArgCmp {
  arg: number;
  op: (typeof SCMP_CMP)[keyof typeof SCMP_CMP];
  /** The value, or the mask of SCMP_CMP_MASKED_EQ. */
  a: bigint;
  /** What the masked argument has to be. */
  b: bigint;
}
const SCMP_ARG_CMP_SIZE = 24;

/** A filter under construction; it has to be released. */
export interface ScmpFilter {
  readonly context: Pointer;
}

const { u32, i32, ptr: pointer, void: nothing } = FFIType;

function open() {
  const definitions = {
    seccomp_version: { args: [], returns: pointer },
    seccomp_api_set: { args: [u32], returns: i32 },
    seccomp_arch_native: { args: [], returns: u32 },
    seccomp_arch_resolve_name: { args: [pointer], returns: u32 },
    seccomp_syscall_resolve_name: { args: [pointer], returns: i32 },
    seccomp_syscall_resolve_name_arch: { args: [u32, pointer], returns: i32 },
    seccomp_init: { args: [u32], returns: pointer },
    seccomp_release: { args: [pointer], returns: nothing },
    seccomp_attr_set: { args: [pointer, u32, u32], returns: i32 },
    seccomp_arch_add: { args: [pointer, u32], returns: i32 },
    seccomp_rule_add_array: { args: [pointer, u32, i32, u32, pointer], returns: i32 },
    seccomp_export_bpf: { args: [pointer, i32], returns: i32 },
  } as const;
  const hint = "install libseccomp 2.5 or later: libseccomp2 on Debian and Ubuntu, libseccomp elsewhere";
  let symbols: ReturnType<typeof dlopen<typeof definitions>>["symbols"];
  try {
    ({ symbols } = dlopen(SONAME, definitions));
  } catch (error) {
    throw new KontenaError("HOST_UNSUPPORTED", `${SONAME} can't be loaded: ${(error as Error).message}`, {
      at: "linux.seccomp",
      hint,
    });
  }
  // Without this the library asks the kernel what it has, some ten calls; kontena needs a kernel that has it all.
  if (symbols.seccomp_api_set(API_LEVEL) < 0)
    throw new KontenaError("HOST_UNSUPPORTED", `${SONAME} is older than version 2.5`, {
      at: "linux.seccomp",
      hint,
    });
  return symbols;
}

let symbols: ReturnType<typeof open> | undefined;

function library(): ReturnType<typeof open> {
  symbols ??= open();
  return symbols;
}

/** Version of the library, `2.5.4`. @throws KontenaError HOST_UNSUPPORTED when there is none, or an old one */
export function libseccompVersion(): string {
  // `struct scmp_version`: three unsigned integers in static memory.
  const at = library().seccomp_version() as Pointer;
  return [0, 4, 8].map((offset) => read.u32(at, offset)).join(".");
}

/** Longer than the name of any system call or architecture. */
const NAME_SIZE = 128;
const name = new Uint8Array(NAME_SIZE);
const encoder = new TextEncoder();

/** `text` in memory that is used again and again; undefined for one that can't be a name. */
function nameBytes(text: string): Uint8Array | undefined {
  // UTF-8 takes at most three bytes for a unit of UTF-16. A NUL would cut the name to another one.
  if (text.length * 3 >= NAME_SIZE || text.includes("\0")) return undefined;
  const { written } = encoder.encodeInto(text, name);
  name[written] = 0;
  return name;
}

/** Token of an architecture by libseccomp's name, `x86_64`; undefined when this version doesn't know it. */
export function archToken(text: string): number | undefined {
  const bytes = nameBytes(text);
  const token = bytes === undefined ? 0 : library().seccomp_arch_resolve_name(bytes);
  return token === 0 ? undefined : token;
}

/** Token of this machine's architecture. */
export function nativeArch(): number {
  return library().seccomp_arch_native();
}

/**
 * Number of a system call, on this machine or on the architecture of a token; negative when only others have it; undefined
 * when this version of the library doesn't know the name. On x32 bit 30 is set, as in the numbers that a filter sees.
 */
export function syscallByName(text: string, token?: number): number | undefined {
  const bytes = nameBytes(text);
  if (bytes === undefined) return undefined;
  const { seccomp_syscall_resolve_name: here, seccomp_syscall_resolve_name_arch: there } = library();
  const number = token === undefined ? here(bytes) : there(token, bytes);
  return number === NO_SUCH_NAME ? undefined : number;
}

function unsigned(value: number): number {
  if (!(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff))
    throw new RangeError(`${value} exceeds 32 bits`);
  return value;
}

function word(value: bigint): bigint {
  if (value < 0n || value >= 1n << 64n) throw new RangeError(`${value} exceeds 64 bits`);
  return value;
}

/** A filter without rules. */
export function newFilter(defaultAction: number): ScmpFilter {
  const context = library().seccomp_init(unsigned(defaultAction)) as Pointer | null;
  if (context === null) throw new SyscallError("seccomp_init", ERRNO.EINVAL);
  return { context };
}

export function releaseFilter({ context }: ScmpFilter): void {
  library().seccomp_release(context);
}

export function setAttribute({ context }: ScmpFilter, attribute: number, value: number): number {
  return library().seccomp_attr_set(context, attribute, unsigned(value));
}

export function addArch({ context }: ScmpFilter, token: number): number {
  return library().seccomp_arch_add(context, unsigned(token));
}

/** Adds a rule: `action` for calls of this number whose arguments meet all conditions. */
export function addRule(
  { context }: ScmpFilter,
  action: number,
  syscallNumber: number,
  conditions: readonly ScmpArgCmp[],
): number {
  const array = new Uint8Array(SCMP_ARG_CMP_SIZE * Math.max(1, conditions.length));
  const view = new DataView(array.buffer);
  conditions.forEach(({ arg, op, a, b }, i) => {
    const at = SCMP_ARG_CMP_SIZE * i;
    view.setUint32(at, unsigned(arg), true);
    view.setUint32(at + 4, op, true);
    view.setBigUint64(at + 8, word(a), true);
    view.setBigUint64(at + 16, word(b), true);
  });
  const { seccomp_rule_add_array: add } = library();
  return add(context, unsigned(action), syscallNumber, conditions.length, ptr(array));
}

/** The filter as a program of the classic BPF: `struct sock_filter`s, 8 bytes each. @throws SyscallError */
export function exportProgram({ context }: ScmpFilter): Uint8Array {
  const fd = scratchFile();
  try {
    const result = library().seccomp_export_bpf(context, fd);
    if (result < 0) throw new SyscallError("seccomp_export_bpf", -result);
    const program = new Uint8Array(syscall("lseek", fd, 0, SEEK_CUR));
    const got = syscall("pread64", fd, program, program.length, 0);
    if (got !== program.length) throw new SyscallError("pread64", ERRNO.EIO);
    return program;
  } finally {
    closeSync(fd);
  }
}

const SEEK_CUR = 1;

/** Memory behind a descriptor. MFD_NOEXEC_SEAL where the kernel knows it (6.3): vm.memfd_noexec=2 demands it. */
function scratchFile(): number {
  const fd = rawSyscall("memfd_create", "seccomp", MFD.MFD_CLOEXEC | MFD.MFD_NOEXEC_SEAL);
  return fd === -ERRNO.EINVAL ? syscall("memfd_create", "seccomp", MFD.MFD_CLOEXEC) : fd;
}
