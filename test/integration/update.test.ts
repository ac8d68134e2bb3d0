/** update: limits that change under a running program. */
import { describe, expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import { openBox, type TestBundle, test, testWhen, until } from "./helpers.ts";

const box = openBox("update");
const hierarchies = process.geteuid?.() === 0 ? readHierarchies() : [];
const isV1 = hierarchies.some(({ version, options }) => version === 1 && options.includes("memory"));
const isV2 = hierarchies.length === 1 && hierarchies[0]?.version === 2;
const MB = 1024 * 1024;
/** Numbers of the block devices that can be throttled. */
const devices = readdirSync("/sys/block")
  .filter((name) => !name.startsWith("ram"))
  .map((name) => readFileSync(`/sys/block/${name}/dev`, "utf8").trim());
const hasIo = hierarchies.some(({ version, mountpoint, options }) =>
  version === 1
    ? options.includes("blkio")
    : readFileSync(join(mountpoint, "cgroup.controllers"), "utf8").split(/\s/).includes("io"),
);

/** A control file by its name on v1 and on v2. */
function file(b: TestBundle, controller: string, v1: string, v2: string): string {
  const h = hierarchies.find(({ version, options }) => (isV1 ? options.includes(controller) : version === 2));
  return readFileSync(join(h?.mountpoint ?? "", `kontena-${b.id}`, isV1 ? v1 : v2), "utf8").trim();
}
const memory = (b: TestBundle) => file(b, "memory", "memory.limit_in_bytes", "memory.max");
const pids = (b: TestBundle) => file(b, "pids", "pids.max", "pids.max");
const quota = (b: TestBundle) => file(b, "cpu", "cpu.cfs_quota_us", "cpu.max").split(" ")[0];

function running(resources: Resources, script = "sleep 60"): TestBundle {
  const b = box.bundle({
    args: script,
    patch: (config) => {
      config.linux.resources = resources;
    },
  });
  expect(box.run(b, "--detach")).toMatchObject({ status: 0, stderr: "" });
  return b;
}

const update = (b: TestBundle, ...options: string[]) => box.kontena(["update", ...options, b.id]);

function stored(b: TestBundle): Resources | undefined {
  const state = JSON.parse(readFileSync(join(box.root, b.id, "state.json"), "utf8")) as {
    cgroup?: { resources?: Resources };
  };
  return state.cgroup?.resources;
}

describe("a change", () => {
  test("by options holds, and leaves the other limits", () => {
    const b = running({ memory: { limit: 64 * MB }, pids: { limit: 40 } });
    expect(update(b, "--memory", "96m", "--cpu-quota", "50000")).toMatchObject({ status: 0, stderr: "" });
    expect([memory(b), quota(b), pids(b)]).toEqual([String(96 * MB), "50000", "40"]);
    expect(stored(b)).toMatchObject({
      memory: { limit: 96 * MB },
      cpu: { quota: 50_000 },
      pids: { limit: 40 },
    });
    expect(update(b, "--pids-limit", "-1", "--cpu-quota=-1")).toMatchObject({ status: 0, stderr: "" });
    expect([quota(b), pids(b)]).toEqual([isV1 ? "-1" : "max", "max"]);
  });

  test("by a file and by standard input holds, as engines ask for it", () => {
    const b = running({ memory: { limit: 64 * MB } });
    const path = join(b.directory, "resources.json");
    // What Docker writes for `update --pids-limit 30`: all else is 0 or empty.
    const docker = {
      blockIO: { weight: 0 },
      cpu: { shares: 0, cpus: "", mems: "" },
      memory: { limit: 0, reservation: 0, kernel: 0 },
      pids: { limit: 30 },
    };
    writeFileSync(path, JSON.stringify(docker));
    expect(update(b, `--resources=${path}`)).toMatchObject({ status: 0, stderr: "" });
    expect([memory(b), pids(b)]).toEqual([String(64 * MB), "30"]);
    const stdin = JSON.stringify({ memory: { limit: 32 * MB } });
    expect(box.kontena(["update", "--resources", "-", b.id], { stdin })).toMatchObject({
      status: 0,
      stderr: "",
    });
    expect([memory(b), pids(b)]).toEqual([String(32 * MB), "30"]);
  });

  test("knows what earlier ones have set: memory and swap together", () => {
    const b = running({ memory: { limit: 64 * MB, swap: 128 * MB } });
    const swap = () => file(b, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
    expect(update(b, "--memory-swap", "256m")).toMatchObject({ status: 0, stderr: "" });
    expect(swap()).toBe(String(isV1 ? 256 * MB : 192 * MB));
    expect(update(b, "--memory", "128m")).toMatchObject({ status: 0, stderr: "" });
    expect([memory(b), swap()]).toEqual([String(128 * MB), String(isV1 ? 256 * MB : 128 * MB)]);
    expect(update(b, "--memory", "-1")).toMatchObject({ status: 0, stderr: "" });
  });

  test("of device rules takes effect in the running program", async () => {
    const b = box.bundle({
      args: "while :; do (: < /dev/experiment) 2>&1; sleep 0.02; done",
      patch: (config) => {
        config.linux.resources = { devices: [{ allow: false, access: "rwm" }] };
        config.linux.devices = [{ path: "/dev/experiment", type: "c", major: 240, minor: 77 }];
      },
    });
    const { output } = box.run(b, "--detach");
    const last = () => output().trim().split("\n").at(-1) ?? "";
    await until("the device is forbidden", () => last().includes("not permitted"));
    const allowed = { devices: [{ allow: true, type: "c", major: 240, minor: 77, access: "r" }] };
    box.kontena(["update", "-r", "-", b.id], { stdin: JSON.stringify(allowed) });
    await until("the device is allowed", () => last().includes("No such device"));
    expect(stored(b)).toEqual(allowed);
    const none = { devices: [] };
    expect(box.kontena(["update", "-r", "-", b.id], { stdin: JSON.stringify(none) }).status).toBe(0);
    await until("the device is forbidden again", () => last().includes("not permitted"));
  });
});

describe("a change that fails leaves the limits as they were:", () => {
  test("a value that the kernel refuses after others were written", () => {
    const b = running({ memory: { limit: 64 * MB }, pids: { limit: 40 } });
    const change: Resources = { memory: { limit: 80 * MB }, cpu: { quota: 1 } };
    const stdin = JSON.stringify(change);
    const { status, stderr } = box.kontena(["update", "-r", "-", b.id], { stdin });
    expect(status).toBe(1);
    expect(stderr).toContain("linux.resources.cpu.quota: cannot write");
    expect(memory(b)).toBe(String(64 * MB));
    expect(stored(b)).toEqual({ memory: { limit: 64 * MB }, pids: { limit: 40 } });
  });

  const refused = (b: TestBundle, change: Resources) =>
    expect(box.kontena(["update", "-r", "-", b.id], { stdin: JSON.stringify(change) }).status).toBe(1);

  testWhen(isV1)("the OOM killer, whose switch is read otherwise than it is written", () => {
    const b = running({ memory: { limit: 64 * MB } });
    refused(b, { memory: { disableOOMKiller: true }, cpu: { quota: 1 } });
    expect(file(b, "memory", "memory.oom_control", "")).toContain("oom_kill_disable 0");
  });

  testWhen(devices.length > 0 && hasIo)(
    "throttles of a device that had others, and of one that had none",
    () => {
      const [major, minor] = (devices[0] ?? "").split(":").map(Number) as [number, number];
      const throttles = () => [
        file(b, "blkio", "blkio.throttle.read_bps_device", "io.max"),
        ...(isV1 ? [file(b, "blkio", "blkio.throttle.write_iops_device", "io.max")] : []),
      ];
      const b = running({ blockIO: { throttleReadBpsDevice: [{ major, minor, rate: MB }] } });
      const before = throttles();
      const rate = { major, minor, rate: 5000 };
      const absent = { major: 240, minor: 77, rate: 5000 };
      const change = { throttleReadBpsDevice: [rate], throttleWriteIOPSDevice: [rate, absent] };
      refused(b, { blockIO: change });
      expect(throttles()).toEqual(before);
      const none = running({});
      refused(none, { blockIO: change });
      expect(file(none, "blkio", "blkio.throttle.read_bps_device", "io.max")).toBe("");
    },
  );

  test("a limit that this host can't apply", () => {
    const b = running({ pids: { limit: 40 } });
    const stdin = JSON.stringify({ pids: { limit: 5 }, rdma: { x: { hcaHandles: 1 } } });
    const { status, stderr } = box.kontena(["update", "-r", "-", b.id], { stdin });
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("linux.resources.rdma.x"),
    });
    expect(pids(b)).toBe("40");
  });
});

