/** Programs of one system call, and an agent for SCMP_ACT_NOTIFY: what the tests of filters share. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Seccomp, SeccompAction } from "../../spec/seccomp.ts";
import { buildInitElf } from "../../src/init/elf.ts";
import { machineFor } from "../../src/init/machine/index.ts";
import { OP_NONE } from "../../src/init/op.ts";
import { MAP, PROT } from "../../src/kernel/consts/mman.ts";
import { ARCH, type SyscallName, syscallNumber } from "../../src/kernel/syscalls.ts";

/** Where the result of the call is kept: programs of ops are never writable themselves. */
const CELL = 0x2000_0000n;

/** A program that makes one system call and exits with its result, an error number negative: −1 is status 255. */
export function oneCall(call: SyscallName | number, ...args: (number | bigint)[]): Uint8Array {
  const number = (name: SyscallName) => syscallNumber(name, ARCH);
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS | MAP.MAP_FIXED_NOREPLACE;
  return buildInitElf({
    machine: machineFor(ARCH),
    ops: ({ op }) => [
      {
        ...OP_NONE,
        nr: number("mmap"),
        args: [CELL, 4096, PROT.PROT_READ | PROT.PROT_WRITE, flags, -1, 0],
        next: op(1),
      },
      {
        ...OP_NONE,
        nr: typeof call === "number" ? call : number(call),
        args,
        result: CELL,
        next: op(2),
        onFail: op(2),
      },
      { ...OP_NONE, nr: number("exit_group"), cells: 1, args: [CELL] },
    ],
  });
}

/** A program of x86-64 that asks for its pid as one of x86 would, and exits with it. */
export function callOfX86(): Uint8Array {
  // mov eax, 20; int 0x80; mov edi, eax; mov eax, 231; syscall
  const code = new Uint8Array([
    ...[0xb8, 20, 0, 0, 0],
    ...[0xcd, 0x80],
    ...[0x89, 0xc7],
    ...[0xb8, 231, 0, 0, 0],
    ...[0x0f, 0x05],
  ]);
  return buildInitElf({
    machine: { ...machineFor("x64"), entry: () => code },
    ops: () => [{ ...OP_NONE, nr: 0, args: [] }],
  });
}

/** Puts a program into a root file system as /probe. */
export const asProbe = (program: Uint8Array) => (rootfs: string) => {
  writeFileSync(join(rootfs, "probe"), program);
  chmodSync(join(rootfs, "probe"), 0o755);
};

/** Whether the kernel here takes such calls at all: with `ia32_emulation=0`, and in some virtual machines, `int 0x80` is a fault. */
export function takesCallsOfX86(): boolean {
  if (ARCH !== "x64") return false;
  const directory = mkdtempSync(join(tmpdir(), "kontena-x86-"));
  try {
    asProbe(callOfX86())(directory);
    return Bun.spawnSync([join(directory, "probe")]).signalCode === undefined;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Exit status of {@link oneCall} when the call fails with this error. */
export const failedWith = (errno: number) => 256 - errno;

/** Status of a program that its filter has killed: 128 and SIGSYS. */
export const KILLED = 159;

/** Everything is allowed but these. */
export function denying(action: SeccompAction, ...names: string[]): Seccomp {
  return { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names, action }] };
}
