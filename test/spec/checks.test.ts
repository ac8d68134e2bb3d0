/** Each rule between properties: something that keeps it, something that breaks it. */
import { expect, test } from "bun:test";
import { CONFIG_CHECKS, runnableProblems } from "../../spec/checks.ts";
import { parseConfig } from "../../spec/parse.ts";
import { placesOf, problemsOf, validConfig, warningsOf } from "./documents.ts";

const process = (more: object) => ({ process: { cwd: "/", ...more } });
const linux = (more: object, ...types: string[]) => ({
  linux: { namespaces: types.map((type) => ({ type })), ...more },
});
const mapping = { containerID: 0, hostID: 1000, size: 1 };
const notify = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["a"], action: "SCMP_ACT_NOTIFY" }] };

interface Rule {
  rule: string;
  good: object[];
  bad: object;
  at: string | string[];
}

const RULES: Rule[] = [
  {
    rule: "ociVersion is SemVer 2.0.0, below 2",
    good: [{ ociVersion: "0.5.0-dev" }, { ociVersion: "1.2.3-rc.1+build.5" }],
    bad: { ociVersion: "2.0.0" },
    at: "ociVersion",
  },
  { rule: "ociVersion has three parts", good: [], bad: { ociVersion: "1.0" }, at: "ociVersion" },
  { rule: "ociVersion has no leading zeros", good: [], bad: { ociVersion: "1.01.0" }, at: "ociVersion" },
  {
    rule: "annotations have names",
    good: [{ annotations: { a: "" } }],
    bad: { annotations: { "": "x" } },
    at: 'annotations[""]',
  },
  {
    rule: "hostname and domainname need a uts namespace",
    good: [
      { hostname: "h", domainname: "d", ...linux({}, "uts") },
      { hostname: "h", linux: { namespaces: [{ type: "uts", path: "/proc/1/ns/uts" }] } },
      { hostname: "" },
    ],
    bad: { hostname: "h", domainname: "d", ...linux({}, "pid") },
    at: ["hostname", "domainname"],
  },
  {
    rule: "hostname and domainname fit 64 bytes",
    good: [{ hostname: "h".repeat(64), domainname: "é".repeat(32), ...linux({}, "uts") }],
    bad: { hostname: "h".repeat(65), domainname: "é".repeat(33), ...linux({}, "uts") },
    at: ["hostname", "domainname"],
  },
  {
    rule: "a mount's uidMappings and gidMappings come together",
    good: [{ mounts: [{ destination: "/a", uidMappings: [mapping], gidMappings: [mapping] }] }],
    bad: { mounts: [{ destination: "/a", gidMappings: [mapping] }] },
    at: "mounts[0].uidMappings",
  },
  {
    rule: "hooks are absolute paths with a proper environment",
    good: [{ hooks: { poststop: [{ path: "/bin/true", env: ["A="] }] } }],
    bad: { hooks: { prestart: [{ path: "/a" }, { path: "b", env: ["A"] }] } },
    at: ["hooks.prestart[1].path", "hooks.prestart[1].env[0]"],
  },
  {
    rule: "paths are shorter than PATH_MAX",
    good: [process({ cwd: `/${"x".repeat(4094)}` })],
    bad: {
      ...process({ cwd: `/${"x".repeat(4095)}` }),
      root: { path: "é".repeat(2048) },
      mounts: [{ destination: "/a".repeat(5000), source: "b".repeat(4096) }],
      hooks: { poststop: [{ path: `/${"x".repeat(4095)}` }] },
      linux: { cgroupsPath: "x".repeat(4096), maskedPaths: [`/${"x".repeat(4095)}`] },
    },
    at: [
      "root.path",
      "mounts[0].destination",
      "mounts[0].source",
      "linux.cgroupsPath",
      "hooks.poststop[0].path",
      "process.cwd",
      "linux.maskedPaths[0]",
    ],
  },
  { rule: "cwd is absolute", good: [process({})], bad: process({ cwd: "home" }), at: "process.cwd" },
  {
    rule: "env entries are NAME=value",
    good: [process({ env: ["A=b=c", "B="] })],
    bad: process({ env: ["A=b", "PATH", "=x", ""] }),
    at: ["process.env[1]", "process.env[2]", "process.env[3]"],
  },
  {
    rule: "rlimits name a resource once",
    good: [process({ rlimits: [{ type: "RLIMIT_CPU", soft: 1, hard: 1 }] })],
    bad: process({
      rlimits: [
        { type: "RLIMIT_CPU", soft: 1, hard: 1 },
        { type: "RLIMIT_CPU", soft: 2, hard: 2 },
      ],
    }),
    at: "process.rlimits[1].type",
  },
  {
    rule: "rlimits are known and not above their ceiling",
    good: [],
    bad: process({
      rlimits: [
        { type: "RLIMIT_FILES", soft: 1, hard: 1 },
        { type: "RLIMIT_CPU", soft: 2, hard: 1 },
      ],
    }),
    at: ["process.rlimits[0].type", "process.rlimits[1].soft"],
  },
  {
    rule: "oomScoreAdj is -1000 to 1000",
    good: [process({ oomScoreAdj: -1000 }), process({ oomScoreAdj: 1000 })],
    bad: process({ oomScoreAdj: 1001 }),
    at: "process.oomScoreAdj",
  },
  {
    rule: "ioPriority is 0 to 7",
    good: [process({ ioPriority: { class: "IOPRIO_CLASS_RT", priority: 7 } })],
    bad: process({ ioPriority: { class: "IOPRIO_CLASS_RT", priority: 8 } }),
    at: "process.ioPriority.priority",
  },
  {
    rule: "the scheduler's properties fit its policy",
    good: [
      process({ scheduler: { policy: "SCHED_OTHER", nice: -20, priority: 0 } }),
      process({ scheduler: { policy: "SCHED_RR", priority: 5 } }),
      process({ scheduler: { policy: "SCHED_DEADLINE", runtime: 1, deadline: 2, period: 3 } }),
    ],
    bad: process({ scheduler: { policy: "SCHED_BATCH", nice: 20, priority: 1, runtime: 1, period: 1 } }),
    at: [
      "process.scheduler.nice",
      "process.scheduler.priority",
      "process.scheduler.runtime",
      "process.scheduler.period",
    ],
  },
  {
    rule: "a namespace type is there once",
    good: [linux({}, "pid", "uts")],
    bad: linux({}, "pid", "uts", "pid"),
    at: "linux.namespaces[2].type",
  },
  {
    rule: "a namespace's path is absolute",
    good: [linux({ namespaces: [{ type: "pid", path: "/proc/1/ns/pid" }] })],
    bad: linux({ namespaces: [{ type: "pid", path: "ns/pid" }] }),
    at: "linux.namespaces[0].path",
  },
  {
    rule: "id mappings need a user namespace",
    good: [linux({ uidMappings: [mapping], gidMappings: [mapping] }, "user"), linux({ uidMappings: [] })],
    bad: linux({ uidMappings: [mapping], gidMappings: [mapping] }, "pid"),
    at: ["linux.uidMappings", "linux.gidMappings"],
  },
  {
    rule: "time offsets need a time namespace",
    good: [linux({ timeOffsets: { boottime: { secs: 1 } } }, "time"), linux({ timeOffsets: {} })],
    bad: linux({ timeOffsets: { boottime: { secs: 1 } } }),
    at: "linux.timeOffsets",
  },
  {
    rule: "time offsets have nanoseconds of less than a second",
    good: [linux({ timeOffsets: { monotonic: { nanosecs: 999999999 } } }, "time")],
    bad: linux({ timeOffsets: { monotonic: { nanosecs: 1000000000 } } }, "time"),
    at: "linux.timeOffsets.monotonic.nanosecs",
  },
  {
    rule: "time offsets are not those of a namespace that is joined",
    good: [linux({ namespaces: [{ type: "time", path: "/proc/1/ns/time" }] })],
    bad: linux({
      namespaces: [{ type: "time", path: "/proc/1/ns/time" }],
      timeOffsets: { boottime: { secs: 1 } },
    }),
    at: "linux.timeOffsets",
  },
  {
    rule: "devices have numbers unless they are FIFOs, and an absolute path",
    good: [linux({ devices: [{ type: "p", path: "/p" }] })],
    bad: linux({ devices: [{ type: "c", path: "dev/x", minor: 1 }] }),
    at: ["linux.devices[0].path", "linux.devices[0].major"],
  },
  {
    rule: "network devices have names, each its own in the container",
    good: [linux({ netDevices: { eth0: {}, "eth1.100": { name: "eth%d" }, eth2: { name: "eth%d" } } })],
    bad: linux({
      netDevices: { a: { name: "b" }, b: {}, "c:1": {}, d: { name: "sixteen-letters-" }, e: { name: "%s" } },
    }),
    at: [
      "linux.netDevices.b",
      'linux.netDevices["c:1"]',
      "linux.netDevices.d.name",
      "linux.netDevices.e.name",
    ],
  },
  {
    rule: "a class of service is a directory's name, or the root group",
    good: [
      linux({ intelRdt: { closID: "gold" } }),
      linux({ intelRdt: { closID: "/" } }),
      linux({ intelRdt: {} }),
    ],
    bad: linux({ intelRdt: { closID: "../gold" } }),
    at: "linux.intelRdt.closID",
  },
  {
    rule: "device numbers are such as the kernel has",
    good: [linux({ devices: [{ type: "b", path: "/b", major: 4095, minor: 1048575 }] })],
    bad: linux({ devices: [{ type: "b", path: "/b", major: 4096, minor: -1 }] }),
    at: ["linux.devices[0].major", "linux.devices[0].minor"],
  },
  {
    rule: "sysctls are those of the container's namespaces",
    good: [
      linux(
        {
          sysctl: {
            "net.ipv4.ip_forward": "1",
            "net/ipv4/conf/eth0.1/forwarding": "1",
            "kernel.shmmax": "1",
            "fs.mqueue.msg_max": "1",
            "kernel.domainname": "d",
            "user.max_net_namespaces": "0",
          },
        },
        "network",
        "ipc",
        "uts",
        "user",
      ),
    ],
    bad: linux(
      {
        sysctl: {
          "net.a": "1",
          "kernel.sem": "1",
          "kernel.domainname": "h",
          "user.max_net_namespaces": "1",
          "vm.swappiness": "1",
        },
      },
      "pid",
    ),
    at: [
      'linux.sysctl["net.a"]',
      'linux.sysctl["kernel.sem"]',
      'linux.sysctl["kernel.domainname"]',
      'linux.sysctl["user.max_net_namespaces"]',
      'linux.sysctl["vm.swappiness"]',
    ],
  },
  {
    rule: "kernel.hostname isn't set beside the hostname",
    good: [linux({ sysctl: { "kernel.domainname": "d" } }, "uts")],
    bad: linux({ sysctl: { "kernel.hostname": "h", "kernel/hostname": "h" } }, "uts"),
    at: [
      'linux.sysctl["kernel.hostname"]',
      'linux.sysctl["kernel/hostname"]',
      'linux.sysctl["kernel/hostname"]',
    ],
  },
  {
    rule: "a sysctl's name leads to nowhere else",
    good: [linux({ sysctl: { "net.ipv4.conf.eth0/1.forwarding": "1" } }, "network")],
    bad: linux(
      { sysctl: { "net//vm/swappiness": "1", "net/../vm/swappiness": "1", "net.//.vm.x": "1" } },
      "network",
    ),
    at: [
      'linux.sysctl["net//vm/swappiness"]',
      'linux.sysctl["net/../vm/swappiness"]',
      'linux.sysctl["net.//.vm.x"]',
    ],
  },
  {
    rule: "a sysctl is there once",
    good: [linux({ sysctl: { "net.a": "1", "net.b": "1" } }, "network")],
    bad: linux({ sysctl: { "net.a.b": "1", "net/a/b": "2" } }, "network"),
    at: 'linux.sysctl["net/a/b"]',
  },
  {
    rule: "masked and read-only paths are absolute",
    good: [linux({ maskedPaths: ["/a"], readonlyPaths: ["/b"] })],
    bad: linux({ maskedPaths: ["/a", "a"], readonlyPaths: [""] }),
    at: ["linux.maskedPaths[1]", "linux.readonlyPaths[0]"],
  },
  {
    rule: "execCPUAffinity is two lists of CPUs",
    good: [
      process({ execCPUAffinity: { initial: "0-3,7", final: "" } }),
      process({ execCPUAffinity: { final: "8191" } }),
    ],
    bad: process({ execCPUAffinity: { initial: "3-1", final: "8192" } }),
    at: ["process.execCPUAffinity.initial", "process.execCPUAffinity.final"],
  },
  {
    rule: "memoryPolicy's nodes are a list",
    good: [linux({ memoryPolicy: { mode: "MPOL_BIND", nodes: "0-3,7" } })],
    bad: linux({ memoryPolicy: { mode: "MPOL_BIND", nodes: "0-" } }),
    at: "linux.memoryPolicy.nodes",
  },
  {
    rule: "memoryPolicy's nodes can exist",
    good: [linux({ memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "1023" } })],
    bad: linux({ memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "0,1024" } }),
    at: "linux.memoryPolicy.nodes",
  },
  {
    rule: "MPOL_DEFAULT and MPOL_LOCAL take no nodes",
    good: [linux({ memoryPolicy: { mode: "MPOL_LOCAL", nodes: "" } })],
    bad: linux({ memoryPolicy: { mode: "MPOL_DEFAULT", nodes: "0" } }),
    at: "linux.memoryPolicy.nodes",
  },
  {
    rule: "the other modes of memoryPolicy need nodes, MPOL_PREFERRED not",
    good: [linux({ memoryPolicy: { mode: "MPOL_PREFERRED" } })],
    bad: linux({ memoryPolicy: { mode: "MPOL_PREFERRED_MANY" } }),
    at: "linux.memoryPolicy.nodes",
  },
  {
    rule: "memoryPolicy's nodes are static or relative",
    good: [linux({ memoryPolicy: { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] } })],
    bad: linux({
      memoryPolicy: {
        ...{ mode: "MPOL_BIND", nodes: "0" },
        flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
      },
    }),
    at: "linux.memoryPolicy.flags",
  },
  {
    rule: "personality has no flags",
    good: [linux({ personality: { domain: "LINUX", flags: [] } })],
    bad: linux({ personality: { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] } }),
    at: "linux.personality.flags",
  },
  {
    rule: "a seccomp errno belongs to an action that has one",
    good: [linux({ seccomp: { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 38 } })],
    bad: linux({
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        defaultErrnoRet: 1,
        syscalls: [{ names: ["a"], action: "SCMP_ACT_KILL", errnoRet: 1 }],
      },
    }),
    at: ["linux.seccomp.defaultErrnoRet", "linux.seccomp.syscalls[0].errnoRet"],
  },
  {
    rule: "seccomp errnos and arguments fit into a filter",
    good: [
      linux({
        seccomp: {
          defaultAction: "SCMP_ACT_ERRNO",
          defaultErrnoRet: 4095,
          syscalls: [
            {
              names: ["a"],
              action: "SCMP_ACT_TRACE",
              errnoRet: 65535,
              args: [{ index: 5, value: 0, op: "SCMP_CMP_EQ" }],
            },
          ],
        },
      }),
    ],
    bad: linux({
      seccomp: {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 4096,
        syscalls: [
          {
            names: ["a"],
            action: "SCMP_ACT_TRACE",
            errnoRet: 65536,
            args: [
              { index: 0, value: 0, op: "SCMP_CMP_EQ" },
              { index: 6, value: 0, op: "SCMP_CMP_EQ" },
            ],
          },
        ],
      },
    }),
    at: [
      "linux.seccomp.defaultErrnoRet",
      "linux.seccomp.syscalls[0].errnoRet",
      "linux.seccomp.syscalls[0].args[1].index",
    ],
  },
  {
    rule: "the path of a seccomp agent is one that a socket can have",
    good: [linux({ seccomp: { ...notify, listenerPath: `/${"a".repeat(106)}` } })],
    bad: linux({ seccomp: { ...notify, listenerPath: `/${"ä".repeat(60)}` } }),
    at: ["linux.seccomp.listenerPath"],
  },
  {
    rule: "SCMP_ACT_NOTIFY has a listener, and metadata has one too",
    good: [linux({ seccomp: { ...notify, listenerPath: "/run/agent", listenerMetadata: "m" } })],
    bad: linux({ seccomp: { ...notify, listenerMetadata: "m" } }),
    at: ["linux.seccomp.listenerPath", "linux.seccomp.listenerMetadata"],
  },
  {
    rule: "device rules have known types and accesses",
    good: [
      linux({
        resources: {
          devices: [
            { allow: false, access: "rwm" },
            { allow: true, type: "", access: "" },
          ],
        },
      }),
    ],
    bad: linux({ resources: { devices: [{ allow: false, type: "p", access: "rx" }] } }),
    at: ["linux.resources.devices[0].type", "linux.resources.devices[0].access"],
  },
  {
    rule: "swappiness is 0 to 100",
    good: [linux({ resources: { memory: { swappiness: 100 } } })],
    bad: linux({ resources: { memory: { swappiness: 101 } } }),
    at: "linux.resources.memory.swappiness",
  },
  {
    rule: "burst is within a positive quota",
    good: [
      linux({ resources: { cpu: { burst: 5, quota: 5 } } }),
      linux({ resources: { cpu: { burst: 5, quota: -1 } } }),
    ],
    bad: linux({ resources: { cpu: { burst: 6, quota: 5 } } }),
    at: "linux.resources.cpu.burst",
  },
  {
    rule: "a weight device has a weight",
    good: [linux({ resources: { blockIO: { weightDevice: [{ major: 8, minor: 0, leafWeight: 10 }] } } })],
    bad: linux({ resources: { blockIO: { weightDevice: [{ major: 8, minor: 0 }] } } }),
    at: "linux.resources.blockIO.weightDevice[0]",
  },
  {
    rule: "an RDMA device has a limit",
    good: [linux({ resources: { rdma: { mlx5: { hcaObjects: 1 } } } })],
    bad: linux({ resources: { rdma: { "mlx5.1": {} } } }),
    at: 'linux.resources.rdma["mlx5.1"]',
  },
];