describe("is refused:", () => {
  test("nothing to change, both ways at once, and what is no limit", () => {
    const b = running({});
    expect(update(b).stderr).toContain("update: nothing to change");
    expect(update(b, "-r", "/dev/null", "--memory", "1g").stderr).toContain("--resources has all limits");
    expect(update(b, "--memory", "much").stderr).toContain('update: --memory: "much" isn\'t a size');
    expect(update(b, "--pids-limit", "-2").stderr).toContain(
      '--pids-limit: "-2" isn\'t a whole number, or -1',
    );
    expect(update(b, "--l3-cache-schema", "L3:0=1").stderr).toContain("resctrl file system");
    expect(update(b, "--mem-bw-schema", "L3:0=1").stderr).toContain("--mem-bw-schema is one line");
    expect(update(b, "-r", "/nowhere").stderr).toContain("cannot read the resources from /nowhere: ENOENT");
    expect(update(b, "-r", "/dev/zero").stderr).toContain("cannot read the resources from /dev/zero: EFBIG");
  });

  test("JSON that isn't linux.resources, with all problems", () => {
    const b = running({});
    const say = (stdin: string) => box.kontena(["update", "-r", "-", b.id], { stdin }).stderr;
    expect(say("{")).toContain("standard input are not JSON");
    const text = say('{"memory": {"limit": "64m"}, "cpu": {"shares": -1}}');
    expect(text).toContain("memory.limit");
    expect(text).toContain("cpu.shares");
  });

  test("a container that has stopped, that nobody has, or that has no cgroup", async () => {
    expect(box.kontena(["update", "--memory", "64m", "nobody"]).stderr).toContain("does not exist");
    const b = box.bundle({ args: ["true"] });
    box.run(b, "--keep");
    expect(update(b, "--memory", "64m")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("not running"),
    });
    const free = box.bundle({ args: ["sleep", "60"] });
    const globals = ["--root", box.root, "--cgroup-manager", "disabled"];
    box.kontena(["run", "--detach", "--bundle", free.directory, free.id], { globals });
    expect(update(free, "--memory", "64m").stderr).toContain("has no cgroup that could be limited");
  });
});

