/** config.md, process: args, env, cwd. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATH } from "../base.ts";
import { type Case, equal, holds, includes, section } from "../case.ts";
import { done } from "../lab.ts";

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

export const PROCESS_CASES: Case[] = [...PROCESS, ...ARGS, ...ENV, ...CWD];
