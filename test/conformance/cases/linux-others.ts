/** config-linux.md: sysctl, personality, intelRdt, mountLabel, memoryPolicy. */
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import * as needs from "../needs.ts";

const SYSCTL: Case[] = section(
  "config-linux.md#sysctl",
  "MUST",
  "sysctl sets kernel parameters for the container",
  [
    ...(
      [
        ["net.ipv4.ip_forward", "1"],
        ["net.core.somaxconn", "256"],
        ["net.ipv4.ip_local_port_range", "20000\t30000"],
        ["kernel.msgmax", "4096"],
        ["kernel.shm_rmid_forced", "1"],
        ["fs.mqueue.msg_max", "9"],
      ] as const
    ).map(
      ([name, value]): Section => ({
        name: `${name} is set inside`,
        async check(lab) {
          const file = `/proc/sys/${name.replaceAll(".", "/")}`;
          const before = await Bun.file(file).text();
          equal(await lab.inside(["cat", file], { "linux.sysctl": { [name]: value } }), `${value}\n`, name);
          equal(await Bun.file(file).text(), before, "the host's value");
        },
      }),
    ),
    {
      name: "a value that the kernel refuses is an error",
      check: (lab) => lab.refused({ "linux.sysctl": { "net.ipv4.ip_forward": "no number" } }),
    },
    {
      name: "a parameter that isn't there is an error",
      check: (lab) => lab.refused({ "linux.sysctl": { "net.no_such_thing": "1" } }),
    },
    {
      name: "a parameter of the whole host is an error",
      says: "a property that can't be applied to the container alone is an error",
      at: "runtime.md#create",
      check: (lab) => lab.refused({ "linux.sysctl": { "vm.swappiness": "60" } }),
    },
    {
      name: "a parameter of a namespace that is the host's is an error",
      at: "runtime.md#create",
      check: (lab) =>
        lab.refused({
          "linux.sysctl": { "net.core.somaxconn": "256" },
          "linux.namespaces": ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
        }),
    },
  ],
);

const PERSONALITY: Case[] = section(
  "config-linux.md#personality",
  "MUST",
  "personality is the program's execution domain",
  [
    {
      name: "LINUX32: uname says a 32-bit machine",
      async check(lab) {
        const seen = (
          await lab.inside(["uname", "-m"], { "linux.personality": { domain: "LINUX32" } })
        ).trim();
        holds(seen === (process.arch === "x64" ? "i686" : "armv8l"), `uname -m says ${seen}`);
      },
    },
    {
      name: "LINUX: uname says what the host's does",
      async check(lab) {
        const own = Bun.spawnSync(["uname", "-m"]).stdout.toString();
        equal(
          await lab.inside(["uname", "-m"], { "linux.personality": { domain: "LINUX" } }),
          own,
          "machine",
        );
      },
    },
    {
      name: "an unknown domain is an error",
      at: "config.md#valid-values",
      check: (lab) => lab.refused({ "linux.personality": { domain: "SOLARIS" } }),
    },
  ],
);

const OTHERS: Case[] = [
  ...section("config-linux.md#intelrdt", "MUST", "without a mounted resctrl, intelRdt is an error", [
    {
      name: "intelRdt where no resctrl is mounted",
      needs: [needs.lacks(needs.resctrl)],
      check: (lab) => lab.refused({ "linux.intelRdt": { closID: "conf", l3CacheSchema: "L3:0=f" } }),
    },
  ]),
  ...section(
    "config-linux.md#mount-label",
    "MUST",
    "a property that can't be applied as configured is an error",
    [
      {
        name: "mountLabel where the kernel has no SELinux",
        at: "runtime.md#create",
        needs: [needs.lacks(needs.selinux)],
        check: (lab) => lab.refused({ "linux.mountLabel": "system_u:object_r:some_t:s0" }),
      },
    ],
  ),
  ...section(
    "config-linux.md#memory-policy",
    "MUST",
    "memoryPolicy is the NUMA policy of the process (since 1.3)",
    [
      {
        name: "MPOL_INTERLEAVE over node 0",
        differs: { runc: "1.1 is older than this property", crun: "1.8 is older than this property" },
        async check(lab) {
          const seen = await lab.inside(["cat", "/proc/self/numa_maps"], {
            "linux.memoryPolicy": { mode: "MPOL_INTERLEAVE", nodes: "0" },
          });
          includes(seen, " interleave:0 ", "numa_maps");
        },
      },
      {
        name: "an unknown mode is an error",
        at: "config.md#valid-values",
        differs: { runc: "1.1 is older than this property", crun: "1.8 is older than this property" },
        check: (lab) => lab.refused({ "linux.memoryPolicy": { mode: "MPOL_X", nodes: "0" } }),
      },
    ],
  ),
];

export const OTHER_CASES: Case[] = [...SYSCTL, ...PERSONALITY, ...OTHERS];
