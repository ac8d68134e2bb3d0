/** config-linux.md, control groups: paths, ownership, device rules, resources. */
import { existsSync, mkdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namespaces } from "../base.ts";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { cgroupPath, controlFile, directory } from "../cgroups.ts";
import { done, type Lab } from "../lab.ts";
import { CGROUP_V2, cgroupV1, cgroupV2, controller } from "../needs.ts";

/** A hierarchy that every host has. */
const ANY = "pids";

const PATHS: Case[] = section(
  "config-linux.md#cgroups-path",
  "MUST",
  "an absolute cgroupsPath is relative to the cgroups' mount point",
  [
    {
      name: "an absolute path is where the container's process is",
      async check(lab) {
        const path = `/${lab.nextName()}/deep/er`;
        const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": path } });
        equal(cgroupPath(b.pid, ANY), path, "cgroup");
        done(await lab.remove(b, ["--force"]), "delete");
        lab.removeCgroups(path.split("/")[1] as string);
      },
    },
    {
      name: "a relative path ends where it says",
      says: "a relative path may be interpreted relative to a place of the runtime's own",
      async check(lab) {
        const name = lab.nextName();
        const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": `${name}/deep` } });
        holds(cgroupPath(b.pid, ANY).endsWith(`/${name}/deep`), `it is in ${cgroupPath(b.pid, ANY)}`);
        done(await lab.remove(b, ["--force"]), "delete");
        lab.removeCgroups(name);
      },
    },
    {
      name: "the same value means the same place",
      says: "given the same value, the runtime attaches to the same place",
      async check(lab) {
        const changes = { "linux.cgroupsPath": lab.nextName() };
        const places: string[] = [];
        for (let i = 0; i < 2; i++) {
          const b = await lab.started(["sleep", "60"], { changes });
          places.push(cgroupPath(b.pid, ANY));
          done(await lab.remove(b, ["--force"]), "delete");
        }
        equal(places[1], places[0], "the second place");
      },
    },
    {
      name: "the container's process is in the place in every hierarchy with controllers",
      async check(lab) {
        const path = `/${lab.nextName()}`;
        const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": path } });
        const names = CGROUP_V2 ? [ANY] : ["cpu", "memory", "devices", "freezer", "pids", "blkio", "cpuset"];
        for (const name of names.filter((n) => controller(n).there()))
          equal(cgroupPath(b.pid, name), path, name);
      },
    },
    {
      name: "a path with .. doesn't leave the cgroups' mount point",
      async check(lab) {
        const outside = `/tmp/${lab.nextName()}`;
        const b = lab.bundle(["sleep", "60"], { changes: { "linux.cgroupsPath": `../../../..${outside}` } });
        await lab.create(b);
        const made = existsSync(outside);
        await lab.remove(b, ["--force"]);
        rmSync(outside, { recursive: true, force: true });
        holds(!made, "a directory was made outside");
      },
    },
    {
      name: "a cgroup that is there is used and not refused when it is empty",
      says: "cgroups are created if they don't exist",
      async check(lab) {
        const path = `/${lab.nextName()}`;
        const top = CGROUP_V2 ? "/sys/fs/cgroup" : `/sys/fs/cgroup/${ANY}`;
        mkdirSync(top + path);
        try {
          const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": path } });
          equal(cgroupPath(b.pid, ANY), path, "cgroup");
          done(await lab.remove(b, ["--force"]), "delete");
        } finally {
          if (existsSync(top + path)) rmdirSync(top + path);
        }
      },
    },
    {
      name: "without cgroupsPath the container has a cgroup of its own",
      level: "MAY",
      says: "without cgroupsPath the runtime may define the default path",
      async check(lab) {
        const b = await lab.started();
        holds(cgroupPath(b.pid, ANY) !== cgroupPath(process.pid, ANY), "it is in the runtime's cgroup");
      },
    },
  ],
);

