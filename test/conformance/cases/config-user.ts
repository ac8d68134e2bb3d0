/** config.md, process: user, terminal. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { done, field } from "../lab.ts";

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
    ...terminals(),
  ]),
];

function terminals(): Section[] {
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

export const USER_CASES: Case[] = [...USER, ...TERMINAL];
