/** config.md, process: rlimits, capabilities, noNewPrivileges. */
import { type Case, equal, includes, type Section, section } from "../case.ts";
import { done, field, processFile } from "../lab.ts";
import * as needs from "../needs.ts";

/** Names in /proc/PID/limits. */
export const LIMITS: Record<string, string> = {
  RLIMIT_AS: "Max address space",
  RLIMIT_CORE: "Max core file size",
  RLIMIT_CPU: "Max cpu time",
  RLIMIT_DATA: "Max data size",
  RLIMIT_FSIZE: "Max file size",
  RLIMIT_LOCKS: "Max file locks",
  RLIMIT_MEMLOCK: "Max locked memory",
  RLIMIT_MSGQUEUE: "Max msgqueue size",
  RLIMIT_NICE: "Max nice priority",
  RLIMIT_NOFILE: "Max open files",
  RLIMIT_NPROC: "Max processes",
  RLIMIT_RSS: "Max resident set",
  RLIMIT_RTPRIO: "Max realtime priority",
  RLIMIT_RTTIME: "Max realtime timeout",
  RLIMIT_SIGPENDING: "Max pending signals",
  RLIMIT_STACK: "Max stack size",
};

function limit(text: string, type: string): { soft: string; hard: string } {
  const row = text.split("\n").find((line) => line.startsWith(LIMITS[type] as string)) ?? "";
  const [soft = "", hard = ""] = row.slice(26).trim().split(/\s+/);
  return { soft, hard };
}

/** Values below what this process has: root without CAP_SYS_RESOURCE can't raise. */
function lower(type: string): { soft: number; hard: number } {
  const { hard } = limit(processFile(process.pid, "limits"), type);
  if (hard === "unlimited") return { soft: 900_000_000, hard: 1_000_000_000 };
  const most = Number(hard);
  return { soft: Math.floor(most / 2), hard: most };
}

const RLIMITS: Case[] = section(
  "config.md#posix-process",
  "MUST",
  "for each entry of rlimits, getrlimit gives soft and hard as configured",
  [
    ...Object.keys(LIMITS).map(
      (type): Section => ({
        name: `${type} is as configured`,
        async check(lab) {
          const { soft, hard } = lower(type);
          const seen = await lab.inside(["cat", "/proc/self/limits"], {
            "process.rlimits": [{ type, soft, hard }],
          });
          equal(limit(seen, type), { soft: `${soft}`, hard: `${hard}` }, "limits");
        },
      }),
    ),
    {
      name: "a limit of the largest number is unlimited",
      async check(lab) {
        const text = '{"type":"RLIMIT_FSIZE","soft":18446744073709551615,"hard":18446744073709551615}';
        const b = lab.bundle(["cat", "/proc/self/limits"], {
          changes: { "process.rlimits": ["HERE"] },
          text: (config) => JSON.stringify(config).replace('"HERE"', text),
        });
        const { stdout } = done(await lab.run(b), "run");
        equal(limit(stdout, "RLIMIT_FSIZE"), { soft: "unlimited", hard: "unlimited" }, "limits");
      },
    },
    {
      name: "several limits at once",
      async check(lab) {
        const types = ["RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_STACK"];
        const rlimits = types.map((type, i) => ({ type, soft: 100 + i, hard: 200 + i }));
        // A stack of less than a page or two would kill the program.
        rlimits[2] = { type: "RLIMIT_STACK", soft: 1_048_576, hard: 2_097_152 };
        const seen = await lab.inside(["cat", "/proc/self/limits"], { "process.rlimits": rlimits });
        for (const { type, soft, hard } of rlimits)
          equal(limit(seen, type), { soft: `${soft}`, hard: `${hard}` }, type);
      },
    },
    {
      name: "a limit that isn't configured is the runtime's own",
      level: "SHOULD",
      async check(lab) {
        const b = lab.bundle(["cat", "/proc/self/limits"]);
        const before = ["sh", "-c", 'ulimit -S -n 333; "$@"', "sh"];
        const { stdout } = done(await lab.run(b, [], { before }), "run");
        equal(limit(stdout, "RLIMIT_NOFILE").soft, "333", "soft limit of open files");
      },
    },
    {
      name: "an unknown type is an error",
      says: "values that can't be mapped to a kernel interface are an error",
      check: (lab) =>
        lab.refused({ "process.rlimits": [{ type: "RLIMIT_TEST", soft: 1, hard: 1 }] }, { by: "start" }),
    },
    {
      name: "a type without RLIMIT_ is an error",
      check: (lab) =>
        lab.refused({ "process.rlimits": [{ type: "NOFILE", soft: 1, hard: 1 }] }, { by: "start" }),
    },
    {
      name: "two entries of one type are an error",
      says: "duplicate entries of one type are an error",
      check: (lab) =>
        lab.refused(
          {
            "process.rlimits": [
              { type: "RLIMIT_NOFILE", soft: 64, hard: 64 },
              { type: "RLIMIT_NOFILE", soft: 128, hard: 128 },
            ],
          },
          { by: "start" },
        ),
    },
    {
      name: "a soft limit above the hard one is an error",
      check: (lab) =>
        lab.refused({ "process.rlimits": [{ type: "RLIMIT_NOFILE", soft: 128, hard: 64 }] }, { by: "start" }),
    },
    {
      name: "an entry without hard is an error",
      check: (lab) =>
        lab.refused({ "process.rlimits": [{ type: "RLIMIT_NOFILE", soft: 64 }] }, { by: "start" }),
    },
  ],
);

