/** config-linux.md, seccomp. The filtered system calls are ones that a busybox applet reports the errno of. */
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { field } from "../lab.ts";

export const MKDIR = ["mkdir", "mkdirat"];

export const filter = (syscalls: unknown, more: Record<string, unknown> = {}) => ({
  "linux.seccomp": { defaultAction: "SCMP_ACT_ALLOW", syscalls, ...more },
});

/** What `mkdir /x` ends with and says. */
export async function mkdir(lab: Parameters<Case["check"]>[0], changes: Record<string, unknown>) {
  const finished = await lab.run(lab.bundle(["mkdir", "/x"], { changes }));
  return { status: finished.status, said: finished.stderr.trim() };
}

const ACTIONS: Case[] = section("config-linux.md#seccomp", "MUST", "actions of seccomp rules", [
  {
    name: "without seccomp there is no filter",
    async check(lab) {
      equal(field(await lab.inside(["cat", "/proc/self/status"]), "Seccomp"), "0", "Seccomp");
    },
  },
  {
    name: "with seccomp the program has a filter, and its children too",
    async check(lab) {
      const seen = await lab.inside(
        "cat /proc/1/status; (cat /proc/self/status)",
        filter([{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }]),
      );
      equal(seen.match(/^Seccomp:\t2$/gm)?.length, 2, "filtered processes");
    },
  },
  {
    name: "SCMP_ACT_ERRNO returns EPERM by default",
    says: "errnoRet defaults to EPERM",
    async check(lab) {
      const { status, said } = await mkdir(lab, filter([{ names: MKDIR, action: "SCMP_ACT_ERRNO" }]));
      equal(status, 1, "exit status");
      includes(said, "Operation not permitted", "error");
    },
  },
  {
    name: "SCMP_ACT_ERRNO returns errnoRet",
    async check(lab) {
      const { said } = await mkdir(lab, filter([{ names: MKDIR, action: "SCMP_ACT_ERRNO", errnoRet: 28 }]));
      includes(said, "No space left on device", "error");
    },
  },
  ...["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"].map(
    (action): Section => ({
      name: `${action} ends the program by SIGSYS`,
      async check(lab) {
        const { status, said } = await mkdir(lab, filter([{ names: MKDIR, action }]));
        holds(status === 128 + 31, `exit status ${status}: ${said}`);
      },
    }),
  ),
  ...["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"].map(
    (action): Section => ({
      name: `${action} lets the call through`,
      async check(lab) {
        equal(await mkdir(lab, filter([{ names: MKDIR, action }])), { status: 0, said: "" }, "mkdir");
      },
    }),
  ),
  {
    name: "SCMP_ACT_TRACE without a tracer is ENOSYS",
    async check(lab) {
      const { said } = await mkdir(lab, filter([{ names: MKDIR, action: "SCMP_ACT_TRACE" }]));
      includes(said, "Function not implemented", "error");
    },
  },
  {
    name: "defaultAction SCMP_ACT_ERRNO with a list of what is allowed",
    async check(lab) {
      const changes = {
        "linux.seccomp": {
          defaultAction: "SCMP_ACT_ERRNO",
          syscalls: [{ names: ALLOWED, action: "SCMP_ACT_ALLOW" }],
        },
      };
      equal(
        await lab.inside("echo ran; mkdir /x 2>&1; true", changes),
        "ran\nmkdir: can't create directory '/x': Operation not permitted\n",
        "output",
      );
    },
  },
  {
    name: "defaultErrnoRet is the errno of defaultAction",
    async check(lab) {
      const changes = {
        "linux.seccomp": {
          defaultAction: "SCMP_ACT_ERRNO",
          defaultErrnoRet: 28,
          syscalls: [{ names: ALLOWED, action: "SCMP_ACT_ALLOW" }],
        },
      };
      includes(await lab.inside("mkdir /x 2>&1; true", changes), "No space left on device", "output");
    },
  },
  ...[true, false].map(
    (value): Section => ({
      name: `with noNewPrivileges ${value} and another user`,
      async check(lab) {
        const seen = await lab.inside("cat /proc/self/status; mkdir /tmp/x 2>&1; true", {
          ...filter([{ names: MKDIR, action: "SCMP_ACT_ERRNO", errnoRet: 28 }]),
          "process.noNewPrivileges": value,
          "process.user": { uid: 1000, gid: 1000 },
        });
        equal([field(seen, "Seccomp"), field(seen, "NoNewPrivs")], ["2", value ? "1" : "0"], "status");
        includes(seen, "No space left on device", "output");
      },
    }),
  ),
]);

