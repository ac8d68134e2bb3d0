/** create, start, state, kill, delete: the words of the spec's runtime.md, and all that must fail. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseState } from "../../spec/parse.ts";
import { isAlive, openBox, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("lifecycle");
const FOREVER = ["sleep", "1000"];

const stopped = (id: string) => until(`${id} is stopped`, () => box.state(id).status === "stopped");
const ok = { status: 0, stderr: "" };

function created(b: TestBundle): TestBundle {
  expect(box.create(b)).toMatchObject(ok);
  return b;
}

function started(b: TestBundle): TestBundle {
  created(b);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  return b;
}

test("a file in the place of a container is none, and one in the place of the root is told as such", () => {
  mkdirSync(box.root, { recursive: true, mode: 0o700 });
  const file = join(box.root, "file");
  writeFileSync(file, "");
  for (const command of ["state", "start", "kill", "delete", "ps", "pause"])
    expect(box.kontena([command, "file"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("container does not exist: file"),
    });
  expect(box.kontena(["delete", "--force", "file"])).toMatchObject({ status: 0, stderr: "" });
  expect(box.kontena(["list", "--format", "json"]).stdout).toBe("[]\n");
  for (const command of [["list"], ["state", "x"], ["delete", "--force", "x"]])
    expect(box.kontena(command, { globals: ["--root", file] })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`the state directory ${file} is not a directory`),
    });
  rmSync(file);
});

test("a container is created, running and stopped, in this order, and then gone", async () => {
  const b = box.bundle({ args: FOREVER });
  expect(box.create(b)).toMatchObject({ ...ok, stdout: "" });
  expect(box.state(b.id).status).toBe("created");
  expect(box.kontena(["start", b.id])).toMatchObject({ ...ok, stdout: "" });
  expect(box.state(b.id).status).toBe("running");
  expect(box.kontena(["kill", b.id, "KILL"])).toMatchObject({ ...ok, stdout: "" });
  await stopped(b.id);
  expect(box.kontena(["delete", b.id])).toMatchObject({ ...ok, stdout: "" });
  expect(box.kontena(["state", b.id]).status).toBe(1);
});

test("create doesn't run the program", async () => {
  const b = created(box.bundle({ args: "echo ran" }));
  await Bun.sleep(100);
  expect(box.state(b.id).status).toBe("created");
});

test("the program runs at start, with create's standard output", async () => {
  const b = box.bundle({ args: "echo ran" });
  const creation = box.create(b);
  expect(creation.stdout).toBe("");
  box.kontena(["start", b.id]);
  await stopped(b.id);
  expect(creation.output()).toBe("ran\n");
});

test("the state of a created container has every field of the spec", () => {
  const annotations = { "org.example.key": "value", empty: "" };
  const b = created(
    box.bundle({
      args: FOREVER,
      patch: (config) => {
        config.annotations = annotations;
      },
    }),
  );
  const { stdout } = box.kontena(["state", b.id]);
  const parsed = parseState(stdout);
  expect(parsed).not.toHaveProperty("problems");
  const state = JSON.parse(stdout);
  expect(state).toMatchObject({
    id: b.id,
    status: "created",
    bundle: b.directory,
    rootfs: b.rootfs,
    annotations,
    owner: "0",
  });
  expect(state.ociVersion).toMatch(/^1\.\d+\.\d+$/);
  expect(Math.abs(Date.parse(state.created) - Date.now())).toBeLessThan(60_000);
  expect(isAlive(state.pid)).toBe(true);
});

test("the state of a running container parses and has the pid of the program", () => {
  const b = started(box.bundle({ args: FOREVER }));
  const { stdout } = box.kontena(["state", b.id]);
  expect(parseState(stdout)).toMatchObject({ state: { status: "running" } });
  expect(readFileSync(`/proc/${JSON.parse(stdout).pid}/cmdline`, "utf8")).toBe("sleep\x001000\0");
});

test("the state of a stopped container parses and has pid 0", async () => {
  const b = started(box.bundle());
  await stopped(b.id);
  const { stdout } = box.kontena(["state", b.id]);
  expect(parseState(stdout)).toMatchObject({ state: { status: "stopped", pid: 0 } });
});

test("the bundle's path is absolute in the state, when it was given as a relative one", () => {
  const b = box.bundle({ args: FOREVER });
  expect(box.kontena(["create", b.id], { cwd: b.directory })).toMatchObject(ok);
  expect(box.state(b.id).bundle).toBe(b.directory);
});

test("starting twice fails and leaves the program running", () => {
  const b = started(box.bundle({ args: FOREVER }));
  const again = box.kontena(["start", b.id]);
  expect(again.status).toBe(1);
  expect(again.stderr).toContain("cannot start a container in the running state");
  expect(box.state(b.id).status).toBe("running");
});

test("starting a stopped container fails", async () => {
  const b = started(box.bundle());
  await stopped(b.id);
  const again = box.kontena(["start", b.id]);
  expect(again.status).toBe(1);
  expect(again.stderr).toContain("cannot start a container in the stopped state");
});

test("killing a stopped container fails with the words that engines know", async () => {
  const b = started(box.bundle());
  await stopped(b.id);
  const killed = box.kontena(["kill", b.id, "9"]);
  expect(killed.status).toBe(1);
  expect(killed.stderr).toContain("container not running");
});

test("kill --all of a stopped container succeeds", async () => {
  const b = started(box.bundle());
  await stopped(b.id);
  expect(box.kontena(["kill", "--all", b.id, "9"])).toMatchObject(ok);
});

test("kill --all reaches every process of a container without a pid namespace", async () => {
  const b = started(
    box.bundle({
      args: "sleep 1000 & sleep 1000 & wait",
      patch: (config) => {
        config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "pid") ?? [];
      },
    }),
  );
  await until("three processes", () => processesIn(b).length === 3);
  expect(box.kontena(["kill", "--all", b.id, "KILL"])).toMatchObject(ok);
  await until("no process", () => processesIn(b).length === 0);
});

/** Host pids in the container's cgroup. */
function processesIn(b: TestBundle): string[] {
  const path = `/sys/fs/cgroup/${existsSync("/sys/fs/cgroup/pids") ? "pids/" : ""}kontena-${b.id}/cgroup.procs`;
  return readFileSync(path, "utf8").split("\n").filter(Boolean);
}

