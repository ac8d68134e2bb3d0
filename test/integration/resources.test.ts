/** linux.resources on whatever hierarchies this machine has: what the kernel holds of it, and what a program feels. */
import { describe, expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import { openBox, type TestBundle, test, testWhen, until } from "./helpers.ts";

const box = openBox("resources");
const hierarchies = process.geteuid?.() === 0 ? readHierarchies() : [];

/** Where a container's control files of a v1 controller are. */
const directoryOf = (b: TestBundle, controller: string) => {
  const h = hierarchies.find(({ version, options }) => version === 1 && options.includes(controller));
  return join(h?.mountpoint ?? "/nowhere", `kontena-${b.id}`);
};
const unified = hierarchies.find(({ version }) => version === 2)?.mountpoint;
const onV1 = (...controllers: string[]) =>
  testWhen(
    controllers.every((c) =>
      hierarchies.some(({ version, options }) => version === 1 && options.includes(c)),
    ),
  );

const hasCpuset = hierarchies.some(
  ({ version, mountpoint, options }) =>
    options.includes("cpuset") ||
    (version === 2 && readFileSync(join(mountpoint, "cgroup.controllers"), "utf8").includes("cpuset")),
);

const limited = (resources: Resources, args: string | string[] = ["true"]): TestBundle =>
  box.bundle({
    args,
    patch: (config) => {
      config.linux.resources = resources;
    },
  });

/** Control files of a created container. */
function filesOf(resources: Resources, files: Record<string, string[]>): Record<string, string> {
  const b = limited(resources);
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  return Object.fromEntries(
    Object.entries(files).flatMap(([controller, names]) =>
      names.map((name) => [name, readFileSync(join(directoryOf(b, controller), name), "utf8").trim()]),
    ),
  );
}

const MB = 1024 * 1024;

describe("on v1, the kernel holds", () => {
  onV1("memory")("the limits of memory", () => {
    const memory = {
      limit: 64 * MB,
      swap: 96 * MB,
      reservation: 32 * MB,
      swappiness: 10,
      disableOOMKiller: true,
    };
    const files = filesOf(
      { memory },
      {
        memory: [
          "memory.limit_in_bytes",
          "memory.memsw.limit_in_bytes",
          "memory.soft_limit_in_bytes",
          "memory.swappiness",
          "memory.oom_control",
        ],
      },
    );
    expect(files).toEqual({
      "memory.limit_in_bytes": String(64 * MB),
      "memory.memsw.limit_in_bytes": String(96 * MB),
      "memory.soft_limit_in_bytes": String(32 * MB),
      "memory.swappiness": "10",
      "memory.oom_control": expect.stringContaining("oom_kill_disable 1"),
    });
  });

  onV1("cpu", "cpuset")("the limits of CPU time, and CPUs", () => {
    const cpu = { shares: 512, quota: 50_000, period: 200_000, burst: 10_000, cpus: "0", mems: "0" };
    const files = filesOf(
      { cpu },
      {
        cpu: ["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us"],
        cpuset: ["cpuset.cpus", "cpuset.mems"],
      },
    );
    expect(files).toEqual({
      "cpu.shares": "512",
      "cpu.cfs_quota_us": "50000",
      "cpu.cfs_period_us": "200000",
      "cpu.cfs_burst_us": "10000",
      "cpuset.cpus": "0",
      "cpuset.mems": "0",
    });
  });

  onV1("pids")("the limit of processes, 0 and none included", () => {
    expect(filesOf({ pids: { limit: 20 } }, { pids: ["pids.max"] })).toEqual({ "pids.max": "20" });
    expect(filesOf({ pids: { limit: 0 } }, { pids: ["pids.max"] })).toEqual({ "pids.max": "0" });
    expect(filesOf({ pids: { limit: -1 } }, { pids: ["pids.max"] })).toEqual({ "pids.max": "max" });
  });

  onV1("cpu")("the idle class", () => {
    expect(filesOf({ cpu: { idle: 1, shares: 100 } }, { cpu: ["cpu.idle"] })).toEqual({ "cpu.idle": "1" });
  });

  onV1("devices")("the rules for devices, and the default devices behind them", () => {
    const devices = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 10, minor: 200, access: "rw" },
      { allow: true, type: "b", major: 8, minor: 1, access: "r" },
    ];
    const list = filesOf({ devices }, { devices: ["devices.list"] })["devices.list"] ?? "";
    expect(list.split("\n").sort()).toEqual(
      [
        ...["c 10:200 rw", "b 8:1 r", "c *:* m", "b *:* m", "c 136:* rwm"],
        ...["c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm"],
      ].sort(),
    );
  });
});

