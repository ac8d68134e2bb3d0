/** Rules of config.md, "Process", that a schema can't say. Places are relative to the process. */
import { describeValue, type Problem } from "./common.ts";
import { didYouMean } from "./nearest.ts";
import { numberListFault } from "./number-list.ts";
import { longPath } from "./problems.ts";
import { type Process, RLIMIT_TYPES, type Rlimit, type Scheduler } from "./process.ts";

/** capabilities(7), in the order of their numbers; the last one came with Linux 5.9. */
export const CAPABILITY_NAMES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

/** The problems of items that aren't the first of their name. */
export function duplicates(names: readonly string[], place: (index: number) => string): Problem[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    return first < index
      ? [{ at: place(index), message: `"${name}" is there already, at ${place(first)}` }]
      : [];
  });
}

/** One problem per environment entry that isn't NAME=value; `at` is the array's place. */
export function environmentProblems(env: readonly string[] | undefined, at: string): Problem[] {
  return (env ?? []).flatMap((entry, index) =>
    entry.indexOf("=") > 0
      ? []
      : [{ at: `${at}[${index}]`, message: `expected NAME=value, received ${describeValue(entry)}` }],
  );
}

/** "Process": cwd must be an absolute path. */
export function cwdIsAbsolute({ cwd }: Process): Problem[] {
  if (cwd.startsWith("/")) return longPath(cwd, "cwd");
  return [{ at: "cwd", message: `expected an absolute path, received ${describeValue(cwd)}` }];
}

/** "Process": env has the semantics of environ(7), strings of the form NAME=value. */
export function envIsNamed({ env }: Process): Problem[] {
  return environmentProblems(env, "env");
}

/** "POSIX process": rlimits may not name a resource twice. */
export function rlimitsAreDistinct({ rlimits = [] }: Process): Problem[] {
  return duplicates(
    rlimits.map(({ type }) => type),
    (index) => `rlimits[${index}].type`,
  );
}

function rlimitProblems(rlimit: Rlimit, at: string): Problem[] {
  const problems: Problem[] = [];
  if (!(RLIMIT_TYPES as readonly string[]).includes(rlimit.type)) {
    problems.push({
      at: `${at}.type`,
      message: `expected one of ${RLIMIT_TYPES.join(", ")}; received "${rlimit.type}"`,
      ...didYouMean(rlimit.type, RLIMIT_TYPES),
    });
  }
  if (rlimit.soft > rlimit.hard) {
    problems.push({ at: `${at}.soft`, message: `${rlimit.soft} is above the hard limit ${rlimit.hard}` });
  }
  return problems;
}

/** "POSIX process": a limit that can't be mapped to the kernel is an error; setrlimit(2) refuses soft above hard. */
export function rlimitsAreSettable({ rlimits = [] }: Process): Problem[] {
  return rlimits.flatMap((rlimit, index) => rlimitProblems(rlimit, `rlimits[${index}]`));
}

/** "Linux Process": a capability that the kernel doesn't know must be logged as a warning. */
export function capabilitiesAreKnown({ capabilities = {} }: Process): Problem[] {
  return Object.entries(capabilities).flatMap(([set, names]) =>
    names.flatMap((name, index) =>
      (CAPABILITY_NAMES as readonly string[]).includes(name)
        ? []
        : [
            {
              at: `capabilities.${set}[${index}]`,
              message: `unknown capability "${name}", which isn't granted`,
              ...didYouMean(name, CAPABILITY_NAMES),
            },
          ],
    ),
  );
}

/** "Linux Process": oom_score_adj must become the given value, and proc_pid_oom_score_adj(5) takes -1000 to 1000. */
export function oomScoreAdjIsInRange({ oomScoreAdj }: Process): Problem[] {
  if (oomScoreAdj === undefined || Math.abs(oomScoreAdj) <= 1000) return [];
  return [{ at: "oomScoreAdj", message: `expected an integer from -1000 to 1000, received ${oomScoreAdj}` }];
}

/** "Linux Process": the priority of ioPriority is 0 to 7. */
export function ioPriorityIsInRange({ ioPriority }: Process): Problem[] {
  const priority = ioPriority?.priority ?? 0;
  if (priority >= 0 && priority <= 7) return [];
  return [{ at: "ioPriority.priority", message: `expected an integer from 0 to 7, received ${priority}` }];
}

function policyProblem(
  scheduler: Scheduler,
  property: "priority" | "runtime" | "deadline" | "period",
  policies: readonly Scheduler["policy"][],
): Problem[] {
  if (!scheduler[property] || policies.includes(scheduler.policy)) return [];
  const message = `has a meaning only with ${policies.join(" or ")}, not with ${scheduler.policy}`;
  return [{ at: `scheduler.${property}`, message }];
}

/** "Linux Process": which properties of scheduler belong to which policy; the nice value's range is sched(7)'s. */
export function schedulerFitsPolicy({ scheduler }: Process): Problem[] {
  if (!scheduler) return [];
  const { nice = 0 } = scheduler;
  const niceProblem: Problem[] =
    nice >= -20 && nice <= 19
      ? []
      : [{ at: "scheduler.nice", message: `expected an integer from -20 to 19, received ${nice}` }];
  return [
    ...niceProblem,
    ...policyProblem(scheduler, "priority", ["SCHED_FIFO", "SCHED_RR"]),
    ...policyProblem(scheduler, "runtime", ["SCHED_DEADLINE"]),
    ...policyProblem(scheduler, "deadline", ["SCHED_DEADLINE"]),
    ...policyProblem(scheduler, "period", ["SCHED_DEADLINE"]),
  ];
}

/** Highest number of a processor: CONFIG_NR_CPUS is 8192 at most. */
const MOST_CPU = 8191;

/** "Linux Process": both lists of execCPUAffinity are CPUs. `exec` applies it; to a container's init it isn't applicable. */
export function cpuAffinityIsList({ execCPUAffinity }: Process): Problem[] {
  return (["initial", "final"] as const).flatMap((name) => {
    const message = numberListFault(execCPUAffinity?.[name] ?? "", MOST_CPU);
    return message === undefined ? [] : [{ at: `execCPUAffinity.${name}`, message }];
  });
}

export const PROCESS_CHECKS = [
  cwdIsAbsolute,
  envIsNamed,
  rlimitsAreDistinct,
  rlimitsAreSettable,
  oomScoreAdjIsInRange,
  ioPriorityIsInRange,
  schedulerFitsPolicy,
  cpuAffinityIsList,
] as const;

export const PROCESS_WARNINGS = [capabilitiesAreKnown] as const;
