/** config-linux.md, control groups: limits of each controller. */

import { existsSync } from "node:fs";
import { type Case, equal, includes, type Section, section } from "../case.ts";
import { controlFile } from "../cgroups.ts";
import type { Lab } from "../lab.ts";
import { CGROUP_V2, cgroupV1, cgroupV2, controller } from "../needs.ts";

/** One control file and what it holds, for each version; undefined where the version has none. */
interface Control {
  v1?: [controller: string, file: string, value: string];
  v2?: [file: string, value: string];
}

interface Row extends Control {
  name: string;
  resources: Record<string, unknown>;
  needs?: Section["needs"];
  differs?: Section["differs"];
}

/** A limit, checked with a path of each kind. */
function limits(rows: Row[]): Section[] {
  return rows.flatMap((row) =>
    (["absolute", "relative"] as const).map(
      (kind): Section => ({
        name: `${row.name}, ${kind} cgroupsPath`,
        needs: row.needs ?? [
          controller((CGROUP_V2 ? row.v2?.[0].split(".")[0] : row.v1?.[0]) ?? "of this kind"),
        ],
        ...(row.differs ? { differs: row.differs } : {}),
        check: (lab) => checkLimit(lab, row, kind === "absolute" ? "/" : ""),
      }),
    ),
  );
}

async function checkLimit(lab: Lab, row: Row, before: string): Promise<void> {
  const changes = { "linux.cgroupsPath": before + lab.nextName(), "linux.resources": row.resources };
  const b = await lab.created(["true"], { changes });
  const [name, file, value] = CGROUP_V2
    ? (["unified", ...(row.v2 as [string, string])] as const)
    : (row.v1 as [string, string, string]);
  equal(controlFile(b.pid, name, file).replace(/\s+/g, " "), value, file);
}

const MiB = 1 << 20;

const MEMORY: Row[] = [
  {
    name: "memory.limit",
    resources: { memory: { limit: 64 * MiB } },
    v1: ["memory", "memory.limit_in_bytes", `${64 * MiB}`],
    v2: ["memory.max", `${64 * MiB}`],
  },
  {
    name: "memory.limit -1 is unlimited",
    resources: { memory: { limit: -1 } },
    v1: ["memory", "memory.limit_in_bytes", "9223372036854771712"],
    v2: ["memory.max", "max"],
  },
  {
    name: "memory.reservation",
    resources: { memory: { reservation: 32 * MiB } },
    v1: ["memory", "memory.soft_limit_in_bytes", `${32 * MiB}`],
    v2: ["memory.low", `${32 * MiB}`],
  },
  {
    name: "memory.swap is memory and swap together",
    resources: { memory: { limit: 64 * MiB, swap: 96 * MiB } },
    v1: ["memory", "memory.memsw.limit_in_bytes", `${96 * MiB}`],
    v2: ["memory.swap.max", `${32 * MiB}`],
  },
  {
    name: "memory.swappiness",
    resources: { memory: { swappiness: 42 } },
    v1: ["memory", "memory.swappiness", "42"],
    needs: [controller("memory"), cgroupV1],
  },
  {
    name: "memory.disableOOMKiller",
    resources: { memory: { limit: 64 * MiB, disableOOMKiller: true } },
    v1: ["memory", "memory.oom_control", "oom_kill_disable 1 under_oom 0 oom_kill 0"],
    needs: [controller("memory"), cgroupV1],
  },
  {
    name: "memory.kernelTCP",
    resources: { memory: { kernelTCP: 16 * MiB } },
    v1: ["memory", "memory.kmem.tcp.limit_in_bytes", `${16 * MiB}`],
    needs: [controller("memory"), cgroupV1],
  },
];

