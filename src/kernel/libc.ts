/**
 * The door to the kernel: libc's `syscall`, and errno right behind it.
 * Only this folder imports bun:ffi. FFI truncates silently (NaN → 0, 2^64 → 0, a string ends at its first NUL), so what
 * goes in is checked here.
 */
import { CFunction, dlopen, FFIType, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";
import { KontenaError } from "../error.ts";
import { ERRNO, errnoName, errnoText } from "./errno.ts";
import { type SyscallName, syscallNumber } from "./syscalls.ts";

type Symbols = ReturnType<typeof open>["symbols"];
const { i64, i64_fast, u64, ptr: pointer, void: nothing } = FFIType;

function open() {
  const definitions = {
    syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: i64_fast },
    __errno_location: { args: [], returns: pointer },
  } as const;
  // glibc by its soname; musl's libc is its own dynamic loader.
  const names = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
  for (const name of names) {
    try {
      return dlopen(name, definitions);
    } catch {
      // the next one
    }
  }
  throw new KontenaError("HOST_UNSUPPORTED", `no C library found (tried ${names.join(", ")})`);
}

let symbols: Symbols | undefined;
let errnoAt: Pointer | undefined;

/** What a system call takes: an integer, text (passed as a NUL-terminated UTF-8 string) or memory. */
export type SyscallArg = number | bigint | string | Uint8Array | undefined;

function toNative(arg: SyscallArg, keep: Uint8Array[]): number | bigint {
  if (arg === undefined) return 0;
  if (typeof arg === "number") {
    if (!Number.isSafeInteger(arg)) throw new RangeError(`${arg} is not an integer`);
    return arg;
  }
  if (typeof arg === "bigint") {
    if (arg < -(1n << 63n) || arg >= 1n << 64n) throw new RangeError(`${arg} exceeds 64 bits`);
    return BigInt.asIntN(64, arg);
  }
  const bytes = typeof arg === "string" ? cString(arg) : arg;
  keep.push(bytes);
  return bytes.length === 0 ? 0 : ptr(bytes);
}

const encoder = new TextEncoder();

/** `text` as the kernel reads it: UTF-8 with a NUL behind; a NUL within would cut it short and is refused. */
export function cString(text: string): Uint8Array {
  if (text.includes("\0"))
    throw new RangeError(`a string for the kernel holds a NUL: ${JSON.stringify(text)}`);
  return encoder.encode(`${text}\0`);
}

/** Calls the kernel; the result as the kernel gives it: −errno on failure. */
export function rawSyscall(name: SyscallName, ...args: SyscallArg[]): number {
  symbols ??= open().symbols;
  errnoAt ??= symbols.__errno_location() as Pointer;
  const keep: Uint8Array[] = [];
  const [a, b, c, d, e, f] = args;
  const result = symbols.syscall(
    syscallNumber(name),
    toNative(a, keep),
    toNative(b, keep),
    toNative(c, keep),
    toNative(d, keep),
    toNative(e, keep),
    toNative(f, keep),
  );
  // Nothing may stand between the call and this read: errno is per thread, and this is the same thread.
  return result === -1 ? -read.i32(errnoAt, 0) : Number(result);
}

/** A failed system call that no one has put in words yet. */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  readonly errno: string;
  constructor(
    readonly syscall: string,
    readonly number: number,
  ) {
    super(`${syscall}: ${errnoText(errnoName(number))}`);
    this.errno = errnoName(number);
  }
}

/** Calls the kernel, again when a signal interrupted it; throws {@link SyscallError}. */
export function syscall(name: SyscallName, ...args: SyscallArg[]): number {
  for (;;) {
    const result = rawSyscall(name, ...args);
    if (result >= 0) return result;
    if (result !== -ERRNO.EINTR) throw new SyscallError(name, -result);
  }
}

/** Memory outside of JavaScript's heap: it has one address for good, and no garbage collector moves or frees it. */
export interface NativeMemory {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Maps the memory behind `address` into a view; the caller vouches that it stays mapped. */
export function nativeMemory(address: number, size: number): NativeMemory {
  const buffer = toArrayBuffer(address as Pointer, 0, size);
  return { address, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** A function at `address` that takes one address and returns nothing. */
export function nativeFunction(address: number): (argument: number) => void {
  const call = CFunction({ ptr: address as Pointer, args: [u64], returns: nothing });
  return (argument) => {
    call(argument);
  };
}

/** Where `bytes` lie now. The caller keeps them reachable for as long as the kernel may look. */
export function addressOf(bytes: Uint8Array): number {
  return ptr(bytes);
}