test("a program can't have more processes than its limit", () => {
  const b = limited({ pids: { limit: 3 } }, "for i in 1 2 3 4; do sleep 5 & done; wait");
  const { status, stderr } = box.run(b);
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/fork/);
});

test("a program that takes more memory than its limit is killed, and the runtime is not", () => {
  const b = limited(
    { memory: { limit: 8 * MB, swap: 8 * MB } },
    "busybox head -c 64000000 /dev/zero | busybox tail",
  );
  const { stdout } = box.run(b);
  expect(stdout).toBe("");
  const exec = limited({ memory: { limit: 8 * MB } }, ["busybox", "tail", "-c", "50000000", "/dev/zero"]);
  const { status, stderr } = box.run(exec);
  expect(status).toBe(137);
  expect(stderr).toContain(
    `linux.resources.memory.limit: the program was killed, and the OOM killer was in its cgroup: the memory limit is ${8 * MB} bytes`,
  );
});

describe("a small memory limit", () => {
  // bench/memory-floor measures with a program of one page; busybox needs 256 KiB.
  test("of 512 KiB is enough for a shell", () => {
    const b = limited({ memory: { limit: 512 * 1024 } }, "echo fits");
    expect(box.run(b)).toMatchObject({ status: 0, stdout: "fits\n", stderr: "" });
  });

  test("that init doesn't fit in is told as that, and nothing is left", () => {
    for (const limit of [1, 4096, 16 * 1024, 64 * 1024]) {
      const { status, stderr } = box.run(limited({ memory: { limit } }));
      expect(status).toBe(1);
      expect(stderr).toContain(
        `linux.resources.memory.limit: the memory limit of ${limit} bytes is too small for the container to start`,
      );
    }
  });
});

onV1("cpuset")("a program sees the CPUs that it may use", () => {
  const b = limited({ cpu: { cpus: "0" } }, "busybox grep Cpus_allowed_list /proc/self/status");
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "Cpus_allowed_list:\t0\n" });
});

describe("devices", () => {
  // A number for experiments, which no driver has: an open that the rules allow finds no device.
  const [MAJOR, MINOR] = [240, 77];
  const ALLOWED = "No such device";
  const FORBIDDEN = "Operation not permitted";

  const tried = (resources: Resources | undefined): string => {
    const b = box.bundle({
      args: `busybox mknod /tmp/device c ${MAJOR} ${MINOR} && : < /tmp/device`,
      patch: (config) => {
        config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["dev"] });
        for (const set of ["bounding", "effective", "permitted"] as const)
          config.process.capabilities?.[set]?.push("CAP_MKNOD");
        if (resources === undefined) delete config.linux.resources;
        else config.linux.resources = resources;
      },
      fill: (rootfs) => mkdirSync(join(rootfs, "tmp"), { recursive: true }),
    });
    return box.run(b).stderr;
  };

  test("that no rule allows can be made and not opened", () => {
    expect(tried({ devices: [{ allow: false, access: "rwm" }] })).toContain(FORBIDDEN);
    expect(tried({ devices: [] })).toContain(FORBIDDEN);
    expect(tried({})).toContain(FORBIDDEN);
    expect(tried(undefined)).toContain(FORBIDDEN);
  });

  test("that a rule allows can be opened", () => {
    const rule = { allow: true, type: "c", major: MAJOR, minor: MINOR };
    expect(tried({ devices: [{ allow: false }, { ...rule, access: "r" }] })).toContain(ALLOWED);
    expect(tried({ devices: [{ allow: false }, { ...rule, access: "w" }] })).toContain(FORBIDDEN);
    expect(tried({ devices: [{ allow: true }] })).toContain(ALLOWED);
  });

  test("of the config can be opened when it has no rules", () => {
    const b = box.bundle({
      args: ": < /dev/experiment",
      patch: (config) => {
        delete config.linux.resources;
        config.linux.devices = [{ path: "/dev/experiment", type: "c", major: MAJOR, minor: MINOR }];
      },
    });
    expect(box.run(b).stderr).toContain(ALLOWED);
  });
});

