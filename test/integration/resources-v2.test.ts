/** linux.resources where cgroup v2 is alone, as in the lab: files, births under limits, delegation, ownership. */
import { describe, expect } from "bun:test";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import {
  asNobody,
  NOBODY,
  openBox,
  rootless,
  type TestBundle,
  type TestConfig,
  testWhen,
  until,
} from "./helpers.ts";

const hierarchies = process.geteuid?.() === 0 ? readHierarchies() : [];
const alone = hierarchies.length === 1 && hierarchies[0]?.version === 2;
const top = hierarchies[0]?.mountpoint ?? "";
const box = openBox("resources2");
const test = testWhen(alone);
const MB = 1024 * 1024;

const read = (...path: string[]) => readFileSync(join(top, ...path), "utf8").trim();

function bundle(
  resources: Resources,
  args: string | string[] = ["true"],
  patch?: (config: TestConfig) => void,
) {
  return box.bundle({
    args,
    patch: (config) => {
      config.linux.resources = resources;
      patch?.(config);
    },
  });
}

function created(resources: Resources, patch?: (config: TestConfig) => void): TestBundle {
  const b = bundle(resources, ["true"], patch);
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  return b;
}

/** A directory for containers that goes with the test. */
function within(run: (path: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const name = `kontena-${box.next()}`;
    mkdirSync(join(top, name));
    try {
      await run(name);
    } finally {
      for (const id of box.ids()) box.kontena(["delete", "--force", id]);
      removeAll(join(top, name));
    }
  };
}

function removeAll(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeAll(join(directory, entry.name));
  rmdirSync(directory);
}

describe("on v2, the kernel holds", () => {
  test("the limits of memory, CPU time and processes", () => {
    const b = created({
      memory: { limit: 64 * MB, reservation: 32 * MB },
      cpu: { shares: 1024, quota: 50_000, period: 200_000, burst: 10_000 },
      pids: { limit: 20 },
      unified: { "memory.high": "33554432" },
    });
    const directory = `kontena-${b.id}`;
    const files = [
      "memory.max",
      "memory.low",
      "memory.high",
      "cpu.weight",
      "cpu.max",
      "cpu.max.burst",
      "pids.max",
    ];
    expect(files.map((file) => read(directory, file))).toEqual(
      [64 * MB, 32 * MB, 32 * MB, 100, "50000 200000", 10_000, 20].map(String),
    );
  });

  test("0 and 1 as limits of processes, under which nobody could be born", () => {
    for (const limit of [0, 1]) {
      const b = created({ pids: { limit } });
      expect(read(`kontena-${b.id}`, "pids.max")).toBe(String(limit));
      expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stderr: "" });
    }
  });
});

describe("where v2 has the controller, the kernel holds", () => {
  const available = alone ? read("cgroup.controllers").split(" ") : [];
  const having = (controller: string) => testWhen(available.includes(controller));

  having("cpuset")("CPUs and memory nodes", () => {
    const b = created({ cpu: { cpus: "0", mems: "0" } });
    expect(["cpuset.cpus", "cpuset.mems"].map((file) => read(`kontena-${b.id}`, file))).toEqual(["0", "0"]);
  });

  having("hugetlb")("reservations of huge pages", () => {
    const b = created({ hugepageLimits: [{ pageSize: "2MB", limit: 4 * MB }] });
    expect(read(`kontena-${b.id}`, "hugetlb.2MB.rsvd.max")).toBe(String(4 * MB));
    const other = bundle({ hugepageLimits: [{ pageSize: "7MB", limit: 0 }] });
    expect(box.run(other).stderr).toContain(
      "linux.resources.hugepageLimits[0]: this kernel has no huge pages of 7MB",
    );
  });

  having("io")("throttles of a block device, and names one that isn't there", () => {
    const name = readdirSync("/sys/block").find((entry) => !entry.startsWith("ram"));
    const numbers = name === undefined ? "" : readFileSync(`/sys/block/${name}/dev`, "utf8").trim();
    const [major, minor] = numbers.split(":").map(Number) as [number, number];
    const rate = { major, minor, rate: MB };
    if (numbers !== "") {
      const b = created({ blockIO: { throttleReadBpsDevice: [rate], throttleWriteIOPSDevice: [rate] } });
      expect(read(`kontena-${b.id}`, "io.max")).toBe(`${numbers} rbps=${MB} wbps=max riops=max wiops=${MB}`);
      expect(
        box.kontena(["update", "-r", "-", b.id], {
          stdin: JSON.stringify({ blockIO: { throttleReadBpsDevice: [{ ...rate, rate: 0 }] } }),
        }),
      ).toMatchObject({ status: 0, stderr: "" });
      expect(read(`kontena-${b.id}`, "io.max")).toBe(`${numbers} rbps=max wbps=max riops=max wiops=${MB}`);
    }
    const absent = bundle({ blockIO: { throttleReadBpsDevice: [{ major: 240, minor: 77, rate: 1 }] } });
    expect(box.run(absent).stderr).toContain(
      "linux.resources.blockIO.throttleReadBpsDevice[0]: cannot write 240:77 rbps=1 to io.max: no such device",
    );
  });

  having("rdma")("nothing of an RDMA device that isn't there, which is told", () => {
    const b = bundle({ rdma: { nowhere_0: { hcaHandles: 1 } } });
    expect(box.run(b).stderr).toContain(
      "linux.resources.rdma.nowhere_0: cannot write nowhere_0 hca_handle=1",
    );
  });
});

