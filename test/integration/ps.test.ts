/** ps: the processes of a container, as the host and as ps(1) see them. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupsNamed, openBox, type TestBundle, test, testNeeding, until } from "./helpers.ts";

const box = openBox("ps");
const psTest = testNeeding("root", "busybox", "ps");
const ok = { status: 0, stderr: "" };

async function started(): Promise<{ b: TestBundle; pids: number[] }> {
  const b = box.bundle({ args: "sleep 1001 & sleep 1002 & wait" });
  expect(box.create(b)).toMatchObject(ok);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  const own = join(cgroupsNamed(`kontena-${b.id}`)[0] as string, "cgroup.procs");
  const read = () => readFileSync(own, "utf8").split("\n").filter(Boolean).map(Number);
  await until("three processes run", () => read().length === 3);
  await until("they are sleep", () => box.kontena(["ps", b.id]).stdout.includes("sleep 1002"));
  return { b, pids: read().sort((x, y) => x - y) };
}

test("ps --format json is an array of host pids, as containerd's shim reads it", async () => {
  const { b, pids } = await started();
  expect(box.kontena(["ps", "--format", "json", b.id])).toMatchObject({
    ...ok,
    stdout: `${JSON.stringify(pids)}\n`,
  });
  expect(box.kontena(["ps", "-f", "json", b.id]).stdout).toBe(`${JSON.stringify(pids)}\n`);
  expect(pids).toContain(box.state(b.id).pid as number);
});

test("ps --format json of a single process is an array too", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  box.create(b);
  expect(box.kontena(["ps", "--format", "json", b.id]).stdout).toBe(`[${box.state(b.id).pid}]\n`);
});

test("the table needs no ps(1), has the columns of ps -ef, and shows paused processes too", async () => {
  const { b, pids } = await started();
  box.kontena(["pause", b.id]);
  const { status, stdout } = box.kontena(["ps", b.id], { env: { PATH: "/nowhere" } });
  expect(status).toBe(0);
  const [head, ...rows] = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  expect(head).toEqual(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
  expect(rows.map((row) => Number(row[1]))).toEqual(pids);
  expect(rows.map((row) => row[0])).toEqual(["0", "0", "0"]);
  expect(rows.map((row) => row.slice(7).join(" "))).toEqual([
    "sh -c sleep 1001 & sleep 1002 & wait",
    "sleep 1001",
    "sleep 1002",
  ]);
});

psTest("words after the id go to ps(1), also those that look like options of kontena", async () => {
  const { b, pids } = await started();
  for (const options of [
    ["-eo", "pid,args"],
    ["--", "-eo", "pid,args"],
    ["axo", "pid,args", "--sort", "pid"],
  ]) {
    const { status, stdout } = box.kontena(["ps", b.id, ...options]);
    expect(status).toBe(0);
    const rows = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
    expect(rows[0]).toEqual(["PID", "COMMAND"]);
    expect(
      rows
        .slice(1)
        .map((row) => Number(row[0]))
        .sort((x, y) => x - y),
    ).toEqual(pids);
  }
});

psTest("ps(1)'s own error, and a table without PID, are told", async () => {
  const { b } = await started();
  const wrong = box.kontena(["ps", b.id, "-o", "nonsense"]);
  expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining("ps(1) ended with")]);
  const without = box.kontena(["ps", b.id, "-eo", "args"]);
  expect([without.status, without.stderr]).toEqual([1, expect.stringContaining("couldn't find PID field")]);
  const missing = box.kontena(["ps", b.id, "-ef"], { env: { PATH: "/nowhere" } });
  expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining("ps(1) isn't on this host")]);
});

test("a stopped container has no processes, an unknown one is an error", async () => {
  const b = box.bundle({ args: ["true"] });
  box.create(b);
  box.kontena(["start", b.id]);
  await until("it has stopped", () => box.state(b.id).status === "stopped");
  expect(box.kontena(["ps", "--format", "json", b.id])).toMatchObject({ ...ok, stdout: "[]\n" });
  expect(box.kontena(["ps", b.id]).stdout.split("\n")).toHaveLength(2);
  expect(box.kontena(["ps", "nobody"]).stderr).toContain("container does not exist");
});

test("without a cgroup the processes of the pid namespace are shown", () => {
  const b = box.bundle({
    args: ["sleep", "1000"],
    patch: (config) => {
      config.mounts = config.mounts.filter((m) => m.type !== "cgroup");
    },
  });
  const globals = ["--root", box.root, "--cgroup-manager", "disabled"];
  expect(box.kontena(["create", "--bundle", b.directory, b.id], { globals })).toMatchObject(ok);
  expect(box.kontena(["ps", "-f", "json", b.id]).stdout).toBe(`[${box.state(b.id).pid}]\n`);
});