const SETS = {
  effective: "CapEff",
  bounding: "CapBnd",
  inheritable: "CapInh",
  permitted: "CapPrm",
  ambient: "CapAmb",
};

/** Numbers of linux/capability.h. */
const NUMBERS = { CAP_CHOWN: 0, CAP_KILL: 5, CAP_SETUID: 7, CAP_NET_BIND_SERVICE: 10, CAP_AUDIT_WRITE: 29 };

type Name = keyof typeof NUMBERS;

const bits = (names: readonly Name[]) =>
  names
    .reduce((set, name) => set | (1n << BigInt(NUMBERS[name])), 0n)
    .toString(16)
    .padStart(16, "0");

function capabilitySets(
  name: string,
  capabilities: Record<string, Name[]>,
  more: Record<string, unknown> = {},
): Section {
  return {
    name,
    async check(lab) {
      const status = await lab.inside(["cat", "/proc/self/status"], {
        "process.capabilities": capabilities,
        ...more,
      });
      for (const [set, line] of Object.entries(SETS))
        equal(field(status, line), bits(capabilities[set] ?? []), set);
    },
  };
}

const ALL: Name[] = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const user = { "process.user": { uid: 1000, gid: 1000 } };

const CAPABILITIES: Case[] = section(
  "config.md#linux-process",
  "MUST",
  "capabilities: the five sets of the process",
  [
    capabilitySets("root: all sets alike", {
      effective: ALL,
      bounding: ALL,
      inheritable: ALL,
      permitted: ALL,
      ambient: ALL,
    }),
    capabilitySets("root: the bounding, permitted and effective sets", {
      effective: ALL,
      bounding: ALL,
      permitted: ALL,
    }),
    capabilitySets("root: empty sets", {
      effective: [],
      bounding: [],
      inheritable: [],
      permitted: [],
      ambient: [],
    }),
    capabilitySets(
      "another user: ambient capabilities are permitted and effective",
      { effective: ALL, bounding: ALL, inheritable: ALL, permitted: ALL, ambient: ALL },
      user,
    ),
    capabilitySets("another user: a larger bounding set", { bounding: ALL }, user),
    capabilitySets(
      "another user: one ambient capability of several inheritable ones",
      {
        bounding: ALL,
        inheritable: ALL,
        permitted: ["CAP_KILL"],
        effective: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      },
      user,
    ),
    {
      name: "a capability that isn't given can't be used",
      async check(lab) {
        const seen = await lab.inside("chown 5 /tmp 2>&1; true");
        includes(seen, "Operation not permitted", "output");
      },
    },
    {
      name: "a capability that is given can be used",
      async check(lab) {
        const names = ["CAP_CHOWN"];
        await lab.inside("chown 5 /tmp", {
          "process.capabilities": { bounding: names, effective: names, permitted: names },
        });
      },
    },
    {
      name: "an unknown capability is told as a warning, and the container runs",
      says: "what can't be mapped or granted is logged as a warning; the runtime should not fail for it",
      differs: { crun: "1.8 is silent about it" },
      async check(lab) {
        const log = `${lab.directory}/log`;
        const b = lab.bundle(["echo", "ran"], {
          changes: {
            "process.capabilities": {
              bounding: ["CAP_TEST"],
              effective: ["CAP_TEST"],
              permitted: ["CAP_TEST"],
            },
          },
        });
        const finished = done(await lab.run(b, [], { globals: ["--log", log] }), "run");
        equal(finished.stdout, "ran\n", "output");
        const told = finished.stderr + ((await Bun.file(log).exists()) ? await Bun.file(log).text() : "");
        includes(told, "CAP_TEST", "the warning");
      },
    },
    {
      name: "a capability that can't be granted is no reason to fail",
      level: "SHOULD",
      says: "the runtime should not fail for capabilities that can't be granted",
      needs: [needs.lacks(needs.capability("CAP_SYS_RESOURCE", 24))],
      async check(lab) {
        const names = ["CAP_KILL", "CAP_SYS_RESOURCE"];
        const seen = await lab.inside(["cat", "/proc/self/status"], {
          "process.capabilities": { bounding: names, effective: names, permitted: names },
        });
        equal(field(seen, "CapEff"), bits(["CAP_KILL"]), "effective");
      },
    },
  ],
);

const NEW_PRIVILEGES: Case[] = section(
  "config.md#linux-process",
  "MUST",
  "noNewPrivileges keeps the process from gaining privileges",
  [
    ...(
      [
        ["true", true, "1"],
        ["false", false, "0"],
        ["absent", undefined, "0"],
      ] as const
    ).map(
      ([word, value, expected]): Section => ({
        name: `noNewPrivileges ${word}`,
        async check(lab) {
          const status = await lab.inside(["cat", "/proc/self/status"], { "process.noNewPrivileges": value });
          equal(field(status, "NoNewPrivs"), expected, "NoNewPrivs");
        },
      }),
    ),
  ],
);

export const LIMIT_CASES: Case[] = [...RLIMITS, ...CAPABILITIES, ...NEW_PRIVILEGES];
