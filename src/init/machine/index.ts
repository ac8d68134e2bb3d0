/** init's machine code for one architecture: the interpreter of ops, as a function and as a program's start. */
import type { Arch } from "../../kernel/syscalls.ts";

export interface Machine {
  readonly arch: Arch;
  /** e_machine of the ELF header (elf.h). */
  readonly elfMachine: number;
  /** The largest page size that the architecture's kernels are built with, in bytes. */
  readonly pageAlign: number;
  /**
   * `void run(const op *first)` in the C calling convention; returns when a successor is 0.
   * Position independent. It keeps nothing on the stack between two ops, so that a child that clone3 gave another stack
   * goes on at the op after it; such a child must end by an op (exit_group, execveat): it has nowhere to return to.
   */
  interpreter(): Uint8Array;
  /**
   * The same as an ELF entry point that starts at the op at address `firstOp`; its size doesn't depend on the address.
   * A successor of 0 traps (SIGILL on x86-64, SIGTRAP on arm64): there is nothing to return to, and a process that
   * ran on, or span in an exit op that a filter forbids, would stay for ever.
   */
  entry(firstOp: bigint): Uint8Array;
}

/** The machine code for `arch`; the other one's assembler isn't loaded. */
export function machineFor(arch: Arch): Machine {
  if (arch === "x64") return (require("./x64.ts") as typeof import("./x64.ts")).x64;
  return (require("./arm64.ts") as typeof import("./arm64.ts")).arm64;
}