test("init is born in its cgroup, and the runtime's memory isn't charged there", () => {
  const b = created({ memory: { limit: 8 * MB } });
  const pids = read(`kontena-${b.id}`, "cgroup.procs").split("\n");
  expect(pids).toEqual([String(box.state(b.id).pid)]);
  expect(Number(read(`kontena-${b.id}`, "memory.current"))).toBeLessThan(MB);
});

test(
  "controllers are enabled from the top down to where the container is",
  within((name) => {
    const b = created({ memory: { limit: 64 * MB }, pids: { limit: 9 } }, (config) => {
      config.linux.cgroupsPath = `/${name}/a/b/c`;
    });
    expect(read(name, "a/b/c/memory.max")).toBe(String(64 * MB));
    expect(read(name, "a/b/c/pids.max")).toBe("9");
    expect(read(name, "a/cgroup.subtree_control").split(" ")).toContain("memory");
    box.kontena(["delete", "--force", b.id]);
    expect(existsSync(join(top, name, "a"))).toBe(false);
  }),
);

test(
  "a parent with processes of its own can't hand controllers down, and a container without limits doesn't need them",
  within(async (name) => {
    mkdirSync(join(top, name, "busy"));
    const sleeper = Bun.spawn(["sleep", "60"]);
    writeFileSync(join(top, name, "busy/cgroup.procs"), String(sleeper.pid));
    const at = (config: TestConfig) => {
      config.linux.cgroupsPath = `/${name}/busy/inner`;
    };
    try {
      const limited = bundle({ memory: { limit: 64 * MB } }, ["true"], at);
      const { status, stderr } = box.run(limited);
      expect(status).toBe(1);
      expect(stderr).toContain("linux.resources.memory.limit");
      expect(stderr).toContain("it has processes of its own");
      expect(box.run(bundle({}, ["true"], at))).toMatchObject({ status: 0, stderr: "" });
    } finally {
      sleeper.kill("SIGKILL");
      await sleeper.exited;
      await until("it has left", () => read(name, "busy/cgroup.procs") === "");
    }
  }),
);

test(
  "a cgroup among threaded ones takes no container",
  within((name) => {
    mkdirSync(join(top, name, "threads"));
    writeFileSync(join(top, name, "threads/cgroup.type"), "threaded");
    const b = bundle({}, ["true"], (config) => {
      config.linux.cgroupsPath = `/${name}/inner`;
    });
    expect(box.run(b).stderr).toContain("takes no process: it is domain invalid");
  }),
);

test(
  "a frozen cgroup above is refused, and not waited for",
  within((name) => {
    writeFileSync(join(top, name, "cgroup.freeze"), "1");
    const b = bundle({}, ["true"], (config) => {
      config.linux.cgroupsPath = `/${name}/inner`;
    });
    expect(box.run(b).stderr).toMatch(/is frozen, or one above it/);
    writeFileSync(join(top, name, "cgroup.freeze"), "0");
  }),
);

test("delete removes cgroups that the container has made, with processes that take no other signal", () => {
  const script =
    "mount -t cgroup2 none /mnt && mkdir -p /mnt/a/b && { (trap '' TERM HUP INT; while :; do sleep 1; done) & } && echo $! > /mnt/a/b/cgroup.procs && echo 1 > /mnt/a/cgroup.freeze && echo ready && sleep 60";
  const b = box.bundle({
    args: script,
    patch: (config) => {
      for (const set of ["bounding", "effective", "permitted"] as const)
        config.process.capabilities?.[set]?.push("CAP_SYS_ADMIN");
    },
    fill: (rootfs) => mkdirSync(join(rootfs, "mnt")),
  });
  const { output } = box.run(b, "--detach");
  const end = Date.now() + 5000;
  while (!output().includes("ready") && Date.now() < end) Bun.sleepSync(5);
  expect(output()).toContain("ready");
  expect(existsSync(join(top, `kontena-${b.id}`, "a/b"))).toBe(true);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(existsSync(join(top, `kontena-${b.id}`))).toBe(false);
});

