/** config-linux.md, seccomp. The filtered system calls are ones that a busybox applet reports the errno of. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { done, field } from "../lab.ts";
import { program } from "../needs.ts";

const MKDIR = ["mkdir", "mkdirat"];

const filter = (syscalls: unknown, more: Record<string, unknown> = {}) => ({
  "linux.seccomp": { defaultAction: "SCMP_ACT_ALLOW", syscalls, ...more },
});

/** What `mkdir /x` ends with and says. */
async function mkdir(lab: Parameters<Case["check"]>[0], changes: Record<string, unknown>) {
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

const WORDS: Case[] = section("config-linux.md#seccomp", "MUST", "architectures, flags, names", [
  ...[
    ["SCMP_ARCH_X86_64"],
    ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
    ["SCMP_ARCH_AARCH64"],
    [],
  ].map(
    (architectures): Section => ({
      name: `architectures ${architectures.join(", ") || "empty"}`,
      async check(lab) {
        const changes = filter([{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }], { architectures });
        equal(await lab.inside(["echo", "ran"], changes), "ran\n", "output");
      },
    }),
  ),
  ...["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"].map(
    (flag): Section => ({
      name: `the flag ${flag} is accepted`,
      async check(lab) {
        const changes = filter([{ names: MKDIR, action: "SCMP_ACT_ERRNO", errnoRet: 28 }], { flags: [flag] });
        includes((await mkdir(lab, changes)).said, "No space left on device", "error");
      },
    }),
  ),
  {
    name: "a name that isn't a system call is passed over",
    level: "SHOULD",
    says: "profiles are written for many kernels: runc and crun pass over names that they don't know",
    async check(lab) {
      const changes = filter([{ names: ["no_such_call", ...MKDIR], action: "SCMP_ACT_ERRNO", errnoRet: 28 }]);
      includes((await mkdir(lab, changes)).said, "No space left on device", "error");
    },
  },
  ...(
    [
      ["an unknown action", filter([{ names: MKDIR, action: "SCMP_ACT_NOTHING" }])],
      ["an unknown default action", { "linux.seccomp": { defaultAction: "DENY" } }],
      [
        "an unknown operator",
        filter([
          { names: MKDIR, action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 1, op: "SCMP_CMP_X" }] },
        ]),
      ],
      ["an unknown architecture", filter([], { architectures: ["SCMP_ARCH_PDP11"] })],
      [
        "an unknown flag",
        filter([{ names: MKDIR, action: "SCMP_ACT_LOG" }], { flags: ["SECCOMP_FILTER_FLAG_X"] }),
      ],
      ["a rule without names", filter([{ names: [], action: "SCMP_ACT_ERRNO" }])],
      ["seccomp without defaultAction", { "linux.seccomp": { syscalls: [] } }],
    ] as [string, Record<string, unknown>][]
  ).map(
    ([name, changes]): Section => ({
      name: `${name} is an error`,
      at: name.includes("names") ? "config-linux.md#seccomp" : "config.md#valid-values",
      check: (lab) => lab.refused(changes, { by: "start" }),
    }),
  ),
  {
    name: "errnoRet with an action that has none is an error",
    says: "when the action doesn't support an errno, the runtime prints an error and fails",
    check: (lab) =>
      lab.refused(filter([{ names: MKDIR, action: "SCMP_ACT_KILL", errnoRet: 5 }]), { by: "start" }),
  },
  {
    name: "defaultErrnoRet with an action that has none is an error",
    says: "when the action doesn't support an errno, the runtime prints an error and fails",
    check: (lab) => lab.refused(filter([], { defaultErrnoRet: 5 }), { by: "start" }),
  },
  {
    name: "listenerMetadata without listenerPath is an error",
    says: "listenerMetadata is not set if listenerPath is not set",
    check: (lab) =>
      lab.refused(filter([{ names: MKDIR, action: "SCMP_ACT_LOG" }], { listenerMetadata: "x" }), {
        by: "start",
      }),
  },
]);

interface Sent {
  state: {
    ociVersion: string;
    fds: string[];
    pid: number;
    metadata?: string;
    state: { id: string; status: string; bundle: string; pid: number };
  };
  connections: number;
}

/** Runs `mkdir` under a filter that asks a listener; what the listener got, and what mkdir said. */
async function notified(lab: Parameters<Case["check"]>[0]) {
  const socket = join(lab.directory, "listener");
  const output = join(lab.directory, "listener.json");
  const listener = Bun.spawn(["python3", join(import.meta.dir, "../listener.py"), socket, output]);
  try {
    for (let i = 0; !existsSync(socket) && i < 400; i++) await Bun.sleep(5);
    const b = lab.bundle("mkdir /x 2>&1; true", {
      changes: filter([{ names: MKDIR, action: "SCMP_ACT_NOTIFY" }], {
        listenerPath: socket,
        listenerMetadata: "of the config",
      }),
    });
    const finished = await lab.run(b);
    done(finished, "run");
    await listener.exited;
    const [text = "", said = ""] = [readFileSync(output, "utf8"), finished.stdout];
    return {
      sent: JSON.parse(text.split("\n")[0] as string) as Sent["state"],
      closed: text.includes("\nclosed"),
      said,
      bundle: b,
    };
  } finally {
    listener.kill();
  }
}

const LISTENER: Case[] = section(
  "config-linux.md#the-container-process-state",
  "MUST",
  "SCMP_ACT_NOTIFY: the container process state goes to the listener's socket, with the descriptor",
  [
    {
      name: "a listener gets the descriptor and can answer",
      needs: [program("python3")],
      async check(lab) {
        includes(
          (await notified(lab)).said,
          "No medium found",
          "what mkdir said after the listener's ENOMEDIUM",
        );
      },
    },
    {
      name: "the container process state has what the spec says",
      needs: [program("python3")],
      async check(lab) {
        const { sent, bundle } = await notified(lab);
        equal(sent.fds, ["seccompFd"], "fds");
        equal(sent.metadata, "of the config", "metadata");
        holds(sent.pid > 0, `pid is ${sent.pid}`);
        holds(/^\d+\.\d+\.\d+/.test(sent.ociVersion), `ociVersion is ${sent.ociVersion}`);
        equal(sent.state.id, bundle.id, "state.id");
        equal(sent.state.bundle, bundle.directory, "state.bundle");
      },
    },
    {
      name: "the connection is closed after one state",
      says: "exactly one state per connection, which is closed after that",
      needs: [program("python3")],
      check: async (lab) => holds((await notified(lab)).closed, "the connection stayed open"),
    },
    {
      name: "a listener that isn't there is an error",
      says: "if sending to this socket fails, that is an error",
      check: (lab) =>
        lab.refused(
          filter([{ names: MKDIR, action: "SCMP_ACT_NOTIFY" }], { listenerPath: "/no/such/socket" }),
          { by: "start" },
        ),
    },
    {
      name: "listenerPath without SCMP_ACT_NOTIFY is ignored",
      async check(lab) {
        const changes = filter([{ names: MKDIR, action: "SCMP_ACT_LOG" }], {
          listenerPath: "/no/such/socket",
        });
        equal(await lab.inside(["echo", "ran"], changes), "ran\n", "output");
      },
    },
  ],
);

export const SECCOMP_CASES: Case[] = [...ACTIONS, ...OPERATORS, ...WORDS, ...LISTENER];
