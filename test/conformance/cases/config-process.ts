/** config.md, process: args, env, cwd, terminal, user. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATH } from "../base.ts";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { done, field } from "../lab.ts";

const ARGS: Case[] = section(
  "config.md#process",
  "MUST",
  "args has the semantics of execvp's argv, its first entry those of execvp's file",
  [
    {
      name: "arguments arrive as they are, white space and all",
      async check(lab) {
        const args = [
          "sh",
          "-c",
          'for a; do echo "<$a>"; done',
          "sh",
          "a b",
          "",
          "$HOME",
          "new\nline",
          "*",
          "-x",
        ];
        equal(await lab.inside(args), "<a b>\n<>\n<$HOME>\n<new\nline>\n<*>\n<-x>\n", "output");
      },
    },
    {
      name: "argv[0] is args[0] as it stands",
      async check(lab) {
        equal(await lab.inside(["cat", "/proc/self/cmdline"]), "cat\0/proc/self/cmdline\0", "a name");
        equal(
          await lab.inside(["/bin/cat", "/proc/self/cmdline"]),
          "/bin/cat\0/proc/self/cmdline\0",
          "an absolute path",
        );
      },
    },
    {
      name: "a name without / is looked for in PATH of process.env, in its order",
      async check(lab) {
        const seen = await lab.inside(
          ["which-one"],
          { "process.env": ["PATH=/none:/first:/second"] },
          {
            fill({ rootfs }) {
              for (const name of ["first", "second"]) {
                mkdirSync(join(rootfs, name));
                writeFileSync(join(rootfs, name, "which-one"), `#!/bin/sh\necho ${name}\n`, { mode: 0o755 });
              }
            },
          },
        );
        equal(seen, "first\n", "the program that ran");
      },
    },
    {
      name: "a file in PATH that isn't executable is passed over",
      async check(lab) {
        const seen = await lab.inside(
          ["which-one"],
          { "process.env": ["PATH=/first:/second"] },
          {
            fill({ rootfs }) {
              for (const [name, mode] of [
                ["first", 0o644],
                ["second", 0o755],
              ] as const) {
                mkdirSync(join(rootfs, name));
                writeFileSync(join(rootfs, name, "which-one"), `#!/bin/sh\necho ${name}\n`, { mode });
              }
            },
          },
        );
        equal(seen, "second\n", "the program that ran");
      },
    },
    {
      name: "a name with / is a path and isn't looked for in PATH",
      async check(lab) {
        equal(await lab.inside(["./echo", "ran"], { "process.cwd": "/bin" }), "ran\n", "output");
      },
    },
    {
      name: "a path with / inside is relative to cwd",
      async check(lab) {
        equal(await lab.inside(["bin/echo", "ran"]), "ran\n", "output");
      },
    },
    {
      name: "a program that isn't there is an error",
      check: (lab) => lab.refused({ "process.args": ["no-such-program"] }, { by: "start" }),
    },
    {
      name: "an absolute path where nothing is is an error",
      check: (lab) => lab.refused({ "process.args": ["/no/such/program"] }, { by: "start" }),
    },
    {
      name: "a program that isn't executable is an error",
      check: (lab) =>
        lab.refused(
          { "process.args": ["/file"] },
          {
            by: "start",
            fill: ({ rootfs }) => writeFileSync(join(rootfs, "file"), "#!/bin/sh\n", { mode: 0o644 }),
          },
        ),
    },
    {
      name: "a directory as the program is an error",
      check: (lab) => lab.refused({ "process.args": ["/bin"] }, { by: "start" }),
    },
    {
      name: "empty args are an error",
      says: "at least one entry is required",
      check: (lab) => lab.refused({ "process.args": [] }, { by: "start" }),
    },
    {
      name: "missing args are an error",
      says: "at least one entry is required",
      check: (lab) => lab.refused({ "process.args": undefined }, { by: "start" }),
    },
    {
      name: "a script with an interpreter runs",
      async check(lab) {
        const seen = await lab.inside(
          ["/script", "word"],
          {},
          {
            fill: ({ rootfs }) =>
              writeFileSync(join(rootfs, "script"), "#!/bin/sh\necho $0 $1\n", { mode: 0o755 }),
          },
        );
        equal(seen, "/script word\n", "output");
      },
    },
    {
      name: "the program's exit status is its own",
      level: "SHOULD",
      at: "runtime.md#lifecycle",
      async check(lab) {
        equal((await lab.run(lab.bundle("exit 7"))).status, 7, "exit status of run");
      },
    },
  ],
);

const ENV: Case[] = section("config.md#process", "MUST", "env has the semantics of environ", [
  {
    name: "the environment is that of the config and nothing else",
    async check(lab) {
      const env = [`PATH=${PATH}`, "ONE=1", "EMPTY=", "WORDS=a b = c", "lower=x"];
      const b = lab.bundle(["env"], { changes: { "process.env": env, "process.user.uid": 0 } });
      const finished = done(await lab.run(b, [], { env: { PATH, LEAK: "x", HOME: "/leak" } }), "run");
      // HOME is the one name that runc and crun add when the config hasn't it.
      const seen = finished.stdout
        .trimEnd()
        .split("\n")
        .filter((line) => !/^HOME=\/(root)?$/.test(line));
      equal(seen.sort(), [...env].sort(), "environment");
    },
  },
  {
    name: "HOME of the config stays",
    async check(lab) {
      includes(
        await lab.inside(["env"], { "process.env.+": ["HOME=/elsewhere"] }),
        "HOME=/elsewhere\n",
        "environment",
      );
    },
  },
  {
    name: "without env the program still runs",
    check: (lab) => lab.inside(["/bin/true"], { "process.env": undefined }),
  },
  {
    name: "a large environment arrives whole",
    async check(lab) {
      const seen = await lab.inside('printf %s "$BIG" | wc -c', {
        "process.env.+": [`BIG=${"x".repeat(100_000)}`],
      });
      equal(seen, "100000\n", "length");
    },
  },
]);

const CWD: Case[] = section("config.md#process", "MUST", "cwd is the working directory, an absolute path", [
  {
    name: "the program begins in cwd",
    async check(lab) {
      equal(await lab.inside(["pwd"], { "process.cwd": "/tmp" }), "/tmp\n", "cwd");
    },
  },
  {
    name: "cwd through a mount of the config",
    async check(lab) {
      equal(await lab.inside(["pwd"], { "process.cwd": "/dev/shm" }), "/dev/shm\n", "cwd");
    },
  },
  {
    name: "a cwd that isn't there is made",
    level: "SHOULD",
    says: "runc and crun make it, and engines rely on that",
    async check(lab) {
      equal(await lab.inside(["pwd"], { "process.cwd": "/not/there" }), "/not/there\n", "cwd");
    },
  },
  {
    name: "a relative cwd is an error",
    check: (lab) => lab.refused({ "process.cwd": "tmp" }, { by: "start" }),
  },
  { name: "an empty cwd is an error", check: (lab) => lab.refused({ "process.cwd": "" }, { by: "start" }) },
  {
    name: "a missing cwd is an error",
    check: (lab) => lab.refused({ "process.cwd": undefined }, { by: "start" }),
  },
  {
    name: "a cwd that is a file is an error",
    check: (lab) => lab.refused({ "process.cwd": "/bin/busybox" }, { by: "start" }),
  },
]);

const PROCESS: Case[] = section("config.md#process", "MUST", "process is required when start is called", [
  {
    name: "a config without process can't be started",
    async check(lab) {
      const b = lab.bundle(["true"], { changes: { process: undefined } });
      if ((await lab.create(b)).status !== 0) return;
      holds((await lab.start(b)).status !== 0, "start succeeded without a process");
    },
  },
  {
    name: "a config without process can be created",
    says: "process is optional",
    level: "SHOULD",
    differs: {
      kontena:
        "wants process at create, as runc and crun do: the waiting init is planned for its program's user",
      runc: "wants process at create",
      crun: "wants process at create",
    },
    async check(lab) {
      const b = lab.bundle(["true"], { changes: { process: undefined } });
      done(await lab.create(b), "create");
      equal((await lab.state(b)).status, "created", "status");
    },
  },
]);

const USER: Case[] = [
  ...section(
    "config.md#posix-platform-user",
    "MUST",
    "user: ids of the process in the container's user namespace",
    [
      {
        name: "uid and gid are the program's",
        async check(lab) {
          const status = await lab.inside(["cat", "/proc/self/status"], {
            "process.user": { uid: 1234, gid: 5678 },
          });
          equal(field(status, "Uid"), "1234\t1234\t1234\t1234", "uids");
          equal(field(status, "Gid"), "5678\t5678\t5678\t5678", "gids");
        },
      },
      {
        name: "additionalGids are the program's supplementary groups",
        async check(lab) {
          const status = await lab.inside(["cat", "/proc/self/status"], {
            "process.user": { uid: 1, gid: 1, additionalGids: [5, 6, 70_000] },
          });
          const groups = field(status, "Groups").split(" ").map(Number);
          equal(
            groups.filter((gid) => gid !== 1).sort((a, b) => a - b),
            [5, 6, 70_000],
            "groups",
          );
        },
      },
      {
        name: "without additionalGids none of the runtime's groups stay",
        async check(lab) {
          const b = lab.bundle(["cat", "/proc/self/status"], {
            changes: { "process.user": { uid: 1, gid: 1 } },
          });
          const before = ["setpriv", "--groups", "40,50", "--"];
          const finished = done(await lab.run(b, [], { before }), "run");
          equal(field(finished.stdout, "Groups").replace(/^1$/, ""), "", "groups");
        },
      },
      {
        name: "umask is the program's",
        async check(lab) {
          equal(await lab.inside("umask", { "process.user.umask": 0o27 }), "0027\n", "umask");
          equal(await lab.inside("umask", { "process.user.umask": 0 }), "0000\n", "umask");
        },
      },
      {
        name: "a umask of 077 makes files that are the user's alone",
        async check(lab) {
          const seen = await lab.inside("touch /tmp/f; stat -c %a /tmp/f", { "process.user.umask": 0o77 });
          equal(seen, "600\n", "mode");
        },
      },
      {
        name: "without umask that of the calling process stays",
        level: "SHOULD",
        says: "if umask is unspecified, that of the calling process should not be changed",
        differs: {
          runc: "always 0022",
          crun: "always 0022",
        },
        async check(lab) {
          const b = lab.bundle("umask");
          const before = ["sh", "-c", 'umask 037; exec "$@"', "sh"];
          equal(done(await lab.run(b, [], { before }), "run").stdout, "0037\n", "umask");
        },
      },
      {
        name: "a user other than root can use the standard streams",
        level: "SHOULD",
        async check(lab) {
          const changes = { "process.user": { uid: 1000, gid: 1000 } };
          equal(await lab.inside("echo one; echo two >> /dev/stdout", changes), "one\ntwo\n", "output");
        },
      },
    ],
  ),
];

const TERMINAL: Case[] = [
  ...section("config.md#process", "MUST", "terminal: whether a terminal is attached to the process", [
    {
      name: "without terminal the standard streams are the runtime's",
      async check(lab) {
        const b = lab.bundle("tty; cat", { changes: { "process.terminal": false } });
        equal((await lab.run(b, [], { stdin: "given\n" })).stdout, "not a tty\ngiven\n", "output");
      },
    },
    {
      name: "consoleSize without terminal is ignored",
      says: "consoleSize is ignored if terminal is false or unset",
      check: (lab) => lab.inside(["true"], { "process.consoleSize": { height: 10, width: 20 } }),
    },
    {
      name: "terminal with create and without a console socket is refused",
      level: "SHOULD",
      check: (lab) => lab.refused({ "process.terminal": true }),
    },
    ...TERMINALS(),
  ]),
];

function TERMINALS(): Section[] {
  const python = { name: "the program python3", there: () => Bun.which("python3") !== null };
  const inTerminal = (
    name: string,
    script: string,
    changes: Record<string, unknown>,
    check: (seen: string) => void,
  ): Section => ({
    name,
    needs: [python],
    async check(lab) {
      const socket = join(lab.directory, "console");
      const text = join(lab.directory, "console.out");
      const receiver = Bun.spawn(["python3", join(import.meta.dir, "../console.py"), socket, text]);
      try {
        for (let i = 0; !existsSync(socket) && i < 400; i++) await Bun.sleep(5);
        const b = lab.bundle(script, { changes: { "process.terminal": true, ...changes } });
        done(await lab.create(b, ["--console-socket", socket]), "create");
        done(await lab.start(b), "start");
        await lab.reaches(b, "stopped");
        await receiver.exited;
        check(readFileSync(text, "utf8").replaceAll("\r\n", "\n"));
      } finally {
        receiver.kill();
      }
    },
  });
  return [
    inTerminal(
      "terminal gives the program a terminal on all three streams",
      "tty; tty <&1; tty <&2",
      {},
      (seen) => {
        const names = seen.trim().split("\n");
        equal(new Set(names).size, 1, `names of ${names}`);
        holds(
          names.length === 3 && /^\/dev\/(pts\/\d+|console)$/.test(names[0] as string),
          `terminals ${names}`,
        );
      },
    ),
    inTerminal(
      "consoleSize is the terminal's size",
      "stty size",
      { "process.consoleSize": { height: 31, width: 97 } },
      (seen) => equal(seen, "31 97\n", "rows and columns"),
    ),
    inTerminal("the terminal is the program's controlling one", "echo seen > /dev/tty", {}, (seen) =>
      equal(seen, "seen\n", "output"),
    ),
    inTerminal(
      "the terminal is another user's own",
      "echo seen >> /dev/stdout; stat -L -c %u /dev/stdin",
      { "process.user": { uid: 1000, gid: 1000 } },
      (seen) => equal(seen, "seen\n1000\n", "output"),
    ),
    {
      ...inTerminal(
        "/dev/console is the terminal",
        "echo seen > /dev/console; stat -c %F /dev/console; stat -c '%t:%T' /dev/console /proc/self/fd/0",
        {},
        (seen) => {
          const [written, kind] = seen.split("\n");
          equal([written, kind], ["seen", "character special file"], "console");
        },
      ),
      at: "config-linux.md#default-devices",
      says: "/dev/console is set up if terminal is enabled",
    },
  ];
}

export const PROCESS_CASES: Case[] = [...PROCESS, ...ARGS, ...ENV, ...CWD, ...USER, ...TERMINAL];
export const executable = (path: string, text: string) => {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
};
