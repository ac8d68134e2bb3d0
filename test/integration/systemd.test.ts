/** The systemd cgroup manager: the scope of a container, its limits and its end; as root or as a user with a systemd of their own. */
import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestBundle, type TestConfig, testNeeding, testWhen, until } from "./helpers.ts";

const test = testNeeding("busybox", "systemd", "cgroup v2");
const box = openBox("systemd");
const SYSTEMD = ["--root", box.root, "--systemd-cgroup"];
const isRoot = process.geteuid?.() === 0;
const FOREVER = ["sleep", "1000"];
const ok = { status: 0, stderr: "" };
const usualSlice = isRoot ? "system.slice" : "user.slice";

/** conmon gives --systemd-cgroup to `create` only. */
const create = (b: TestBundle) =>
  box.kontena(["create", "--bundle", b.directory, b.id], { globals: SYSTEMD });

function systemctl(...args: string[]): string {
  const { stdout } = Bun.spawnSync(["systemctl", ...(isRoot ? [] : ["--user"]), ...args]);
  return stdout.toString().trim();
}

/** A property of a unit, as `systemctl show` prints it. */
const property = (unit: string, name: string) => systemctl("show", "-P", name, unit);

function cgroupOf(pid = 0): string {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8").replace("0::", "").trim();
}

function control(id: string, file: string): string {
  return readFileSync(join("/sys/fs/cgroup", cgroupOf(box.state(id).pid), file), "utf8").trim();
}

type Patch = (config: TestConfig) => void;

/** A user alone has one group, and no other can own the terminals; nor may a user load programs that filter devices. */
function forUser(config: TestConfig): void {
  for (const mount of config.mounts)
    mount.options = mount.options?.filter((o) => !o.startsWith("gid=")) ?? [];
  delete config.linux.resources;
}

const bundle = (patch: Patch = () => {}) =>
  box.bundle({
    args: FOREVER,
    patch: (config) => {
      if (!isRoot) forUser(config);
      patch(config);
    },
  });

function created(patch?: Patch): TestBundle & { unit: string } {
  const b = bundle(patch);
  expect(create(b)).toMatchObject(ok);
  return { ...b, unit: `kontena-${b.id}.scope` };
}

test("the waiting init is in a scope of its own, which goes with the container", async () => {
  const b = created();
  const path = cgroupOf(box.state(b.id).pid);
  expect(path).toEndWith(`/${usualSlice}/${b.unit}`);
  expect(property(b.unit, "ActiveState")).toBe("active");
  expect(property(b.unit, "Delegate")).toBe("yes");
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  expect(cgroupOf(box.state(b.id).pid)).toBe(path);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(existsSync(join("/sys/fs/cgroup", path))).toBe(false);
  expect(property(b.unit, "LoadState")).toBe("not-found");
});

test("slice:prefix:name names scope and slices", () => {
  const b = created((config) => {
    config.linux.cgroupsPath = "kontena-a-b.slice:pre:name";
  });
  const slices = "/kontena.slice/kontena-a.slice/kontena-a-b.slice";
  expect(cgroupOf(box.state(b.id).pid)).toEndWith(`${slices}/pre-name.scope`);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(property("pre-name.scope", "LoadState")).toBe("not-found");
  systemctl("stop", "kontena.slice");
});

test("a path that isn't slice:prefix:name is refused, and nothing is made", () => {
  const b = bundle((config) => {
    config.linux.cgroupsPath = "/a/path";
  });
  const refused = create(b);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("linux.cgroupsPath");
  expect(refused.stderr).toContain("slice:prefix:name");
});

test("a name that is taken is refused, and its owner stays", () => {
  const patch: Patch = (config) => {
    config.linux.cgroupsPath = `${usualSlice}:kontena:taken`;
  };
  const first = bundle(patch);
  const second = bundle(patch);
  expect(create(first)).toMatchObject(ok);
  const refused = create(second);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("kontena-taken.scope");
  expect(box.state(first.id).status).toBe("created");
});