const CPU: Row[] = [
  {
    name: "cpu.shares",
    resources: { cpu: { shares: 512 } },
    v1: ["cpu", "cpu.shares", "512"],
    v2: ["cpu.weight", "20"],
  },
  {
    name: "cpu.quota with cpu.period",
    resources: { cpu: { quota: 50_000, period: 200_000 } },
    v1: ["cpu", "cpu.cfs_quota_us", "50000"],
    v2: ["cpu.max", "50000 200000"],
  },
  {
    name: "cpu.period",
    resources: { cpu: { period: 200_000 } },
    v1: ["cpu", "cpu.cfs_period_us", "200000"],
    v2: ["cpu.max", "max 200000"],
  },
  {
    name: "cpu.burst",
    resources: { cpu: { quota: 50_000, period: 100_000, burst: 20_000 } },
    v1: ["cpu", "cpu.cfs_burst_us", "20000"],
    v2: ["cpu.max.burst", "20000"],
    differs: { runc: "1.1 is older than burst (runtime-spec 1.1)", crun: "1.8 is older than burst" },
  },
  {
    name: "cpu.idle",
    resources: { cpu: { idle: 1 } },
    v1: ["cpu", "cpu.idle", "1"],
    v2: ["cpu.idle", "1"],
  },
  {
    name: "cpu.cpus",
    resources: { cpu: { cpus: "0" } },
    v1: ["cpuset", "cpuset.cpus", "0"],
    v2: ["cpuset.cpus", "0"],
  },
  {
    name: "cpu.mems",
    resources: { cpu: { mems: "0" } },
    v1: ["cpuset", "cpuset.mems", "0"],
    v2: ["cpuset.mems", "0"],
  },
];

/** Some whole disk of this machine: throttling wants one that is there. */
export const disk = (() => {
  const text = existsSync("/proc/partitions")
    ? Bun.spawnSync(["cat", "/proc/partitions"]).stdout.toString()
    : "";
  const row = text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .find(([, , , name]) => name && existsSync(`/sys/block/${name}`));
  return { major: Number(row?.[0] ?? 0), minor: Number(row?.[1] ?? 0) };
})();

const at = `${disk.major}:${disk.minor}`;

const throttle = (property: string, v1: string, v2: string, rate: number): Row => ({
  name: `blockIO.${property}`,
  resources: { blockIO: { [property]: [{ ...disk, rate }] } },
  v1: ["blkio", `blkio.throttle.${v1}_device`, `${at} ${rate}`],
  v2: [
    "io.max",
    `${at} ${["rbps", "wbps", "riops", "wiops"].map((key) => `${key}=${key === v2 ? rate : "max"}`).join(" ")}`,
  ],
});

const BLOCK: Row[] = [
  {
    name: "blockIO.weight",
    resources: { blockIO: { weight: 300 } },
    v1: [
      "blkio",
      existsSync("/sys/fs/cgroup/blkio/blkio.bfq.weight") ? "blkio.bfq.weight" : "blkio.weight",
      "300",
    ],
    v2: ["io.bfq.weight", "default 300"],
    needs: [{ name: "a weight of block IO", there: hasWeight }],
  },
  throttle("throttleReadBpsDevice", "read_bps", "rbps", MiB),
  throttle("throttleWriteBpsDevice", "write_bps", "wbps", 2 * MiB),
  throttle("throttleReadIOPSDevice", "read_iops", "riops", 300),
  throttle("throttleWriteIOPSDevice", "write_iops", "wiops", 400),
];

function hasWeight(): boolean {
  return ["weight", "bfq.weight"].some((file) => existsSync(`/sys/fs/cgroup/blkio/blkio.${file}`));
}

const OTHERS: Row[] = [
  {
    name: "pids.limit",
    resources: { pids: { limit: 123 } },
    v1: ["pids", "pids.max", "123"],
    v2: ["pids.max", "123"],
  },
  {
    name: "pids.limit -1 is unlimited",
    resources: { pids: { limit: -1 } },
    v1: ["pids", "pids.max", "max"],
    v2: ["pids.max", "max"],
  },
  {
    name: "hugepageLimits",
    resources: { hugepageLimits: [{ pageSize: "2MB", limit: 4 * MiB }] },
    v1: ["hugetlb", "hugetlb.2MB.limit_in_bytes", `${4 * MiB}`],
    v2: ["hugetlb.2MB.max", `${4 * MiB}`],
    needs: [controller("hugetlb")],
  },
  {
    name: "network.classID",
    resources: { network: { classID: 1_048_577 } },
    v1: ["net_cls", "net_cls.classid", "1048577"],
    needs: [controller("net_cls"), cgroupV1],
  },
  {
    name: "network.priorities",
    resources: { network: { priorities: [{ name: "lo", priority: 7 }] } },
    v1: ["net_prio", "net_prio.ifpriomap", "lo 7"],
    needs: [controller("net_prio"), cgroupV1],
  },
];