describe("what can't be applied is refused by its name, and nothing is left:", () => {
  const refused = (resources: Resources) => {
    const b = limited(resources);
    const { status, stderr } = box.run(b);
    expect(status).toBe(1);
    return stderr;
  };

  test("a controller that the host hasn't got", () => {
    expect(refused({ rdma: { mlx5_0: { hcaHandles: 1 } } })).toContain(
      'linux.resources.rdma.mlx5_0: this host has no cgroup controller "rdma"',
    );
    expect(refused({ unified: { "nothing.max": "1" } })).toMatch(
      /linux\.resources\.unified\["nothing\.max"\]: (this host has no cgroup controller "nothing"|needs cgroup v2)/,
    );
  });

  test("several of them at once", () => {
    const text = refused({
      rdma: { mlx5_0: { hcaHandles: 1 } },
      unified: { "a/b": "1" },
    });
    expect(text).toContain("rdma.mlx5_0");
    expect(text).toContain('unified["a/b"]: is no name of a file');
  });

  test("a value that the kernel doesn't take", () => {
    expect(refused({ cpu: { quota: 1 } })).toMatch(
      /linux\.resources\.cpu\.quota: cannot write .*1.* to cpu\./,
    );
    if (!hasCpuset) return;
    expect(refused({ cpu: { cpus: "999" } })).toMatch(
      /linux\.resources\.cpu\.cpus: cannot write 999 to cpuset\.cpus/,
    );
  });

  onV1("devices")("a hole in a wider rule, which v1 can't express", () => {
    const devices = [
      { allow: true, type: "c", major: 10 },
      { allow: false, type: "c", major: 10, minor: 232 },
    ];
    expect(refused({ devices })).toContain(
      "linux.resources.devices: cgroup v1 can't forbid c 10:232 rwm alone",
    );
  });
});

test("what has no effect any more is a warning", () => {
  const b = limited({ memory: { kernel: 50 * MB, useHierarchy: false } });
  const { status, stderr } = box.run(b);
  expect(status).toBe(0);
  expect(stderr).toMatch(/memory\.kernel: isn't applied/);
  expect(stderr).toMatch(/memory\.useHierarchy: has no effect/);
});

test("what engines write for values that nobody has set is no limit", () => {
  const b = limited({
    memory: { limit: 0, reservation: 0, kernel: 0 },
    cpu: { shares: 0, quota: 0, cpus: "", mems: "" },
    blockIO: { weight: 0, weightDevice: [], throttleReadBpsDevice: [] },
    pids: { limit: -1 },
    hugepageLimits: [],
    network: {},
    devices: [{ allow: false, access: "rwm" }],
  });
  expect(box.run(b)).toMatchObject({ status: 0, stderr: "" });
});

testWhen(unified !== undefined)("on a hybrid host limits of v2 hold as well", () => {
  const b = limited({ unified: { "cgroup.max.depth": "3" } });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const file = join(unified ?? "", `kontena-${b.id}`, "cgroup.max.depth");
  expect(readFileSync(file, "utf8").trim()).toBe("3");
});

test("a container whose cgroup can't be limited leaves no cgroup, and one that is there stays", async () => {
  const parent = `kontena-${box.next()}`;
  const tops = hierarchies.map(({ mountpoint }) => join(mountpoint, parent));
  for (const top of tops) mkdirSync(top);
  try {
    const b = box.bundle({
      patch: (config) => {
        config.linux.cgroupsPath = `/${parent}/inner`;
        config.linux.resources = { cpu: { quota: 1 } };
      },
    });
    expect(box.run(b).status).toBe(1);
    for (const top of tops) expect(existsSync(join(top, "inner"))).toBe(false);
    for (const top of tops) expect(existsSync(top)).toBe(true);
  } finally {
    for (const top of tops) rmdirSync(top);
  }
  await until("the cgroups are gone", () => tops.every((top) => !existsSync(top)));
});

onV1("cpuset")("a narrow cpuset above bounds the container's, which has all of it unless told", () => {
  const parent = `kontena-${box.next()}`;
  const top = join(hierarchies.find(({ options }) => options.includes("cpuset"))?.mountpoint ?? "", parent);
  mkdirSync(top);
  try {
    writeFileSync(join(top, "cpuset.cpus"), "0");
    writeFileSync(join(top, "cpuset.mems"), "0");
    const b = box.bundle({
      args: "busybox grep Cpus_allowed_list /proc/self/status",
      patch: (config) => {
        config.linux.cgroupsPath = `/${parent}/inner`;
      },
    });
    expect(box.run(b)).toMatchObject({ status: 0, stdout: "Cpus_allowed_list:\t0\n" });
  } finally {
    rmdirSync(top);
  }
});

onV1("freezer")("a frozen cgroup of v1 above is refused, and not waited for", () => {
  const parent = `kontena-${box.next()}`;
  const top = join(hierarchies.find(({ options }) => options.includes("freezer"))?.mountpoint ?? "", parent);
  mkdirSync(top);
  try {
    writeFileSync(join(top, "freezer.state"), "FROZEN");
    const b = box.bundle({
      patch: (config) => {
        config.linux.cgroupsPath = `/${parent}/inner`;
      },
    });
    const { status, stderr } = box.run(b);
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/is frozen, or one above it/),
    });
    expect(existsSync(join(top, "inner"))).toBe(false);
  } finally {
    rmdirSync(top);
  }
});