test("limits are properties of the scope, and values in its files", () => {
  const b = created((config) => {
    config.linux.resources = {
      memory: { limit: 67_108_864, reservation: 33_554_432 },
      pids: { limit: 50 },
      cpu: { shares: 512, quota: 15_500, period: 50_000 },
    };
  });
  expect(property(b.unit, "MemoryMax")).toBe("67108864");
  expect(property(b.unit, "MemoryLow")).toBe("33554432");
  expect(property(b.unit, "TasksMax")).toBe("50");
  expect(property(b.unit, "CPUQuotaPerSecUSec")).toBe("310ms");
  expect(control(b.id, "memory.max")).toBe("67108864");
  expect(control(b.id, "memory.low")).toBe("33554432");
  expect(control(b.id, "pids.max")).toBe("50");
  expect(control(b.id, "cpu.max")).toBe("15500 50000");
  expect(control(b.id, "cpu.weight")).toBe(property(b.unit, "CPUWeight"));
});

test("limits hold after systemd has read its units again", () => {
  const b = created((config) => {
    config.linux.resources = { memory: { limit: 67_108_864 }, pids: { limit: 50 } };
  });
  systemctl("daemon-reload");
  expect(control(b.id, "memory.max")).toBe("67108864");
  expect(control(b.id, "pids.max")).toBe("50");
});

test("annotations are properties of the scope; a time in seconds is one in microseconds", () => {
  const b = created((config) => {
    config.annotations = {
      "org.systemd.property.TimeoutStopSec": "uint64 7",
      "org.systemd.property.Description": "'a name of its own'",
      "org.systemd.property.CollectMode": "'inactive'",
    };
  });
  expect(property(b.unit, "TimeoutStopUSec")).toBe("7s");
  expect(property(b.unit, "Description")).toBe("a name of its own");
  expect(property(b.unit, "CollectMode")).toBe("inactive");
});

test("an annotation that systemd doesn't know is refused with its answer, and nothing is left", () => {
  const b = bundle((config) => {
    config.annotations = { "org.systemd.property.NoSuchThing": "true" };
  });
  const refused = create(b);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("NoSuchThing");
  expect(box.kontena(["state", b.id]).status).toBe(1);
});

test("an annotation whose value can't be read is refused by its name", () => {
  const b = bundle((config) => {
    config.annotations = { "org.systemd.property.TimeoutStopSec": "soon" };
  });
  const refused = create(b);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain('annotations["org.systemd.property.TimeoutStopSec"]');
});

test("a program that was killed for want of memory leaves no failed unit", async () => {
  const b = created((config) => {
    config.process.args = ["sh", "-c", "x=aaaaaaaa; while true; do x=$x$x; done"];
    config.linux.resources = { memory: { limit: 8_388_608, swap: 8_388_608 } };
  });
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  await until("it is killed", () => box.state(b.id).status === "stopped", 20_000);
  expect(box.kontena(["delete", b.id])).toMatchObject(ok);
  expect(property(b.unit, "LoadState")).toBe("not-found");
});

test("delete removes what the container made below its scope, with processes in it", () => {
  const b = created();
  const { pid } = box.state(b.id);
  const directory = join("/sys/fs/cgroup", cgroupOf(pid));
  const child = join(directory, "child");
  Bun.spawnSync(["mkdir", "-p", join(child, "grandchild")]);
  Bun.spawnSync(["sh", "-c", `echo ${pid} >${join(child, "grandchild", "cgroup.procs")}`]);
  expect(cgroupOf(pid)).toEndWith("/child/grandchild");
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(existsSync(directory)).toBe(false);
  expect(property(b.unit, "LoadState")).toBe("not-found");
});