for (const { rule, good, bad, at } of RULES) {
  test(`${rule}`, () => {
    for (const config of good) expect(problemsOf(config)).toEqual([]);
    expect(placesOf(bad)).toEqual([at].flat());
  });
}

test("a capability that the kernel doesn't know is a warning", () => {
  const config = process({ capabilities: { bounding: ["CAP_KILL", "CAP_CHOWM"], ambient: ["chown"] } });
  expect(problemsOf(config)).toEqual([]);
  expect(warningsOf(config)).toEqual([
    {
      at: "process.capabilities.bounding[1]",
      message: 'unknown capability "CAP_CHOWM", which isn\'t granted',
      hint: "did you mean `CAP_CHOWN`?",
    },
    { at: "process.capabilities.ambient[0]", message: 'unknown capability "chown", which isn\'t granted' },
  ]);
});

test("a relative mount destination is a warning", () => {
  const config = { mounts: [{ destination: "/a" }, { destination: "b" }] };
  expect(problemsOf(config)).toEqual([]);
  expect(warningsOf(config)).toEqual([
    { at: "mounts[1].destination", message: 'relative path "b" is deprecated and means "/b"' },
  ]);
});

test("a listener that nothing notifies is a warning", () => {
  const config = linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/run/agent" } });
  expect(warningsOf(config).map(({ at }) => at)).toEqual(["linux.seccomp.listenerPath"]);
});