testWhen(isV1)("v1 refuses a limit on memory that is below what is in use, by itself", () => {
  const b = running({}, "busybox dd if=/dev/zero of=/dev/shm/x bs=1M count=20; sleep 60");
  const used = () => Number(file(b, "memory", "memory.usage_in_bytes", ""));
  for (let i = 0; i < 400 && used() < 15 * MB; i++) Bun.sleepSync(5);
  expect(update(b, "--memory", "1m").stderr).toContain("more than that is in use");
});

testWhen(isV2)("an update leaves what unified says of the same file, which counts last, and tells so", () => {
  const b = running({ unified: { "cpu.max": "20000 50000", "memory.max": String(32 * MB) } });
  const { status, stderr } = update(b, "--cpu-period", "70000", "--memory", "64m");
  expect(status).toBe(0);
  expect(stderr).toContain('linux.resources.unified["cpu.max"]: cpu.max stays as it is: 20000 50000');
  expect(stderr).toContain('linux.resources.unified["memory.max"]');
  const limits = () => [file(b, "cpu", "", "cpu.max"), memory(b)];
  expect(limits()).toEqual(["20000 50000", String(32 * MB)]);
  const stdin = JSON.stringify({ unified: { "cpu.max": "30000 50000" } });
  expect(box.kontena(["update", "-r", "-", b.id], { stdin })).toMatchObject({ status: 0, stderr: "" });
  expect(limits()).toEqual(["30000 50000", String(32 * MB)]);
});