/** Limits of a controller that this host hasn't mounted. */
const missing = (name: string, what: string, resources: Record<string, unknown>): Section => ({
  name: `${what} where the controller isn't there is an error`,
  at: "runtime.md#create",
  says: "a property that can't be applied as configured is an error",
  needs: [{ name: `a host without the controller ${name}`, there: () => !controller(name).there() }],
  check: (lab) => lab.refused({ "linux.resources": resources }),
});

const RESOURCES: Case[] = [
  ...section("config-linux.md#memory", "MUST", "memory: the limits in the memory controller", limits(MEMORY)),
  ...section("config-linux.md#cpu", "MUST", "cpu: the parameters in the cpu and cpuset controllers", [
    ...limits(CPU),
    {
      name: "cpus that this machine hasn't are an error",
      at: "runtime.md#create",
      needs: [controller("cpuset")],
      check: (lab) => lab.refused({ "linux.resources": { cpu: { cpus: "4000" } } }),
    },
    {
      name: "a burst above the quota is an error",
      level: "MAY",
      says: "burst is no larger than a positive quota",
      needs: [controller("cpu")],
      check: (lab) =>
        lab.refused({ "linux.resources": { cpu: { quota: 10_000, period: 100_000, burst: 20_000 } } }),
    },
  ]),
  ...section(
    "config-linux.md#block-io",
    "MUST",
    "blockIO: weights and throttles in the blkio controller",
    limits(BLOCK),
  ),
  ...section("config-linux.md#pids", "MUST", "the other controllers", [
    ...limits(OTHERS),
    {
      name: "pids.limit stops the program from forking on",
      needs: [controller("pids")],
      async check(lab) {
        const seen = await lab
          .inside("sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait; echo end", {
            "linux.resources": { pids: { limit: 4 } },
          })
          .catch((error: unknown) => `${error}`);
        includes(seen, "fork", "output");
      },
    },
    missing("hugetlb", "hugepageLimits", { hugepageLimits: [{ pageSize: "2MB", limit: 4 * MiB }] }),
    missing("net_cls", "network.classID", { network: { classID: 1 } }),
    missing("net_prio", "network.priorities", { network: { priorities: [{ name: "lo", priority: 7 }] } }),
    missing("rdma", "rdma", { rdma: { mlx5_1: { hcaHandles: 3 } } }),
  ]),
  ...section(
    "config-linux.md#unified",
    "MUST",
    "unified: files of the v2 hierarchy; a controller that isn't there is an error",
    [
      {
        name: "unified on a host without cgroup v2 is an error",
        needs: [cgroupV1],
        check: (lab) => lab.refused({ "linux.resources": { unified: { "memory.max": "1048576" } } }),
      },
      {
        name: "unified writes the file",
        needs: [cgroupV2],
        async check(lab) {
          const b = await lab.created(["true"], {
            changes: { "linux.resources": { unified: { "memory.high": "8388608" } } },
          });
          equal(controlFile(b.pid, "unified", "memory.high"), "8388608", "memory.high");
        },
      },
      {
        name: "unified with a controller that isn't there is an error",
        needs: [cgroupV2],
        check: (lab) => lab.refused({ "linux.resources": { unified: { "nosuch.max": "1" } } }),
      },
    ],
  ),
  ...section("config.md#valid-values", "MUST", "an invalid limit is an error", [
    ...(
      [
        ["memory.limit that is a word", { memory: { limit: "64m" } }],
        ["cpu.shares below zero", { cpu: { shares: -1 } }],
        ["pids without a number", { pids: { limit: "ten" } }],
        ["blockIO.weight out of range", { blockIO: { weight: 100_000 } }],
      ] as [string, Record<string, unknown>][]
    ).map(
      ([name, resources]): Section => ({
        name: `${name} is an error`,
        check: (lab) => lab.refused({ "linux.resources": resources }),
      }),
    ),
  ]),
];

export const RESOURCE_CASES: Case[] = RESOURCES;
