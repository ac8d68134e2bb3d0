/** config-linux.md, "Seccomp": names are libseccomp's. */
import * as v from "valibot";
import { optional, texts, uint32, uint64 } from "./common.ts";

export const SECCOMP_ARCHITECTURES = [
  "SCMP_ARCH_X86",
  "SCMP_ARCH_X86_64",
  "SCMP_ARCH_X32",
  "SCMP_ARCH_ARM",
  "SCMP_ARCH_AARCH64",
  "SCMP_ARCH_LOONGARCH64",
  "SCMP_ARCH_M68K",
  "SCMP_ARCH_MIPS",
  "SCMP_ARCH_MIPS64",
  "SCMP_ARCH_MIPS64N32",
  "SCMP_ARCH_MIPSEL",
  "SCMP_ARCH_MIPSEL64",
  "SCMP_ARCH_MIPSEL64N32",
  "SCMP_ARCH_PPC",
  "SCMP_ARCH_PPC64",
  "SCMP_ARCH_PPC64LE",
  "SCMP_ARCH_S390",
  "SCMP_ARCH_S390X",
  "SCMP_ARCH_SH",
  "SCMP_ARCH_SHEB",
  "SCMP_ARCH_PARISC",
  "SCMP_ARCH_PARISC64",
  "SCMP_ARCH_RISCV64",
] as const;

export const SECCOMP_ACTIONS = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
] as const;
export type SeccompAction = (typeof SECCOMP_ACTIONS)[number];

export const SECCOMP_FLAGS = [
  "SECCOMP_FILTER_FLAG_TSYNC",
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
] as const;

export const SECCOMP_OPERATORS = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;

export const SeccompArgSchema = v.object({
  /** Which argument, from 0. */
  index: uint32,
  /** What to compare with; the mask of SCMP_CMP_MASKED_EQ. */
  value: uint64,
  /** What the masked argument must be, for SCMP_CMP_MASKED_EQ. */
  valueTwo: optional.uint64,
  op: v.picklist(SECCOMP_OPERATORS),
});
export type SeccompArg = v.InferOutput<typeof SeccompArgSchema>;

export const SeccompSyscallSchema = v.object({
  /** System calls by name, at least one. */
  names: v.pipe(texts, v.minLength(1, "expected at least one name, received an empty array")),
  action: v.picklist(SECCOMP_ACTIONS),
  /** Number that SCMP_ACT_ERRNO returns or SCMP_ACT_TRACE passes on; EPERM when absent. */
  errnoRet: optional.uint32,
  /** Conditions that must all hold. */
  args: v.exactOptional(v.array(SeccompArgSchema)),
});
export type SeccompSyscall = v.InferOutput<typeof SeccompSyscallSchema>;

export const SeccompSchema = v.object({
  /** For system calls that no entry matches. */
  defaultAction: v.picklist(SECCOMP_ACTIONS),
  /** As `errnoRet`, for `defaultAction`. */
  defaultErrnoRet: optional.uint32,
  architectures: v.exactOptional(v.array(v.picklist(SECCOMP_ARCHITECTURES))),
  /** Flags of seccomp(2). */
  flags: v.exactOptional(v.array(v.picklist(SECCOMP_FLAGS))),
  /** UNIX stream socket of the agent that gets the descriptor of SCMP_ACT_NOTIFY. */
  listenerPath: optional.text,
  /** Handed to that agent as it is. */
  listenerMetadata: optional.text,
  syscalls: v.exactOptional(v.array(SeccompSyscallSchema)),
});
export type Seccomp = v.InferOutput<typeof SeccompSchema>;
