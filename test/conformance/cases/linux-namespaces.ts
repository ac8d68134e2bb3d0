/** config-linux.md: default file systems; namespaces that are new, inherited, joined. */

import { readlinkSync } from "node:fs";
import { namespaces } from "../base.ts";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { holder } from "../holder.ts";
import { done, mountAt } from "../lab.ts";
import * as needs from "../needs.ts";

/** Types, and their names in /proc/PID/ns. */
const FILES = {
  pid: "pid",
  network: "net",
  mount: "mnt",
  ipc: "ipc",
  uts: "uts",
  user: "user",
  cgroup: "cgroup",
  time: "time",
};

type Type = keyof typeof FILES;

const TYPES = Object.keys(FILES) as Type[];

const own = (type: Type) => readlinkSync(`/proc/self/ns/${FILES[type]}`);

const of = (pid: number, type: Type) => readlinkSync(`/proc/${pid}/ns/${FILES[type]}`);

export const need = (type: Type) => ({ needs: [needs.namespace(FILES[type])] });

export const TIME_OLD = { runc: "1.1 is older than time namespaces (runtime-spec 1.1)" };

export const MAPPINGS = {
  "linux.uidMappings": [{ containerID: 0, hostID: 200_000, size: 65_536 }],
  "linux.gidMappings": [{ containerID: 0, hostID: 300_000, size: 65_536 }],
};

/** A config with one more new namespace, and what that one needs. */
export const withNew = (type: Type) => ({
  "linux.namespaces": namespaces({ [type]: "" }),
  ...(type === "user" ? MAPPINGS : {}),
});

const FILE_SYSTEMS: Case[] = section(
  "config-linux.md#default-filesystems",
  "SHOULD",
  "/proc, /sys, /dev/pts and /dev/shm are there",
  [
    ...(
      [
        ["/proc", "proc"],
        ["/sys", "sysfs"],
        ["/dev/pts", "devpts"],
        ["/dev/shm", "tmpfs"],
      ] as const
    ).map(
      ([path, type]): Section => ({
        name: `${path} is a ${type} when the config has it`,
        async check(lab) {
          equal(mountAt(await lab.inside(["cat", "/proc/self/mountinfo"]), path).type, type, "type");
        },
      }),
    ),
  ],
);

const NEW: Case[] = section(
  "config-linux.md#namespaces",
  "MUST",
  "without path a new namespace of the type is made",
  [
    ...TYPES.map(
      (type): Section => ({
        name: `a new ${type} namespace`,
        ...need(type),
        ...(type === "time"
          ? { differs: { ...TIME_OLD, crun: "1.8 puts only the program's children in it" } }
          : {}),
        async check(lab) {
          const b = await lab.started(["sleep", "60"], { changes: withNew(type) });
          holds(of(b.pid, type) !== own(type), `the ${type} namespace is the runtime's`);
        },
      }),
    ),
    {
      name: "all of them at once",
      differs: TIME_OLD,
      async check(lab) {
        const changes = { ...MAPPINGS, "linux.namespaces": TYPES.map((type) => ({ type })) };
        const b = await lab.started(["sleep", "60"], { changes });
        equal(
          TYPES.filter((type) => of(b.pid, type) === own(type)),
          [],
          "namespaces that are the runtime's",
        );
      },
    },
    {
      name: "in a new pid namespace the program is process 1",
      check: async (lab) => equal(await lab.inside("echo $$"), "1\n", "pid"),
    },
    {
      name: "a new network namespace has nothing but lo",
      async check(lab) {
        equal(
          await lab.inside(
            "ls /sys/class/net | grep -v -e tunl -e sit -e ip6 -e gre -e erspan -e bonding -e dummy -e vti",
          ),
          "lo\n",
          "interfaces",
        );
      },
    },
    {
      name: "in a new cgroup namespace the container's cgroup is the root",
      ...need("cgroup"),
      async check(lab) {
        const seen = await lab.inside(["cat", "/proc/self/cgroup"], withNew("cgroup"));
        const paths = seen
          .trim()
          .split("\n")
          .map((line) => line.split(":").slice(2).join(":"));
        equal([...new Set(paths)], ["/"], "cgroup paths");
      },
    },
    {
      name: "an ipc namespace isn't the host's: message queues of the host aren't seen",
      async check(lab) {
        const seen = await lab.inside("wc -l < /proc/sysvipc/shm; wc -l < /proc/sysvipc/msg");
        equal(seen, "1\n1\n", "lines, the heading alone");
      },
    },
  ],
);

const INHERITED: Case[] = section(
  "config-linux.md#namespaces",
  "MUST",
  "a type that isn't listed is inherited from the runtime",
  [
    ...TYPES.filter((type) => type !== "mount").map(
      (type): Section => ({
        name: `the ${type} namespace is the runtime's when it isn't listed`,
        ...need(type),
        async check(lab) {
          const changes = {
            "linux.namespaces": namespaces({ [type]: false }),
            ...(type === "uts" ? { hostname: undefined } : {}),
            // A process of the host's network namespace may not mount sysfs in every setting; the host's is bound then.
            ...(type === "pid" ? { "linux.maskedPaths": [], "linux.readonlyPaths": [] } : {}),
          };
          const b = await lab.started(["sleep", "60"], { changes });
          equal(of(b.pid, type), own(type), type);
        },
      }),
    ),
    {
      name: "with an empty list all namespaces are the runtime's",
      async check(lab) {
        const b = lab.bundle(["sleep", "60"], {
          changes: {
            hostname: undefined,
            mounts: [],
            "linux.namespaces": [],
            "linux.maskedPaths": [],
            "linux.readonlyPaths": [],
          },
        });
        done(await lab.create(b), "create");
        done(await lab.start(b), "start");
        const pid = (await lab.state(b)).pid as number;
        equal(
          TYPES.filter((type) => of(pid, type) !== own(type)),
          [],
          "namespaces that aren't the runtime's",
        );
      },
    },
  ],
);

