/** events: statistics in runc's form, and out-of-memory kills. */
import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  controllerOf,
  KONTENA,
  openBox,
  type TestBundle,
  test,
  testNeeding,
  testWhen,
  until,
} from "./helpers.ts";

const box = openBox("events");
const runcTest = testNeeding("root", "busybox", "runc");
const ok = { status: 0, stderr: "" };

function started(args: string | string[], patch?: Parameters<typeof box.bundle>[0]): TestBundle {
  const b = box.bundle({ args, ...patch });
  expect(box.create(b)).toMatchObject(ok);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  return b;
}

interface StatsEvent {
  type: string;
  id: string;
  data: {
    cpu: { usage: { total: number } };
    memory: { usage: { usage?: number; limit: number } };
    pids: { current?: number };
    network_interfaces: unknown;
  };
}
/** The events of what was printed so far: the last line may have come in part. */
const linesOf = (text: string) =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as StatsEvent);

const BUSY = "sleep 1000 & i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; wait";

test("events --stats prints one event with the container's own numbers", async () => {
  const b = started(BUSY);
  const stats = () => {
    const { status, stdout } = box.kontena(["events", "--stats", b.id]);
    expect(status).toBe(0);
    const events = linesOf(stdout);
    expect(events).toHaveLength(1);
    return events[0] as StatsEvent;
  };
  expect(stats()).toMatchObject({ type: "stats", id: b.id, data: { network_interfaces: null } });
  await until("CPU time was used", () => stats().data.cpu.usage.total > 10_000_000);
  if (controllerOf("", "pids") !== undefined) expect(stats().data.pids.current).toBe(2);
  const memory = controllerOf("", "memory");
  if (memory !== undefined) {
    expect(stats().data.memory.usage.usage).toBeGreaterThan(0);
    const unlimited = memory.version === 1 ? "9223372036854771712" : "18446744073709551615";
    expect(box.kontena(["events", "--stats", b.id]).stdout).toContain(`"limit":${unlimited},`);
  }
});

/** Names of all fields, with their depth and order; numbers, and what is left out as 0, differ. */
function shapeOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value) || value === null || typeof value !== "object") return [path];
  return Object.entries(value).flatMap(([key, part]) => shapeOf(part, `${path}.${key}`));
}

runcTest("the fields are those of runc's on this machine, in the same order", () => {
  const b = started(BUSY);
  Bun.sleepSync(100);
  const root = join(box.directory, "runc");
  const id = `${b.id}-runc`;
  const runc = (...words: string[]) =>
    Bun.spawnSync(["runc", "--root", root, ...words], {
      // The container would hold a pipe open.
      stdio: ["ignore", words[0] === "run" ? "ignore" : "pipe", "ignore"],
    });
  try {
    expect(runc("run", "--detach", "--bundle", b.directory, id).exitCode).toBe(0);
    Bun.sleepSync(100);
    const theirs = shapeOf(JSON.parse(String(runc("events", "--stats", id).stdout)));
    const ours: string[] = shapeOf(JSON.parse(box.kontena(["events", "--stats", b.id]).stdout));
    // What is 0 is left out, and differs from moment to moment; runc doesn't look into v2
    // beside v1, and 1.1 knows neither pressure nor the CPUs of v2.
    const always = theirs.filter((path) => !/blkio|\.(usage|max|cache|current|user|kernel)$/.test(path));
    expect(ours.filter((path) => always.includes(path))).toEqual(always);
    expect(
      ours
        .filter((path) => !theirs.includes(path))
        .filter((path) => !/usage|max|cache|blkio|hugetlb|psi|cpuset/.test(path)),
    ).toEqual([]);
  } finally {
    runc("delete", "--force", id);
  }
});

test("events goes on at the interval, and ends with the container", async () => {
  const b = started(["sleep", "1000"]);
  const running = box.spawn(["events", "--interval", "50ms", b.id]);
  await until("three events", () => linesOf(running.output()).length >= 3);
  expect(new Set(linesOf(running.output()).map((e) => e.type))).toEqual(new Set(["stats"]));
  box.kontena(["kill", b.id, "KILL"]);
  expect(await running.exited).toBe(0);
  expect(running.errors()).toBe("");
});

testWhen(controllerOf("", "memory") !== undefined)(
  "an out-of-memory kill is an event at once, also when it ends the container",
  async () => {
    const b = started("read go < /go; tail /dev/zero", {
      fill: (rootfs) => Bun.spawnSync(["mkfifo", join(rootfs, "go")]),
    });
    const { path, version } = controllerOf(`kontena-${b.id}`, "memory") ?? { path: "", version: 1 };
    writeFileSync(join(path, version === 1 ? "memory.limit_in_bytes" : "memory.max"), String(8 << 20));
    const running = box.spawn(["events", "--interval", "50ms", b.id]);
    // Whoever tells of statistics listens already.
    await until("events listens", () => linesOf(running.output()).length > 0);
    writeFileSync(join(b.rootfs, "go"), "go\n");
    expect(await running.exited).toBe(0);
    const kills = linesOf(running.output()).filter(({ type }) => type === "oom");
    expect(kills.length).toBeGreaterThan(0);
    for (const kill of kills) expect(kill).toEqual({ type: "oom", id: b.id } as StatsEvent);
  },
);

test("events of a container that doesn't run, or isn't there, is refused in runc's words", async () => {
  const b = started(["true"]);
  await until("it has stopped", () => box.state(b.id).status === "stopped");
  for (const more of [[], ["--stats"]]) {
    const { status, stderr } = box.kontena(["events", ...more, b.id]);
    expect([status, stderr]).toEqual([1, `kontena: container with id ${b.id} is not running\n`]);
  }
  expect(box.kontena(["events", "nobody"]).stderr).toContain("container does not exist");
  expect(box.kontena(["events", "--interval", "0", b.id]).stderr).toContain("isn't between 1 ms and 24 days");
});

test("a created and a paused container have statistics; one without a cgroup has none, which is said", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  box.create(b);
  expect(box.kontena(["events", "--stats", b.id]).status).toBe(0);
  box.kontena(["pause", b.id]);
  expect(box.kontena(["events", "--stats", b.id]).status).toBe(0);
  const without = box.bundle({
    args: ["sleep", "1000"],
    patch: (config) => {
      config.mounts = config.mounts.filter((m) => m.type !== "cgroup");
    },
  });
  const globals = ["--root", box.root, "--cgroup-manager", "disabled"];
  box.kontena(["create", "--bundle", without.directory, without.id], { globals });
  expect(box.kontena(["events", "--stats", without.id]).stderr).toContain(
    "has no cgroup: nobody counts what it uses",
  );
});

test("events ends when nobody reads it any more", async () => {
  const b = started(["sleep", "1000"]);
  const { exitCode } = Bun.spawnSync(
    [
      "sh",
      "-c",
      `"$@" | head -n 1 > /dev/null`,
      "sh",
      KONTENA,
      "--root",
      box.root,
      "events",
      "--interval",
      "20ms",
      b.id,
    ],
    { timeout: 10_000 },
  );
  expect(exitCode).toBe(0);
});
