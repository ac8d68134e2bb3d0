/** config.md, "Process": the program that the container runs, and what it is given. */
import * as v from "valibot";
import { id, integer, optional, text, textLike, uint64 } from "./common.ts";

/** The resources of getrlimit(2). */
export const RLIMIT_TYPES = [
  "RLIMIT_AS",
  "RLIMIT_CORE",
  "RLIMIT_CPU",
  "RLIMIT_DATA",
  "RLIMIT_FSIZE",
  "RLIMIT_LOCKS",
  "RLIMIT_MEMLOCK",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_NOFILE",
  "RLIMIT_NPROC",
  "RLIMIT_RSS",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
  "RLIMIT_SIGPENDING",
  "RLIMIT_STACK",
] as const;

export const RlimitSchema = v.object({
  /** One of `RLIMIT_TYPES`, each at most once; an unknown one is a problem of the config's checks. */
  type: textLike(/^RLIMIT_[A-Z]+$/, "a resource such as RLIMIT_NOFILE"),
  /** The limit in force, in the resource's own unit; RLIM_INFINITY is 18446744073709551615. */
  soft: uint64,
  /** How far the process may raise `soft`. */
  hard: uint64,
});
export type Rlimit = v.InferOutput<typeof RlimitSchema>;

export const UserSchema = v.object({
  /** User id inside the container; 0 when absent. */
  uid: optional.id,
  /** Group id inside the container; 0 when absent. */
  gid: optional.id,
  /** File mode creation mask, in decimal: 18 is octal 022. Left as it is when absent. */
  umask: optional.uint32,
  /** Supplementary groups inside the container. */
  additionalGids: v.exactOptional(v.array(id)),
  /** For Windows only. */
  username: optional.text,
});
export type User = v.InferOutput<typeof UserSchema>;

/** The five sets of capabilities(7), each a list of `CAP_…`; unknown names are warnings. */
export const CapabilitiesSchema = v.object({
  /** What the process and its descendants can ever get from a file. */
  bounding: optional.texts,
  /** What it may switch on. */
  permitted: optional.texts,
  /** What is checked. */
  effective: optional.texts,
  /** What an execve of a file with inheritable bits keeps. */
  inheritable: optional.texts,
  /** What any execve keeps; a subset of permitted and inheritable. */
  ambient: optional.texts,
});
export type Capabilities = v.InferOutput<typeof CapabilitiesSchema>;

export const SCHEDULER_POLICIES = [
  "SCHED_OTHER",
  "SCHED_FIFO",
  "SCHED_RR",
  "SCHED_BATCH",
  "SCHED_ISO",
  "SCHED_IDLE",
  "SCHED_DEADLINE",
] as const;

export const SCHEDULER_FLAGS = [
  "SCHED_FLAG_RESET_ON_FORK",
  "SCHED_FLAG_RECLAIM",
  "SCHED_FLAG_DL_OVERRUN",
  "SCHED_FLAG_KEEP_POLICY",
  "SCHED_FLAG_KEEP_PARAMS",
  "SCHED_FLAG_UTIL_CLAMP_MIN",
  "SCHED_FLAG_UTIL_CLAMP_MAX",
] as const;

/** sched_setattr(2). */
export const SchedulerSchema = v.object({
  policy: v.picklist(SCHEDULER_POLICIES),
  /** Nice value, -20 (most favoured) to 19, for SCHED_OTHER and SCHED_BATCH. */
  nice: optional.int32,
  /** Static priority, for SCHED_FIFO and SCHED_RR. */
  priority: optional.int32,
  flags: v.exactOptional(v.array(v.picklist(SCHEDULER_FLAGS))),
  /** Nanoseconds of running per period, for SCHED_DEADLINE. */
  runtime: optional.uint64,
  /** Nanoseconds from a period's begin by which the running is done, for SCHED_DEADLINE. */
  deadline: optional.uint64,
  /** Nanoseconds of a period, for SCHED_DEADLINE. */
  period: optional.uint64,
});
export type Scheduler = v.InferOutput<typeof SchedulerSchema>;

export const IO_PRIORITY_CLASSES = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"] as const;

/** ioprio_set(2). */
export const IoPrioritySchema = v.object({
  class: v.picklist(IO_PRIORITY_CLASSES),
  /** 0 (highest) to 7 within the class; 0 when absent. */
  priority: optional.int32,
});
export type IoPriority = v.InferOutput<typeof IoPrioritySchema>;

const cpuList = textLike(/^[0-9, -]*$/, "a list of CPUs such as 0-3,7");

/** CPUs of processes that `exec` starts; lists as in cpuset(7). */
export const ExecCpuAffinitySchema = v.object({
  /** Until the process is in the container's cgroup. */
  initial: v.exactOptional(cpuList),
  /** From then on. */
  final: v.exactOptional(cpuList),
});
export type ExecCpuAffinity = v.InferOutput<typeof ExecCpuAffinitySchema>;

export const ConsoleSizeSchema = v.object({
  /** Lines. */
  height: uint64,
  /** Columns. */
  width: uint64,
});
export type ConsoleSize = v.InferOutput<typeof ConsoleSizeSchema>;

export const ProcessSchema = v.object({
  /** Give it a pseudoterminal as its three standard streams; false when absent. */
  terminal: optional.boolean,
  /** Size of that terminal in characters; ignored without one. */
  consoleSize: v.exactOptional(ConsoleSizeSchema),
  user: v.exactOptional(UserSchema),
  /** argv; the first one is looked up in the container's PATH when it has no slash. Needed to start. */
  args: optional.texts,
  /** For Windows only. */
  commandLine: optional.text,
  /** The whole environment, `NAME=value` each. */
  env: optional.texts,
  /** Working directory inside the container, absolute. */
  cwd: text,
  capabilities: v.exactOptional(CapabilitiesSchema),
  rlimits: v.exactOptional(v.array(RlimitSchema)),
  /** prctl(2) PR_SET_NO_NEW_PRIVS: execve gives no new privileges from here on. */
  noNewPrivileges: optional.boolean,
  /** Name of a loaded AppArmor profile. */
  apparmorProfile: optional.text,
  /** /proc/[pid]/oom_score_adj, whose range is -1000 to 1000; left as it is when absent. */
  oomScoreAdj: v.exactOptional(integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  /** SELinux label of the process. */
  selinuxLabel: optional.text,
  ioPriority: v.exactOptional(IoPrioritySchema),
  scheduler: v.exactOptional(SchedulerSchema),
  execCPUAffinity: v.exactOptional(ExecCpuAffinitySchema),
});
export type Process = v.InferOutput<typeof ProcessSchema>;