test("kill sends TERM when no signal is given", async () => {
  const b = box.bundle({ args: "trap 'echo TERM; exit' TERM; echo ready; while :; do sleep 0.01; done" });
  const creation = box.create(b);
  box.kontena(["start", b.id]);
  await until("the trap is set", () => creation.output() === "ready\n");
  expect(box.kontena(["kill", b.id])).toMatchObject(ok);
  await stopped(b.id);
  expect(creation.output()).toBe("ready\nTERM\n");
});

for (const form of ["USR1", "SIGUSR1", "10", "usr1"])
  test(`kill takes the signal as ${form}`, async () => {
    const b = box.bundle({ args: "trap 'echo got; exit' USR1; echo ready; while :; do sleep 0.01; done" });
    const creation = box.create(b);
    box.kontena(["start", b.id]);
    await until("the trap is set", () => creation.output() === "ready\n");
    expect(box.kontena(["kill", b.id, form])).toMatchObject(ok);
    await stopped(b.id);
    expect(creation.output()).toBe("ready\ngot\n");
  });

test("kill with an unknown signal fails, names the legal ones and sends nothing", () => {
  const b = started(box.bundle({ args: FOREVER }));
  const killed = box.kontena(["kill", b.id, "KILLL"]);
  expect(killed.status).toBe(1);
  expect(killed.stderr).toContain("did you mean KILL");
  expect(box.state(b.id).status).toBe("running");
});

test("KILL ends a created container", async () => {
  const b = created(box.bundle({ args: FOREVER }));
  expect(box.kontena(["kill", b.id, "KILL"])).toMatchObject(ok);
  await stopped(b.id);
  expect(box.kontena(["delete", b.id])).toMatchObject(ok);
});

test("deleting a running container fails and leaves it running", () => {
  const b = started(box.bundle({ args: FOREVER }));
  const deleted = box.kontena(["delete", b.id]);
  expect(deleted.status).toBe(1);
  expect(deleted.stderr).toContain("not stopped");
  expect(box.state(b.id).status).toBe("running");
});

test("delete --force ends a running container and removes it", () => {
  const b = started(box.bundle({ args: FOREVER }));
  const { pid } = box.state(b.id);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(isAlive(pid ?? 0)).toBe(false);
  expect(box.ids()).toEqual([]);
});

test("a created container can be deleted", () => {
  const b = created(box.bundle({ args: FOREVER }));
  const { pid } = box.state(b.id);
  expect(box.kontena(["delete", b.id])).toMatchObject(ok);
  expect(isAlive(pid ?? 0)).toBe(false);
});

test("a change of config.json after create has no effect", async () => {
  const b = box.bundle({ args: "echo as created" });
  const creation = box.create(b);
  b.config.process.args = ["sh", "-c", "echo changed"];
  writeFileSync(join(b.directory, "config.json"), JSON.stringify(b.config));
  box.kontena(["start", b.id]);
  await stopped(b.id);
  expect(creation.output()).toBe("as created\n");
});

test("start and delete work when the bundle's config.json is gone", async () => {
  const b = created(box.bundle());
  rmSync(join(b.directory, "config.json"));
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  await stopped(b.id);
  expect(box.kontena(["delete", b.id])).toMatchObject(ok);
});

test("two containers can wait at once and start in reverse order", async () => {
  const first = box.bundle({ args: "echo first" });
  const second = box.bundle({ args: "echo second" });
  const outputs = [box.create(first), box.create(second)];
  box.kontena(["start", second.id]);
  await stopped(second.id);
  expect(box.state(first.id).status).toBe("created");
  box.kontena(["start", first.id]);
  await stopped(first.id);
  expect(outputs.map((o) => o.output())).toEqual(["first\n", "second\n"]);
});

test("of two starts at once, one succeeds and the other fails", async () => {
  const b = created(box.bundle({ args: FOREVER }));
  const both = [box.spawn(["start", b.id]), box.spawn(["start", b.id])];
  expect((await Promise.all(both.map((p) => p.exited))).sort()).toEqual([0, 1]);
  expect(box.state(b.id).status).toBe("running");
});

test("a config with several problems is refused with all of them, and nothing is made", () => {
  const b = box.bundle({
    patch: (config) => {
      config.process.cwd = "relative";
      config.linux.namespaces?.push({ type: "pid" });
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("process.cwd");
  expect(stderr).toContain("linux.namespaces[6]");
});

test("a property that can't be applied as the config stands is refused by its name", () => {
  const b = box.bundle({
    patch: (config) => {
      config.linux.netDevices = { eth0: {} };
      config.linux.namespaces = config.linux.namespaces?.filter(({ type }) => type !== "network") ?? [];
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("linux.netDevices");
});

test("an unknown property is a warning with the nearest known name, and the container is made", () => {
  const b = box.bundle({
    args: FOREVER,
    patch: (config) => {
      (config.linux as Record<string, unknown>)["maskedPath"] = ["/proc/kcore"];
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(0);
  expect(stderr).toContain("linux.maskedPath");
  expect(stderr).toContain("maskedPaths");
});
