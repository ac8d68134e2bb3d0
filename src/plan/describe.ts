/** Plans in words: system calls with their arguments decoded as strace(1) would, for `explain`, tests and people. */

import {
  type Arg,
  branches,
  type Call,
  type Outcome,
  type Phase,
  type Step,
  type Struct,
} from "../init/step.ts";
import { CAPABILITIES } from "../kernel/consts/capability.ts";
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  CLOSE_RANGE,
  F,
  O,
  RESOLVE,
} from "../kernel/consts/fcntl.ts";
import { IOPRIO_CLASS, IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PROCESS } from "../kernel/consts/ioprio.ts";
import { KEYCTL } from "../kernel/consts/keyctl.ts";
import { MPOL, MPOL_F } from "../kernel/consts/mempolicy.ts";
import {
  FSCONFIG,
  FSPICK,
  MOUNT_ATTR,
  MOUNT_ATTR__ATIME,
  MOVE_MOUNT,
  MS,
  OPEN_TREE,
  UMOUNT,
} from "../kernel/consts/mount.ts";
import { PER } from "../kernel/consts/personality.ts";
import { PR, PR_CAP_AMBIENT } from "../kernel/consts/prctl.ts";
import { RLIM_INFINITY, RLIMIT } from "../kernel/consts/resource.ts";
import { CLONE, SCHED, SCHED_FLAG } from "../kernel/consts/sched.ts";
import { SECCOMP_FILTER_FLAG, SECCOMP_SET_MODE_FILTER } from "../kernel/consts/seccomp.ts";
import { IFF, SIOCSIFFLAGS } from "../kernel/consts/socket.ts";
import { S_IF, S_IFMT } from "../kernel/consts/stat.ts";

type Names = Readonly<Record<string, number>>;

/** `A|B|0x40`: the names of the bits, and what has none in hexadecimal. */
export function flagNames(value: number, ...tables: Names[]): string {
  let rest = value >>> 0;
  const names: string[] = [];
  for (const table of tables)
    for (const [name, bits] of Object.entries(table))
      if (bits !== 0 && (rest & bits) >>> 0 === bits >>> 0) {
        names.push(name);
        rest = (rest & ~bits) >>> 0;
      }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.join("|") || "0";
}

const nameOf = (table: Names, value: number) =>
  Object.keys(table).find((name) => table[name] === value) ?? String(value);
const octal = (value: number) => (value === 0 ? "0" : `0${value.toString(8)}`);
const AT = { AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW };
const limit = (value: bigint) => (value === RLIM_INFINITY ? "RLIM_INFINITY" : String(value));

/** Names of the capabilities in a set, without their `CAP_`; `all` and `none` for short. */
function capabilities(set: bigint): string {
  const names = CAPABILITIES.filter((_, i) => (set >> BigInt(i)) & 1n).map((name) =>
    name.slice("CAP_".length),
  );
  if (names.length === 0) return "none";
  return names.length === CAPABILITIES.length ? "all" : names.join("|");
}

function describeStruct(arg: Struct): string {
  switch (arg.struct) {
    case "open_how": {
      const { flags, mode, resolve } = arg.value;
      return `{flags=${flagNames(flags, O)}${mode === undefined ? "" : `, mode=${octal(mode)}`}, resolve=${flagNames(resolve, RESOLVE)}}`;
    }
    case "mount_attr": {
      const { attr_set = 0, attr_clr = 0, propagation = 0 } = arg.value;
      const parts = [
        attr_set === 0 ? "" : `attr_set=${flagNames(attr_set, MOUNT_ATTR)}`,
        attr_clr === 0 ? "" : `attr_clr=${flagNames(attr_clr, { MOUNT_ATTR__ATIME }, MOUNT_ATTR)}`,
        propagation === 0 ? "" : `propagation=${flagNames(propagation, MS)}`,
      ];
      return `{${parts.filter(Boolean).join(", ")}}`;
    }
    case "rlimit64":
      return `{rlim_cur=${limit(arg.value.rlim_cur)}, rlim_max=${limit(arg.value.rlim_max)}}`;
    case "cap_user_header":
      return "{version=_LINUX_CAPABILITY_VERSION_3, pid=0}";
    case "cap_user_data": {
      const { effective, permitted, inheritable } = arg.value;
      return `{effective=${capabilities(effective)}, permitted=${capabilities(permitted)}, inheritable=${capabilities(inheritable)}}`;
    }
    case "sigaction":
      return "{sa_handler=SIG_DFL}";
    case "sigset":
      return arg.value === 0n ? "[]" : `[0x${BigInt.asUintN(64, arg.value).toString(16)}]`;
    case "ifreq_flags":
      return `{ifr_name="${arg.value.name}", ifr_flags=${flagNames(arg.value.flags, IFF)}}`;
    case "sched_attr": {
      const { policy, flags, nice, priority, runtime, deadline, period } = arg.value;
      const times =
        runtime || deadline || period ? `, runtime=${runtime}, deadline=${deadline}, period=${period}` : "";
      return `{policy=${nameOf(SCHED, policy)}, flags=${flagNames(flags, SCHED_FLAG)}, nice=${nice}, priority=${priority}${times}}`;
    }
    case "gid_list":
      return `[${arg.value.join(", ")}]`;
    case "clone_args":
      return `{flags=${flagNames(Number(arg.value.flags & 0xffffffffn), CLONE)}}`;
  }
}