test("update changes properties and files, without being told the manager", () => {
  const b = created((config) => {
    config.linux.resources = { memory: { limit: 67_108_864 }, pids: { limit: 50 } };
  });
  const update = (...words: string[]) => expect(box.kontena(["update", ...words, b.id])).toMatchObject(ok);
  update("--memory", "33554432", "--pids-limit", "30");
  expect(property(b.unit, "MemoryMax")).toBe("33554432");
  expect(property(b.unit, "TasksMax")).toBe("30");
  systemctl("daemon-reload");
  expect(control(b.id, "memory.max")).toBe("33554432");
  expect(control(b.id, "pids.max")).toBe("30");
});

test("an update that fails leaves properties and files as they were, also what nobody had set", () => {
  const b = created((config) => {
    config.linux.resources = {
      ...{ memory: { limit: 67_108_864 }, cpu: { quota: 15_500, period: 50_000 } },
      unified: { "memory.high": "48M" },
    };
  });
  const names = ["MemoryMax", "MemoryHigh", "TasksMax", "CPUWeight", "CPUQuotaPerSecUSec"];
  const properties = () => names.map((name) => property(b.unit, name));
  const files = () => ["memory.max", "memory.high", "pids.max", "cpu.max"].map((file) => control(b.id, file));
  const before = [properties(), files()];
  expect(before[0]?.slice(0, 2)).toEqual(["67108864", "50331648"]);
  expect(before[1]?.[3]).toBe("15500 50000");
  const change = { memory: { limit: 33_554_432 }, pids: { limit: 30 }, cpu: { shares: 512, quota: 1 } };
  const failed = box.kontena(["update", "-r", "-", b.id], { stdin: JSON.stringify(change) });
  expect(failed.stderr).toContain("cannot write 1 50000 to cpu.max");
  expect([properties(), files()]).toEqual(before);
});

test("exec, pause and resume need nothing of systemd, and know the container's cgroup", () => {
  const b = created();
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  const own = cgroupOf(box.state(b.id).pid);
  const before = box.kontena(["exec", b.id, "cat", "/proc/self/cgroup"]);
  expect(before).toMatchObject({ ...ok, stdout: "0::/\n" });
  expect(box.kontena(["pause", b.id])).toMatchObject(ok);
  expect(readFileSync(join("/sys/fs/cgroup", own, "cgroup.events"), "utf8")).toContain("frozen 1");
  expect(box.state(b.id).status).toBe("paused" as never);
  expect(box.kontena(["resume", b.id])).toMatchObject(ok);
  expect(box.state(b.id).status).toBe("running");
});

test("a frozen container is deleted", () => {
  const b = created();
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  expect(box.kontena(["pause", b.id])).toMatchObject(ok);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(property(b.unit, "LoadState")).toBe("not-found");
});

test("delete finds a user's systemd without XDG_RUNTIME_DIR, by what the state holds", () => {
  const b = created();
  const env = { PATH: process.env["PATH"] ?? "", XDG_RUNTIME_DIR: "/nowhere" };
  expect(box.kontena(["delete", "--force", b.id], { env })).toMatchObject(ok);
  expect(property(b.unit, "LoadState")).toBe("not-found");
});

if (!isRoot)
  test("without a session the manager is refused, with what may help", () => {
    const b = bundle();
    const env = { PATH: process.env["PATH"] ?? "", XDG_RUNTIME_DIR: "/nowhere" };
    const refused = box.kontena(["create", "--bundle", b.directory, b.id], { globals: SYSTEMD, env });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain("/nowhere/systemd/private: no such file or directory");
    expect(refused.stderr).toContain("loginctl enable-linger");
  });

testWhen(!existsSync("/run/systemd/system"))(
  "on a host without systemd its manager is refused, and nothing is made",
  () => {
    const b = bundle();
    const refused = create(b);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain("no connection to systemd");
    expect(refused.stderr).toContain("--cgroup-manager cgroupfs");
  },
);

testNeeding()("--systemd-cgroup and another manager contradict each other", () => {
  const refused = box.kontena(["state", "x"], {
    globals: ["--systemd-cgroup", "--cgroup-manager", "cgroupfs"],
  });
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("contradict");
});
