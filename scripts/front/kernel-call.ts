import type { Line } from "../../src/init/machine/assemble.ts";
import { moveNumber32, systemCall } from "../../src/init/machine/x64.ts";
import { type SyscallName, syscallNumber } from "../../src/kernel/syscalls.ts";

/** A system call whose arguments are in place; its result is in rax, and rcx and r11 are anything then. */
export const kernelCall = (name: SyscallName): Line[] => [
  moveNumber32("rax", syscallNumber(name, "x64")),
  systemCall,
];