type Formatter = (value: number, call: Call) => string;
const prctlArgument: Formatter = (value, { args }) => {
  if (args[0] === PR.PR_CAPBSET_DROP) return CAPABILITIES[value] ?? String(value);
  return args[0] === PR.PR_CAP_AMBIENT ? nameOf(PR_CAP_AMBIENT, value) : String(value);
};
const dirfd: Formatter = (value) => (value === AT_FDCWD ? "AT_FDCWD" : String(value));
const modeAndType: Formatter = (value) => {
  const type = value & S_IFMT;
  return type === 0 ? octal(value) : `${nameOf(S_IF, type)}|${octal(value & ~S_IFMT)}`;
};
/** Undoes makedev of the huge encoding. */
const device: Formatter = (value) => {
  const minor = (value & 0xff) | ((value >>> 12) & ~0xff);
  return value === 0 ? "0" : `makedev(${(value >>> 8) & 0xfff}, ${minor >>> 0})`;
};
const flags =
  (...tables: Names[]): Formatter =>
  (value) =>
    flagNames(value, ...tables);

/** For each call, how its integer arguments are written; by position. */
const FORMATTERS: Partial<Record<string, Partial<Record<number, Formatter>>>> = {
  openat: { 0: dirfd, 2: flags(O), 3: octal },
  openat2: { 0: dirfd },
  mkdirat: { 0: dirfd, 2: octal },
  dup3: { 2: flags(O) },
  fcntl: { 1: (value) => nameOf(F, value) },
  mknodat: { 0: dirfd, 2: modeAndType, 3: device },
  symlinkat: { 1: dirfd },
  fchownat: { 0: dirfd, 4: flags(AT) },
  statx: { 0: dirfd, 2: flags(AT), 3: (value) => `0x${value.toString(16)}` },
  faccessat2: {
    0: dirfd,
    2: (value) => (value === 1 ? "X_OK" : String(value)),
    3: (v) => (v === AT_EACCESS ? "AT_EACCESS" : String(v)),
  },
  open_tree: { 0: dirfd, 2: flags(OPEN_TREE, AT) },
  move_mount: { 0: dirfd, 2: dirfd, 4: flags(MOVE_MOUNT) },
  mount_setattr: { 0: dirfd, 2: flags(AT) },
  fsopen: { 1: (value) => (value === 1 ? "FSOPEN_CLOEXEC" : String(value)) },
  fsconfig: { 1: (value) => nameOf(FSCONFIG, value) },
  fspick: { 2: flags(FSPICK) },
  fsmount: { 1: (value) => (value === 1 ? "FSMOUNT_CLOEXEC" : String(value)), 2: flags(MOUNT_ATTR) },
  mount: { 3: flags(MS) },
  umount2: { 1: flags(UMOUNT) },
  ioctl: { 1: (value) => (value === SIOCSIFFLAGS ? "SIOCSIFFLAGS" : String(value)) },
  ioprio_set: {
    0: (value) => (value === IOPRIO_WHO_PROCESS ? "IOPRIO_WHO_PROCESS" : String(value)),
    2: (value) =>
      `${nameOf(IOPRIO_CLASS, value >> IOPRIO_CLASS_SHIFT)}|${value & ((1 << IOPRIO_CLASS_SHIFT) - 1)}`,
  },
  personality: { 0: (value) => nameOf(PER, value) },
  set_mempolicy: {
    0: (value) =>
      [nameOf(MPOL, value & 0xff), flagNames(value & ~0xff, MPOL_F)].filter((f) => f !== "0").join("|"),
  },
  keyctl: {
    0: (value) => nameOf(KEYCTL, value),
    2: (value) => `0x${value.toString(16)}`,
  },
  unshare: { 0: flags(CLONE) },
  setns: { 1: flags(CLONE) },
  seccomp: {
    0: (value) => (value === SECCOMP_SET_MODE_FILTER ? "SECCOMP_SET_MODE_FILTER" : String(value)),
    1: flags(SECCOMP_FILTER_FLAG),
  },
  umask: { 0: octal },
  prctl: {
    0: (value) => nameOf(PR, value),
    1: prctlArgument,
    2: (value, { args }) =>
      args[0] === PR.PR_CAP_AMBIENT && args[1] === PR_CAP_AMBIENT.PR_CAP_AMBIENT_RAISE
        ? (CAPABILITIES[value] ?? String(value))
        : String(value),
  },
  prlimit64: { 1: (value) => nameOf(RLIMIT, value) },
  close_range: { 1: (value) => (value === 0xffffffff ? "~0" : String(value)), 2: flags(CLOSE_RANGE) },
  rt_sigprocmask: { 0: (value) => (value === 2 ? "SIG_SETMASK" : String(value)) },
};

