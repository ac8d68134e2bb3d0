/** config-linux.md, seccomp: architectures, flags, names; listeners. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { done } from "../lab.ts";
import { program } from "../needs.ts";
import { filter, MKDIR, mkdir } from "./linux-seccomp.ts";

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

export const SECCOMP_WORD_CASES: Case[] = [...WORDS, ...LISTENER];