describe("ownership", () => {
  const mount =
    (...options: string[]) =>
    (config: TestConfig) => {
      config.process.user = { uid: 5, gid: 6 };
      config.mounts = config.mounts.filter(({ destination }) => destination !== "/sys/fs/cgroup");
      config.mounts.push({ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options });
    };
  const owners = (b: TestBundle) =>
    Object.fromEntries(
      [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.max", "cgroup.freeze"].map(
        (file) => [file, statSync(join(top, `kontena-${b.id}`, file)).uid],
      ),
    );
  const delegated = (uid: number) => ({
    ".": uid,
    "cgroup.procs": uid,
    "cgroup.threads": uid,
    "cgroup.subtree_control": uid,
    "memory.max": 0,
    "cgroup.freeze": 0,
  });

  test("goes to the program's user with a cgroup namespace and a writable mount, and only of what is delegated", () => {
    expect(owners(created({}, mount("nosuid")))).toEqual(delegated(5));
  });

  test("stays with a read-only mount, or without a cgroup namespace", () => {
    expect(owners(created({}, mount("ro")))).toEqual(delegated(0));
    const shared = created({}, (config) => {
      mount()(config);
      config.linux.namespaces = config.linux.namespaces?.filter(({ type }) => type !== "cgroup") ?? [];
    });
    expect(owners(shared)).toEqual(delegated(0));
  });

  test("goes to the host's id of that user in a user namespace", () => {
    const mappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
    const b = box.bundle({
      patch: (config) => {
        mount()(config);
        config.linux.namespaces?.push({ type: "user" });
        Object.assign(config.linux, { uidMappings: mappings, gidMappings: mappings });
      },
      fill: (rootfs) => chownSync(rootfs, 100_000, 100_000),
    });
    expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
    expect(owners(b)).toEqual(delegated(100_005));
  });
});

describe("a user without root's rights", () => {
  const DELEGATED = [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

  /** kontena as nobody, from a cgroup of its own in a tree that is nobody's. */
  function asDelegated(b: TestBundle, tree: string) {
    for (const file of DELEGATED) chownSync(join(top, tree, file), NOBODY, NOBODY);
    const options = asNobody(box, b);
    const enter = `echo 0 > ${join(top, tree, "shell", "cgroup.procs")}; exec "$@"`;
    return { ...options, before: ["sh", "-c", enter, "sh", ...(options.before ?? [])] };
  }

  const unprivileged = (resources: Resources, args: string): TestBundle =>
    box.bundle({
      args,
      patch: (config) => {
        rootless(config);
        config.linux.resources = resources;
      },
    });

  test(
    "has limits where a part of the tree is delegated to it",
    within((name) => {
      writeFileSync(join(top, "cgroup.subtree_control"), "+memory +pids");
      mkdirSync(join(top, name, "shell"));
      const b = unprivileged(
        { memory: { limit: 32 * MB }, pids: { limit: 12 }, devices: [{ allow: false, access: "rwm" }] },
        "busybox cat /proc/self/cgroup; sleep 60",
      );
      const options = asDelegated(b, name);
      const { status, stderr, output } = box.kontena(
        ["run", "--detach", "--bundle", b.directory, b.id],
        options,
      );
      expect({ status, stderr }).toMatchObject({
        status: 0,
        stderr: expect.stringContaining("the device rules are left out"),
      });
      const directory = join(name, `kontena-${b.id}`);
      expect(read(directory, "memory.max")).toBe(String(32 * MB));
      expect(read(directory, "pids.max")).toBe("12");
      const end = Date.now() + 5000;
      while (output() === "" && Date.now() < end) Bun.sleepSync(5);
      expect(output()).toBe(`0::/${directory}\n`);
      const change = box.kontena(["update", "--pids-limit", "15", b.id], options);
      expect(change).toMatchObject({ status: 0, stderr: "" });
      expect(read(directory, "pids.max")).toBe("15");
      expect(box.kontena(["delete", "--force", b.id], options)).toMatchObject({ status: 0, stderr: "" });
      expect(existsSync(join(top, directory))).toBe(false);
    }),
  );

  test("has none elsewhere: a limit is refused, and a container without runs", () => {
    const limited = unprivileged({ memory: { limit: 32 * MB } }, "true");
    const { status, stderr } = box.kontena(
      ["run", "--bundle", limited.directory, limited.id],
      asNobody(box, limited),
    );
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/no right to make a cgroup/),
    });
    const free = unprivileged({ devices: [{ allow: false, access: "rwm" }] }, "echo runs");
    expect(box.kontena(["run", "--bundle", free.directory, free.id], asNobody(box, free))).toMatchObject({
      status: 0,
      stdout: "runs\n",
      stderr: "",
    });
    const forbidden = unprivileged(
      { devices: [{ allow: false, type: "c", major: 10, access: "rwm" }] },
      "true",
    );
    expect(
      box.kontena(["run", "--bundle", forbidden.directory, forbidden.id], asNobody(box, forbidden)).status,
    ).toBe(1);
  });
});