function describeArg(call: Call, arg: Arg, index: number): string {
  if (typeof arg === "bigint") return String(arg);
  if (typeof arg === "string") return JSON.stringify(arg);
  if (typeof arg === "number") return FORMATTERS[call.call]?.[index]?.(arg, call) ?? String(arg);
  if ("cell" in arg) return `<${arg.cell}>`;
  if ("strings" in arg) return `[${arg.strings.map((s) => JSON.stringify(s)).join(", ")}]`;
  if ("words" in arg && call.call === "clone3") return `{flags=${flagNames(Number(arg.words[0]), CLONE)}}`;
  if ("words" in arg) return `{${arg.words.map((word) => describeArg(call, word, -1)).join(", ")}}`;
  if ("bytes" in arg) return `<${arg.name}, ${arg.bytes.length} bytes>`;
  if ("buffer" in arg) return arg.text === undefined ? `&<${arg.buffer}>` : JSON.stringify(arg.text);
  return describeStruct(arg);
}

/** `openat2(<root>, "proc", {…}, 24) → <mounts[0] destination>`. */
export function describeCall(call: Call): string {
  const args = call.args.map((arg, i) => describeArg(call, arg, i)).join(", ");
  return `${call.call}(${args})${call.save === undefined ? "" : ` → <${call.save}>`}`;
}

const outcomeText = (outcome: Outcome) =>
  typeof outcome !== "string"
    ? "do"
    : {
        next: "go on",
        again: "again",
        restart: "begin this part again",
        leave: "skip the rest of this part",
        exit: "exit",
      }[outcome];

/** The outcomes that don't stop init, in words: `EEXIST: go on`. */
export function describeOutcomes(call: Call): string[] {
  const lines = Object.entries(call.on ?? {}).map(([errno, outcome]) => `${errno}: ${outcomeText(outcome)}`);
  if (call.zero !== undefined) lines.push(`0: ${outcomeText(call.zero)}`);
  if (call.otherwise !== undefined) lines.push("any error: go on");
  return lines;
}

/** A step as `explain` shows it; what happens on an expected error is nested in it. */
export interface Described {
  phase: string;
  depth: number;
  call: string;
  why: string;
  at?: string;
  outcomes: string[];
}

function* walk(steps: readonly Step[], phase: string, depth: number): Generator<Described> {
  for (const step of steps) {
    if ("block" in step) yield* walk(step.block, phase, depth);
    else if ("pause" in step) yield { phase, depth, call: `— ${step.pause} —`, why: step.why, outcomes: [] };
    else {
      const { why, at } = step;
      yield {
        phase,
        depth,
        call: describeCall(step),
        why,
        ...(at === undefined ? {} : { at }),
        outcomes: describeOutcomes(step),
      };
      for (const branch of branches(step)) yield* walk(branch, phase, depth + 1);
    }
  }
}

/** All steps of some phases, in order. */
export function describe(phases: readonly Phase[]): Described[] {
  return phases.flatMap(({ phase, steps }) => [...walk(steps, phase, 0)]);
}

/** Lines for people: a heading per phase, then per step the call, why, and the place in config.json. */
export function toText(title: string, phases: readonly Phase[]): string {
  const lines = [title];
  let last = "";
  for (const { phase, depth, call, why, at, outcomes } of describe(phases)) {
    if (phase !== last) lines.push(`  ${phase}`);
    last = phase;
    const indent = "    ".repeat(depth + 1);
    lines.push(`${indent}${call}`);
    const more = outcomes.length === 0 ? "" : `; ${outcomes.join("; ")}`;
    lines.push(`${indent}    ${at === undefined ? "" : `[${at}] `}${why}${more}`);
  }
  return lines.join("\n");
}
