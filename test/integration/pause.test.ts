/** pause, resume, and what the other commands do with a paused container. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupsNamed, controllerOf, isAlive, openBox, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("pause");
const ok = { status: 0, stderr: "" };
/** Counts in a file, until it is frozen or killed. */
const COUNTING = "while :; do i=$((i + 1)); echo $i > /count; sleep 0.01; done";

function created(args: string | string[] = COUNTING): TestBundle {
  const b = box.bundle({
    args,
    patch: (config) => {
      config.root.readonly = false;
    },
  });
  expect(box.create(b)).toMatchObject(ok);
  return b;
}

function started(args?: string | string[]): TestBundle {
  const b = created(args);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  return b;
}

const countOf = (b: TestBundle) => {
  try {
    return Number(readFileSync(join(b.rootfs, "count"), "utf8"));
  } catch {
    return 0;
  }
};
const counts = (b: TestBundle) => {
  const before = countOf(b);
  return until(`${b.id} counts`, () => countOf(b) > before);
};
const stopped = (id: string) => until(`${id} is stopped`, () => box.state(id).status === "stopped");
const fails = (args: string[]) => {
  const { status, stderr } = box.kontena(args);
  expect(status).toBe(1);
  return stderr;
};

test("a paused container stands still, says so, and goes on where it was", async () => {
  const b = started();
  await counts(b);
  const { pid } = box.state(b.id);
  expect(box.kontena(["pause", b.id])).toMatchObject({ ...ok, stdout: "" });
  expect(box.state(b.id)).toMatchObject({ status: "paused", pid });
  const row = box
    .kontena(["list"])
    .stdout.split("\n")
    .find((line) => line.startsWith(b.id));
  expect(row?.split(/\s+/)[2]).toBe("paused");
  const before = countOf(b);
  await Bun.sleep(100);
  expect(countOf(b)).toBe(before);
  expect(box.kontena(["resume", b.id])).toMatchObject({ ...ok, stdout: "" });
  expect(box.state(b.id)).toMatchObject({ status: "running", pid });
  await counts(b);
});

test("a created container can be paused; it starts when it was resumed, not before", async () => {
  const b = created();
  expect(box.kontena(["pause", b.id])).toMatchObject(ok);
  expect(box.state(b.id).status as string).toBe("paused");
  expect(fails(["start", b.id])).toContain("cannot start a container in the paused state (resume it first)");
  expect(box.kontena(["resume", b.id])).toMatchObject(ok);
  expect(box.state(b.id).status).toBe("created");
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  await counts(b);
});

test("pause of a paused or stopped container, and resume of one that isn't paused, are refused in runc's words", async () => {
  const b = started();
  expect(fails(["resume", b.id])).toContain("container not paused");
  box.kontena(["pause", b.id]);
  expect(fails(["pause", b.id])).toContain("container not running");
  box.kontena(["resume", b.id]);
  box.kontena(["kill", b.id, "KILL"]);
  await stopped(b.id);
  expect(fails(["pause", b.id])).toContain("container not running");
  expect(fails(["resume", b.id])).toContain("container not paused");
  expect(fails(["pause", "nobody"])).toContain("container does not exist");
  expect(fails(["resume", "nobody"])).toContain("container does not exist");
});

test("a container that forks all the time is paused all the same, again and again", () => {
  const b = started("while :; do (sleep 0.001 & sleep 0.001 & wait); done & while :; do (:); done");
  for (let i = 0; i < 10; i++) {
    expect(box.kontena(["pause", b.id])).toMatchObject(ok);
    expect(box.state(b.id).status as string).toBe("paused");
    expect(box.kontena(["resume", b.id])).toMatchObject(ok);
    expect(box.state(b.id).status).toBe("running");
  }
});

test("a paused container isn't deleted without --force, and with it at once", async () => {
  const b = started();
  box.kontena(["pause", b.id]);
  expect(fails(["delete", b.id])).toContain("not stopped: paused");
  const { pid } = box.state(b.id);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(isAlive(pid as number)).toBe(false);
  expect(box.ids()).toEqual([]);
});

test("SIGKILL ends a paused container", async () => {
  const b = started();
  box.kontena(["pause", b.id]);
  expect(box.kontena(["kill", b.id, "KILL"])).toMatchObject(ok);
  await stopped(b.id);
});

test("another signal for a paused container is there when it goes on", async () => {
  const b = started(
    `trap 'echo got > /count; exit 0' USR1; echo 1 > /count; ${COUNTING.replace("> /count", "> /dev/null")}`,
  );
  await until("the trap is set", () => countOf(b) === 1);
  box.kontena(["pause", b.id]);
  expect(box.kontena(["kill", b.id, "USR1"])).toMatchObject(ok);
  await Bun.sleep(50);
  expect(box.state(b.id).status as string).toBe("paused");
  box.kontena(["resume", b.id]);
  await stopped(b.id);
  expect(readFileSync(join(b.rootfs, "count"), "utf8")).toBe("got\n");
});

test("kill --all KILL ends all processes of a paused container", async () => {
  const b = started(`sleep 1000 & sleep 1000 & ${COUNTING}`);
  await counts(b);
  box.kontena(["pause", b.id]);
  expect(box.kontena(["kill", "--all", b.id, "KILL"])).toMatchObject(ok);
  await stopped(b.id);
});

test("kill --all TERM leaves a paused container paused", async () => {
  const b = started();
  box.kontena(["pause", b.id]);
  expect(box.kontena(["kill", "--all", b.id, "CONT"])).toMatchObject(ok);
  expect(box.state(b.id).status as string).toBe("paused");
});

test("a container without a cgroup can't be paused, and that is said", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  expect(
    box.kontena([
      "--root",
      box.root,
      "--cgroup-manager",
      "disabled",
      "create",
      "--bundle",
      b.directory,
      b.id,
    ]),
  ).toMatchObject(ok);
  expect(fails(["pause", b.id])).toContain("has no cgroup that could be frozen");
  expect(box.state(b.id).status).toBe("created");
});

test("delete --force removes a cgroup that the container has made and frozen by itself", async () => {
  const b = started("sleep 1000 & sleep 1000 & wait");
  const freezer = controllerOf(`kontena-${b.id}`, "freezer");
  const own = freezer?.path ?? (cgroupsNamed(`kontena-${b.id}`)[0] as string);
  const inner = join(own, "inner");
  mkdirSync(inner);
  const pids = () => readFileSync(join(own, "cgroup.procs"), "utf8").trim().split("\n");
  await until("three processes", () => pids().length === 3);
  writeFileSync(join(inner, "cgroup.procs"), pids().at(-1) as string);
  const [file, value] = freezer === undefined ? ["cgroup.freeze", "1"] : ["freezer.state", "FROZEN"];
  writeFileSync(join(inner, file as string), value as string);
  expect(box.state(b.id).status).toBe("running");
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(existsSync(own)).toBe(false);
});