/** What a shell and its applets need; without mkdir. */
const ALLOWED =
  "read write writev readv open openat openat2 close stat fstat lstat newfstatat statx poll ppoll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl pread64 access faccessat faccessat2 pipe pipe2 dup dup2 dup3 getpid getppid gettid clone clone3 fork vfork execve execveat exit exit_group wait4 waitid kill tgkill uname fcntl getcwd chdir fchdir readlink readlinkat umask getuid geteuid getgid getegid getpgrp setpgid getgroups setgroups setuid setgid setresuid setresgid getresuid getresgid capget capset prctl arch_prctl set_tid_address set_robust_list futex nanosleep clock_nanosleep clock_gettime getrlimit setrlimit prlimit64 getrandom rseq sched_getaffinity sched_yield sigaltstack madvise epoll_create1 epoll_ctl epoll_pwait eventfd2 getdents64 statfs fstatfs close_range seccomp sendmsg sendto recvmsg recvfrom socket connect socketpair setsid getsid tkill rt_sigtimedwait timer_create timer_settime keyctl".split(
    " ",
  );

/** `renice N PID` calls setpriority(PRIO_PROCESS, PID, N): its third argument is the case's own. */
const reniced = (values: number[]) =>
  `for n in ${values.join(" ")}; do sleep 9 & renice $n $! 2>/dev/null && echo "$n ran" || echo "$n denied"; done`;

const compared = (
  op: string,
  rule: Record<string, unknown>,
  denied: number[],
  allowed: number[],
): Section => ({
  name: `${op} of an argument`,
  says: "operators on the arguments of a system call",
  async check(lab) {
    const syscalls = [
      { names: ["setpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 28, args: [{ index: 2, op, ...rule }] },
    ];
    const all = [...denied, ...allowed];
    const expected = [...denied.map((n) => `${n} denied`), ...allowed.map((n) => `${n} ran`)].join("\n");
    equal(await lab.inside(reniced(all), filter(syscalls)), `${expected}\n`, "what was denied");
  },
});

const OPERATORS: Case[] = section("config-linux.md#seccomp", "MUST", "operators of seccomp arguments", [
  compared("SCMP_CMP_NE", { value: 5 }, [4, 6], [5]),
  compared("SCMP_CMP_LT", { value: 5 }, [3, 4], [5, 6]),
  compared("SCMP_CMP_LE", { value: 5 }, [4, 5], [6, 7]),
  compared("SCMP_CMP_EQ", { value: 5 }, [5], [4, 6]),
  compared("SCMP_CMP_GE", { value: 5 }, [5, 6], [3, 4]),
  compared("SCMP_CMP_GT", { value: 5 }, [6, 7], [4, 5]),
  compared("SCMP_CMP_MASKED_EQ", { value: 12, valueTwo: 8 }, [8, 9, 11], [3, 7, 12]),
  {
    name: "several arguments of a rule must all match",
    async check(lab) {
      const args = [
        { index: 0, value: 0, op: "SCMP_CMP_EQ" },
        { index: 2, value: 5, op: "SCMP_CMP_EQ" },
      ];
      const syscalls = [{ names: ["setpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 28, args }];
      const seen = await lab.inside(reniced([4, 5]), filter(syscalls));
      equal(seen, "4 ran\n5 denied\n", "output");
    },
  },
  {
    name: "two rules for one system call: either may match",
    async check(lab) {
      const syscalls = [4, 6].map((value) => ({
        names: ["setpriority"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 28,
        args: [{ index: 2, value, op: "SCMP_CMP_EQ" }],
      }));
      const seen = await lab.inside(reniced([4, 5, 6]), filter(syscalls));
      equal(seen, "4 denied\n5 ran\n6 denied\n", "output");
    },
  },
]);

export const SECCOMP_CASES: Case[] = [...ACTIONS, ...OPERATORS];
