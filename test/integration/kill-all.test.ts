/** kill --all, kill and delete --regex, and signals by every name. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupsNamed, isAlive, openBox, type TestBundle, type TestConfig, test, until } from "./helpers.ts";

const box = openBox("killall");
const ok = { status: 0, stderr: "" };
const WITHOUT_CGROUP = ["--root", box.root, "--cgroup-manager", "disabled"];

const shareNamespace = (config: TestConfig, type: string) => {
  config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== type) ?? [];
};
const shareCgroups = (config: TestConfig) => {
  config.mounts = config.mounts.filter((m) => m.type !== "cgroup");
};

function started(args: string, patch?: (config: TestConfig) => void, globals?: string[]): TestBundle {
  const b = box.bundle({
    args,
    patch: (config) => {
      config.root.readonly = false;
      patch?.(config);
    },
  });
  const options = globals === undefined ? {} : { globals };
  expect(box.kontena(["create", "--bundle", b.directory, b.id], options)).toMatchObject(ok);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  return b;
}

/** Host pids of the container's processes, seen from its cgroup. */
const pidsOf = (b: TestBundle): number[] =>
  readFileSync(join(cgroupsNamed(`kontena-${b.id}`)[0] as string, "cgroup.procs"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map(Number);
const has = (b: TestBundle, count: number) =>
  until(`${b.id} has ${count} processes`, () => pidsOf(b).length === count);
const stopped = (id: string) => until(`${id} is stopped`, () => box.state(id).status === "stopped");

test("kill --all reaches every process, and the program's handler runs in each", async () => {
  const say = "trap 'echo got >> /said; exit 0' TERM; while :; do sleep 0.01; done";
  const b = started(`(${say}) & (${say}) & wait; wait; wait`);
  await until("three shells", () => pidsOf(b).length >= 3);
  await Bun.sleep(50);
  expect(box.kontena(["kill", "--all", b.id, "TERM"])).toMatchObject(ok);
  await until("both have said it", () => {
    try {
      return readFileSync(join(b.rootfs, "said"), "utf8") === "got\ngot\n";
    } catch {
      return false;
    }
  });
});

test("kill --all ends what outlives init in a shared pid namespace", async () => {
  const b = started("sleep 1000 & sleep 1000 & wait", (config) => shareNamespace(config, "pid"));
  await has(b, 3);
  const pids = pidsOf(b);
  expect(box.kontena(["kill", b.id, "KILL"])).toMatchObject(ok);
  await stopped(b.id);
  await has(b, 2);
  expect(box.kontena(["kill", "--all", b.id, "KILL"])).toMatchObject(ok);
  await until("all are gone", () => !pids.some(isAlive));
});

test("kill --all leaves no process of a container that forks all the time, in a shared pid namespace too", async () => {
  const forks = "while :; do (sleep 0.001 & sleep 0.001 & wait); done & while :; do (:); done";
  const b = started(forks, (config) => shareNamespace(config, "pid"));
  await until("it forks", () => pidsOf(b).length > 2);
  expect(box.kontena(["kill", "--all", b.id, "KILL"])).toMatchObject(ok);
  await has(b, 0);
  expect(box.state(b.id).status).toBe("stopped");
});

test("kill --all on a stopped container and an empty cgroup is no error", async () => {
  const b = started("true");
  await stopped(b.id);
  expect(box.kontena(["kill", "--all", b.id, "KILL"])).toMatchObject(ok);
  expect(box.kontena(["kill", b.id, "KILL"]).stderr).toContain("container not running");
  expect(box.kontena(["kill", "--all", "nobody", "KILL"]).stderr).toContain("container does not exist");
});

test("kill --all of a container without a cgroup takes the processes of its pid namespace", async () => {
  const b = started(
    "(trap 'echo got > /said; exit 0' TERM; echo ready > /ready; while :; do sleep 0.01; done) & wait",
    shareCgroups,
    WITHOUT_CGROUP,
  );
  const text = (name: string) => {
    try {
      return readFileSync(join(b.rootfs, name), "utf8");
    } catch {
      return "";
    }
  };
  await until("the trap is set", () => text("ready") !== "");
  expect(box.kontena(["kill", "--all", b.id, "TERM"])).toMatchObject(ok);
  await until("the signal has come", () => text("said") === "got\n");
});

test("kill --all of a container with neither a cgroup nor a pid namespace is refused", () => {
  const b = started(
    "sleep 1000",
    (config) => {
      shareCgroups(config);
      shareNamespace(config, "pid");
    },
    WITHOUT_CGROUP,
  );
  const { status, stderr } = box.kontena(["kill", "--all", b.id, "TERM"]);
  expect(status).toBe(1);
  expect(stderr).toContain("neither a cgroup nor a pid namespace of its own");
  expect(box.state(b.id).status).toBe("running");
});

test("kill --regex and delete --regex take the containers whose name matches, and no other", async () => {
  const [one, two, other] = [started("sleep 1000"), started("sleep 1000"), started("sleep 1000")];
  const pattern = `^(${one.id}|${two.id})$`;
  expect(box.kontena(["kill", "--regex", pattern, "KILL"])).toMatchObject(ok);
  await stopped(one.id);
  await stopped(two.id);
  expect(box.state(other.id).status).toBe("running");
  expect(box.kontena(["delete", "--regex", pattern])).toMatchObject(ok);
  expect(box.ids()).toEqual([other.id]);
  expect(box.kontena(["delete", "-r", "nothing-of-that-kind"])).toMatchObject(ok);
  expect(box.kontena(["delete", "-r", "("]).stderr).toContain("isn't a regular expression");
});

test("delete --regex goes on after one that fails, and tells of it", async () => {
  const [running, ended] = [started("sleep 1000"), started("true")];
  await stopped(ended.id);
  const { status, stderr } = box.kontena(["delete", "--regex", "."]);
  expect(status).toBe(1);
  expect(stderr).toContain(`cannot delete container ${running.id} that is not stopped`);
  expect(box.ids()).toEqual([running.id]);
});

test.each(["RTMIN+3", "SIGRTMIN+3", "37", "RTMAX-27"])("signal 37 can be called %s", async (name) => {
  const b = started("trap 'exit 42' 37; echo > /ready; while :; do sleep 0.01; done");
  await until("the trap is set", () => {
    try {
      return readFileSync(join(b.rootfs, "ready"), "utf8") !== "";
    } catch {
      return false;
    }
  });
  expect(box.kontena(["kill", b.id, name])).toMatchObject(ok);
  await stopped(b.id);
});
