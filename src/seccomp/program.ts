/** A profile (config-linux.md, "Seccomp") → the program that the kernel runs before each system call. */
import type { Seccomp, SeccompArg, SeccompSyscall } from "../../spec/seccomp.ts";
import { type ErrorCode, KontenaError } from "../error.ts";
import { BPF_MAXINSNS, SOCK_FILTER_SIZE } from "../kernel/consts/seccomp.ts";
import { ERRNO, errnoName, errnoText } from "../kernel/errno.ts";
import { SyscallError } from "../kernel/libc.ts";
import {
  addArch,
  addRule,
  archToken,
  exportProgram,
  libseccompVersion,
  nativeArch,
  newFilter,
  releaseFilter,
  SCMP_CMP,
  SCMP_FLTATR,
  type ScmpArgCmp,
  type ScmpFilter,
  setAttribute,
  syscallByName,
} from "../kernel/libseccomp.ts";
import { defaultActionNumber, ruleActionNumber } from "./actions.ts";
import { assemble } from "./bpf.ts";
import { type Newest, newerCalls } from "./newer.ts";

const AT = "linux.seccomp";

function failed(code: ErrorCode, message: string, at: string, hint?: string): KontenaError {
  return new KontenaError(code, message, { at, ...(hint === undefined ? {} : { hint }) });
}

/** The message of a function that returned −errno. */
function refused(what: string, result: number, at: string): KontenaError {
  return failed("SECCOMP_FAILED", `libseccomp can't ${what}: ${errnoText(errnoName(-result))}`, at);
}

/** Above this many names a search tree of them pays; libseccomp up to 2.5.4 makes a wrong one of no rules. */
const TREE_FROM = 32;
const OPTIMIZE_TREE = 2;

/**
 * The program of a profile. Names that this version of libseccomp doesn't know are skipped, and `debug` hears of them: a
 * profile may name system calls of newer kernels, and of other architectures.
 * @throws KontenaError HOST_UNSUPPORTED, SECCOMP_FAILED
 */
export function compileProgram(seccomp: Seccomp, debug: (message: string) => void): Uint8Array {
  const archs = archTokens(seccomp);
  const filter = newFilter(defaultActionNumber(seccomp));
  let program: Uint8Array;
  try {
    addArchs(filter, archs);
    const names = (seccomp.syscalls ?? []).reduce((sum, entry) => sum + entry.names.length, 0);
    // An optimization that a library lacks is none.
    if (names > TREE_FROM) setAttribute(filter, SCMP_FLTATR.SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_TREE);
    addRules(filter, seccomp, debug);
    program = exportProgram(filter);
  } catch (error) {
    if (error instanceof SyscallError) throw refused("make the filter", -error.number, AT);
    throw error;
  } finally {
    releaseFilter(filter);
  }
  return checkLength(decidesNewer(seccomp) ? prepend(newestCalls(seccomp, archs), program) : program);
}

/** seccomp(2) says EINVAL to a longer one, and no more. @throws KontenaError SECCOMP_FAILED */
export function checkLength(program: Uint8Array): Uint8Array {
  const length = program.length / SOCK_FILTER_SIZE;
  if (length <= BPF_MAXINSNS) return program;
  throw failed(
    "SECCOMP_FAILED",
    `the filter has ${length} instructions, the kernel takes ${BPF_MAXINSNS}`,
    AT,
    "fewer conditions on arguments make a shorter one",
  );
}

/** libseccomp's tokens of the profile's architectures, by their places in it. */
function archTokens({ architectures = [] }: Seccomp): number[] {
  return architectures.map((name, i) => {
    const token = archToken(name.slice("SCMP_ARCH_".length).toLowerCase());
    if (token !== undefined) return token;
    const message = `libseccomp ${libseccompVersion()} doesn't know the architecture ${name}`;
    throw failed("HOST_UNSUPPORTED", message, `${AT}.architectures[${i}]`, "a newer libseccomp may");
  });
}

/** This machine's own is in every filter from the first. */
function addArchs(filter: ScmpFilter, tokens: readonly number[]): void {
  tokens.forEach((token, i) => {
    const result = addArch(filter, token);
    if (result < 0 && result !== -ERRNO.EEXIST)
      throw refused("add the architecture", result, `${AT}.architectures[${i}]`);
  });
}

function addRules(filter: ScmpFilter, seccomp: Seccomp, debug: (message: string) => void): void {
  const byDefault = defaultActionNumber(seccomp);
  (seccomp.syscalls ?? []).forEach((entry, i) => {
    const action = ruleActionNumber(entry);
    // libseccomp refuses a rule that says what holds anyway.
    if (action === byDefault) return;
    const rules = conditionsOf(entry);
    entry.names.forEach((name, j) => {
      const at = `${AT}.syscalls[${i}].names[${j}]`;
      const number = syscallByName(name);
      if (number === undefined) {
        debug(`${at}: "${name}" is skipped: libseccomp doesn't know it`);
        return;
      }
      for (const conditions of rules) {
        const result = addRule(filter, action, number, conditions);
        if (result < 0) throw refused(`add the rule for ${name}`, result, at);
      }
    });
  });
}

/**
 * The conditions of an entry: one rule in which all hold. A rule has room for one condition on an argument; an entry with
 * two on the same one means that either holds, as it always did in runc, and becomes a rule for each of its conditions.
 */
function conditionsOf({ args = [] }: SeccompSyscall): ScmpArgCmp[][] {
  const conditions = args.map(condition);
  const isTwice = new Set(args.map(({ index }) => index)).size < args.length;
  return isTwice ? conditions.map((c) => [c]) : [conditions];
}

function condition({ index, op, value, valueTwo = 0 }: SeccompArg): ScmpArgCmp {
  return { arg: index, op: SCMP_CMP[op], a: BigInt(value), b: BigInt(valueTwo) };
}

/**
 * Whether newer system calls get ENOSYS. A profile that lets unknown calls happen means the new ones too; a tracer or an
 * agent that gets all calls answers for itself.
 */
function decidesNewer({ defaultAction, defaultErrnoRet }: Seccomp): boolean {
  if (defaultAction === "SCMP_ACT_ERRNO") return defaultErrnoRet !== ERRNO.ENOSYS;
  return !["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"].includes(defaultAction);
}

/** On each architecture of the filter, the highest number that the profile names; none where it names nothing. */
function newestCalls({ syscalls = [] }: Seccomp, archs: readonly number[]): Newest[] {
  const names = new Set(syscalls.flatMap((entry) => entry.names));
  return [...new Set([nativeArch(), ...archs])].flatMap((arch) => {
    let number = 0;
    for (const name of names) number = Math.max(number, syscallByName(name, arch) ?? 0);
    return number === 0 ? [] : [{ arch, number }];
  });
}

function prepend(newest: readonly Newest[], program: Uint8Array): Uint8Array {
  const before = assemble(newerCalls(newest));
  const whole = new Uint8Array(before.length + program.length);
  whole.set(before);
  whole.set(program, before.length);
  return whole;
}