const OWNERSHIP: Case[] = section(
  "config-linux.md#cgroup-ownership",
  "SHOULD",
  "the owner of cgroups is changed in cgroup v2 alone, and by its rules",
  [
    {
      name: "on cgroup v1 the owner of the container's cgroups isn't changed",
      needs: [cgroupV1],
      async check(lab) {
        const b = await lab.started(["sleep", "60"], {
          changes: {
            "linux.namespaces": namespaces({ user: "", cgroup: "" }),
            "linux.uidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "linux.gidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "mounts.+": { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] },
          },
        });
        for (const name of ["memory", "pids", "cpu"].filter((n) => controller(n).there()))
          equal(statSync(directory(b.pid, name)).uid, 0, `owner in ${name}`);
      },
    },
    {
      name: "on cgroup v2 the mapped root owns the cgroup when it is mounted read-write in a new cgroup namespace",
      needs: [cgroupV2],
      async check(lab) {
        const b = await lab.started(["sleep", "60"], {
          changes: {
            "linux.namespaces": namespaces({ user: "", cgroup: "" }),
            "linux.uidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "linux.gidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "mounts.+": { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] },
          },
        });
        equal(statSync(join(directory(b.pid, ANY), "cgroup.procs")).uid, 200_000, "owner of cgroup.procs");
        equal(statSync(join(directory(b.pid, "memory"), "memory.max")).uid, 0, "owner of memory.max");
      },
    },
  ],
);

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
const disk = (() => {
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

const MKNOD = {
  "process.capabilities": Object.fromEntries(
    ["bounding", "effective", "permitted"].map((set) => [set, ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]]),
  ),
};

const fuse = { name: "FUSE", there: () => existsSync("/sys/class/misc/fuse") };

/** Tries to make and read a device; what of both is allowed. */
const tried = (type: string, major: number, minor: number, file = "/tmp/node") =>
  `mknod ${file} ${type} ${major} ${minor} 2>/dev/null && echo made; true < ${file} 2>/dev/null && echo read; true > ${file} 2>/dev/null && echo written; true`;

const DEVICES: Case[] = section(
  "config-linux.md#allowed-device-list",
  "MUST",
  "device rules are applied in the listed order",
  [
    {
      name: "a rule that allows after one that denies all",
      needs: [fuse],
      async check(lab) {
        const devices = [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, minor: 229, access: "rwm" },
        ];
        const seen = await lab.inside(`${tried("c", 10, 229)}; ${tried("c", 10, 237, "/tmp/other")}`, {
          ...MKNOD,
          "linux.resources.devices": devices,
        });
        // Making any node is among what runtimes allow by default; what counts is its use.
        equal(seen.replace(/made\n$/, ""), "made\nread\nwritten\n", "what was allowed");
      },
    },
    {
      name: "a rule that denies after one that allows",
      needs: [fuse],
      async check(lab) {
        const devices = [
          { allow: true, access: "rwm" },
          { allow: false, type: "c", major: 10, minor: 229, access: "rw" },
        ];
        const seen = await lab.inside(tried("c", 10, 229), { ...MKNOD, "linux.resources.devices": devices });
        equal(seen, "made\n", "what was allowed");
      },
    },
    {
      name: "access of a rule is r, w and m apart",
      needs: [fuse],
      async check(lab) {
        const devices = [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, minor: 229, access: "rm" },
        ];
        const seen = await lab.inside(tried("c", 10, 229), { ...MKNOD, "linux.resources.devices": devices });
        equal(seen, "made\nread\n", "what was allowed");
      },
    },
    {
      name: "major and minor that aren't given mean all",
      needs: [fuse],
      says: "unset values mean all",
      async check(lab) {
        const devices = [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, access: "rwm" },
        ];
        const seen = await lab.inside(tried("c", 10, 229), { ...MKNOD, "linux.resources.devices": devices });
        equal(seen, "made\nread\nwritten\n", "what was allowed");
      },
    },
    {
      name: "default devices can be used when all is denied",
      at: "config-linux.md#default-devices",
      async check(lab) {
        const seen = await lab.inside("head -c 1 /dev/zero | wc -c; echo > /dev/null && echo written", {
          "linux.resources.devices": [{ allow: false, access: "rwm" }],
        });
        equal(seen, "1\nwritten\n", "output");
      },
    },
    {
      name: "a device that is neither default nor configured can't be used",
      at: "config-linux.md#devices",
      says: "containers may not access a device that is neither configured nor a default one",
      async check(lab) {
        const seen = await lab.inside(tried("b", disk.major, disk.minor), {
          ...MKNOD,
          "linux.resources.devices": [{ allow: false, access: "rwm" }],
        });
        holds(!seen.includes("read") && !seen.includes("written"), `allowed: ${seen}`);
      },
    },
    {
      name: "a rule without allow is an error",
      at: "config.md#valid-values",
      check: (lab) => lab.refused({ "linux.resources.devices": [{ access: "maybe", allow: "yes" }] }),
    },
  ],
);

const FITNESS: Case[] = section(
  "config-linux.md#control-groups",
  "MUST",
  "if the runtime checks whether the cgroup is fit and it isn't, that is an error",
  [
    {
      name: "a frozen cgroup is an error, and create doesn't wait for it",
      level: "MAY",
      needs: [controller(CGROUP_V2 ? "pids" : "freezer")],
      async check(lab) {
        const name = lab.nextName();
        const top = CGROUP_V2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/freezer";
        const [file, frozen, thawed] = CGROUP_V2
          ? (["cgroup.freeze", "1", "0"] as const)
          : (["freezer.state", "FROZEN", "THAWED"] as const);
        mkdirSync(join(top, name));
        writeFileSync(join(top, name, file), frozen);
        try {
          await lab.refused({ "linux.cgroupsPath": `/${name}` });
        } finally {
          if (existsSync(join(top, name))) writeFileSync(join(top, name, file), thawed);
          lab.removeCgroups(name);
        }
      },
    },
  ],
);

export const CGROUP_CASES: Case[] = [...PATHS, ...OWNERSHIP, ...FITNESS, ...DEVICES, ...RESOURCES];