test("of a seccomp filter, what has no effect is a warning; a valueTwo of 0 isn't", () => {
  const config = linux({
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
      syscalls: [
        {
          names: ["a"],
          action: "SCMP_ACT_KILL",
          args: [
            { index: 0, value: 1, valueTwo: 0, op: "SCMP_CMP_EQ" },
            { index: 1, value: 1, valueTwo: 2, op: "SCMP_CMP_MASKED_EQ" },
            { index: 2, value: 1, valueTwo: 2, op: "SCMP_CMP_NE" },
          ],
        },
      ],
    },
  });
  expect(warningsOf(config).map(({ at }) => at)).toEqual([
    "linux.seccomp.flags[1]",
    "linux.seccomp.syscalls[0].args[2].valueTwo",
  ]);
});

test("checks of all parts report at once", () => {
  expect(placesOf({ hostname: "h", ...process({ cwd: "x" }), ...linux({ maskedPaths: ["y"] }) })).toEqual([
    "hostname",
    "process.cwd",
    "linux.maskedPaths[0]",
  ]);
});

test("the smallest config passes every check alone", () => {
  for (const check of CONFIG_CHECKS) expect(check({ ociVersion: "1.3.0" })).toEqual([]);
});

test("a config is runnable with a root, a process and a program", () => {
  const places = (more: object) => runnableProblems(validConfig(more)).map(({ at }) => at);
  expect(places({})).toEqual(["root", "process"]);
  expect(places({ root: { path: "r" }, ...process({}) })).toEqual(["process.args"]);
  expect(places({ root: { path: "r" }, ...process({ args: [] }) })).toEqual(["process.args"]);
  expect(places({ root: { path: "r" }, ...process({ args: [""] }) })).toEqual(["process.args"]);
  expect(places({ root: { path: "r" }, ...process({ args: ["sh"] }) })).toEqual([]);
});

test("a problem in a namespace of the host says how to get one", () => {
  expect(problemsOf(linux({ sysctl: { "net.a": "1" } }))[0]?.hint).toBe(
    'add {"type": "network"} to linux.namespaces',
  );
  expect(parseConfig('{"ociVersion":"1.3.0","hostname":"h"}')).toMatchObject({
    problems: [{ hint: 'add {"type": "uts"} to linux.namespaces' }],
  });
});