const UNSHARE: Partial<Record<Type, string[]>> = {
  network: ["--net"],
  ipc: ["--ipc"],
  uts: ["--uts"],
  cgroup: ["--cgroup"],
  pid: ["--pid", "--fork"],
  time: ["--time", "--fork"],
};

const JOINED: Case[] = section(
  "config-linux.md#namespaces",
  "MUST",
  "the process is placed in the namespace of path",
  [
    ...(Object.keys(UNSHARE) as Type[]).map(
      (type): Section => ({
        name: `a ${type} namespace by its path`,
        ...need(type),
        ...(type === "time" ? { differs: TIME_OLD } : {}),
        async check(lab) {
          const other = await holder(...(UNSHARE[type] as string[]));
          try {
            const path = `/proc/${other.pid}/ns/${FILES[type]}`;
            const b = await lab.started(["sleep", "60"], {
              changes: {
                "linux.namespaces": namespaces({ [type]: path }),
                ...(type === "uts" ? { hostname: undefined } : {}),
              },
            });
            equal(of(b.pid, type), readlinkSync(path), type);
          } finally {
            other.end();
          }
        },
      }),
    ),
    {
      name: "a user namespace by its path, with other namespaces made in it",
      async check(lab) {
        const other = await holder("--user", "--map-root-user");
        try {
          const path = `/proc/${other.pid}/ns/user`;
          const b = await lab.started(["sleep", "60"], {
            changes: { "linux.namespaces": namespaces({ user: path }) },
          });
          equal(of(b.pid, "user"), readlinkSync(path), "user");
          holds(of(b.pid, "network") !== own("network"), "the network namespace is the runtime's");
        } finally {
          other.end();
        }
      },
    },
    {
      name: "a mount namespace by its path",
      async check(lab) {
        const other = await holder("--mount");
        try {
          const path = `/proc/${other.pid}/ns/mnt`;
          const b = await lab.started(["sleep", "60"], {
            changes: { "linux.namespaces": namespaces({ mount: path }) },
          });
          equal(of(b.pid, "mount"), readlinkSync(path), "mount");
        } finally {
          other.end();
        }
      },
    },
    {
      name: "several namespaces of another container",
      async check(lab) {
        const first = await lab.started(["sleep", "60"]);
        const path = (type: Type) => `/proc/${first.pid}/ns/${FILES[type]}`;
        const joined = ["network", "ipc", "uts"] as Type[];
        const second = await lab.started(["sleep", "60"], {
          changes: {
            hostname: undefined,
            "linux.namespaces": namespaces(Object.fromEntries(joined.map((type) => [type, path(type)]))),
          },
        });
        for (const type of joined) equal(of(second.pid, type), of(first.pid, type), type);
        holds(of(second.pid, "pid") !== of(first.pid, "pid"), "the pid namespace isn't new");
      },
    },
    {
      name: "a joined pid namespace: the program is a process of it",
      async check(lab) {
        const first = await lab.started(["sleep", "60"]);
        const path = `/proc/${first.pid}/ns/pid`;
        const changes = { "linux.namespaces": namespaces({ pid: path }) };
        const seen = await lab.inside("ps | grep -c '[s]leep 60'; echo $$", changes);
        const [sleeps, pid] = seen.trim().split("\n");
        equal(sleeps, "1", "processes of the first container that are seen");
        holds(Number(pid) > 1, `the program is process ${pid}`);
      },
    },
  ],
);

const WRONG: Case[] = section(
  "config-linux.md#namespaces",
  "MUST",
  "a path that isn't of the type is an error",
  [
    ...(["pid", "network", "ipc", "uts"] as Type[]).map(
      (type): Section => ({
        name: `a ${type} namespace whose path is one of another type`,
        check(lab) {
          const other = type === "ipc" ? "uts" : "ipc";
          return lab.refused({
            hostname: undefined,
            "linux.namespaces": namespaces({ [type]: `/proc/self/ns/${other}` }),
          });
        },
      }),
    ),
    {
      name: "a path where nothing is",
      check: (lab) => lab.refused({ "linux.namespaces": namespaces({ network: "/no/such/namespace" }) }),
    },
    {
      name: "a path that is an ordinary file",
      check: (lab) => lab.refused({ "linux.namespaces": namespaces({ network: "/etc/hostname" }) }),
    },
    {
      name: "a relative path",
      says: "path is an absolute path in the runtime's mount namespace",
      check: (lab) => lab.refused({ "linux.namespaces": namespaces({ network: "proc/self/ns/net" }) }),
    },
    {
      name: "a type that is listed twice",
      says: "duplicate types are an error",
      check: (lab) => lab.refused({ "linux.namespaces.+": { type: "network" } }),
    },
    {
      name: "an unknown type",
      at: "config.md#valid-values",
      says: "an invalid value is an error",
      check: (lab) => lab.refused({ "linux.namespaces.+": { type: "other" } }),
    },
    {
      name: "a namespace without type",
      says: "type is required",
      check: (lab) => lab.refused({ "linux.namespaces.+": {} }),
    },
  ],
);

export const NAMESPACE_CASES: Case[] = [...FILE_SYSTEMS, ...NEW, ...INHERITED, ...JOINED, ...WRONG];
