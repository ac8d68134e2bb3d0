/** containerd with kontena as the runtime of its shim (containerd-shim-runc-v2), driven by its command ctr. */
import { beforeAll, expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { controllerOf, isAlive, isThere, statusFields, testNeeding, until } from "../integration/helpers.ts";
import { ociImage, openEngine, runtimeWith, startContainerd, TTY } from "./engine.ts";

const needs = ["root", "busybox", "containerd"] as const;
const test = testNeeding(...needs);
const v1Test = testNeeding(...needs, "cgroup v1");
const terminalTest = testNeeding(...needs, "script");
const engine = openEngine("containerd", () => {
  for (const id of ctr("container", "ls", "-q")
    .stdout.split("\n")
    .filter((line) => line !== "")) {
    ctr("task", "delete", "-f", id);
    ctr("container", "rm", id);
  }
});
const { directory } = engine;
const IMAGE = "localhost/bb:1";
/** A cgroup is named after its container, whoever's daemon makes it. */
const named = (name: string) => `${name}-${process.pid}`;

const ctr = (...words: string[]) => engine.command("ctr", "-a", join(directory, "c.sock"), ...words);
const done = (...words: string[]) => engine.output("ctr", "-a", join(directory, "c.sock"), ...words);
const runtime = () => ["--runc-binary", join(directory, "runtime"), "--runc-root", engine.states];
const STORE = ["--snapshotter", "native"];
const run = (id: string, options: string[], ...args: string[]) =>
  ctr("run", "--rm", ...STORE, ...runtime(), ...options, IMAGE, id, ...args);
const runDetached = (id: string, ...options: string[]) =>
  done("run", "-d", ...STORE, ...runtime(), ...options, IMAGE, id, "sleep", "1000");

function statusOf(id: string): string {
  const line = done("task", "ls")
    .split("\n")
    .find((text) => text.startsWith(`${id} `));
  return line?.split(/\s+/)[2] ?? "";
}

/** Ends a detached container and removes it. */
async function end(id: string): Promise<void> {
  done("task", "kill", "-s", "SIGKILL", id);
  await until("it has stopped", () => statusOf(id) === "STOPPED");
  done("task", "delete", id);
  done("container", "rm", id);
}

beforeAll(async () => {
  if (!isThere(...needs)) return;
  runtimeWith(directory);
  await startContainerd(engine);
  done("image", "import", ...STORE, ociImage(directory, IMAGE));
});

test("run gives the program's output and exit status", () => {
  expect(run(named("r"), [], "sh", "-c", "echo hello; exit 7")).toMatchObject({ status: 7, stdout: "hello" });
});

test("a program that isn't there is an error that says so, and nothing is left of the container", () => {
  const { status, stderr } = run(named("missing"), [], "nosuch");
  expect(status).toBe(1);
  expect(stderr).toContain("executable file not found in $PATH");
  expect(done("task", "ls", "-q")).toBe("");
});

terminalTest("run and exec with a terminal have one", async () => {
  const address = ["ctr", "-a", join(directory, "c.sock")];
  expect(
    engine.onTerminal(
      ...address,
      "run",
      "--rm",
      "-t",
      ...STORE,
      ...runtime(),
      IMAGE,
      named("tty"),
      "sh",
      "-c",
      TTY,
    ),
  ).toBe("/dev/pts/0");
  runDetached(named("ttys"));
  const exec = ["task", "exec", "-t", "--exec-id", "e", named("ttys"), "sh", "-c", TTY];
  expect(engine.onTerminal(...address, ...exec)).toMatch(/^\/dev\/pts\/\d$/);
  await end(named("ttys"));
});

test("exec has the user, the directory and the status that it is given", async () => {
  runDetached(named("executed"));
  const exec = (id: string, ...words: string[]) => ctr("task", "exec", "--exec-id", id, ...words);
  const script = "id -u; id -g; pwd; exit 9";
  expect(
    exec("e1", "--user", "1000:1000", "--cwd", "/tmp", named("executed"), "sh", "-c", script),
  ).toMatchObject({
    status: 9,
    stdout: "1000\n1000\n/tmp",
  });
  const missing = exec("e2", named("executed"), "nosuch");
  expect(missing.status).toBe(1);
  expect(missing.stderr).toContain("executable file not found in $PATH");
  await end(named("executed"));
});

v1Test("limits are those of the command, and the shim reads what is used", async () => {
  runDetached(named("limited"), "--memory-limit", String(64 * 1024 * 1024), "--cpus", "0.5");
  const control = (controller: string, file: string) =>
    readFileSync(
      join(controllerOf(`/default/${named("limited")}`, controller)?.path ?? "", file),
      "utf8",
    ).trim();
  expect(control("memory", "memory.limit_in_bytes")).toBe(String(64 * 1024 * 1024));
  expect(control("cpu", "cpu.cfs_quota_us")).toBe("50000");
  expect(done("task", "metrics", named("limited"))).toMatch(/memory\.usage_in_bytes\s+[1-9]\d*/);
  await end(named("limited"));
  expect(existsSync(controllerOf(`/default/${named("limited")}`, "memory")?.path ?? "")).toBe(false);
});

test("pause and resume stop and go on, and ps has the host's pids", async () => {
  runDetached(named("paused"));
  done("task", "pause", named("paused"));
  expect(statusOf(named("paused"))).toBe("PAUSED");
  done("task", "resume", named("paused"));
  expect(statusOf(named("paused"))).toBe("RUNNING");
  const [pid] = /\d+/.exec(done("task", "ps", named("paused"))) ?? [];
  expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
  await end(named("paused"));
});

test("delete -f ends and removes what runs", () => {
  runDetached(named("forced"));
  done("task", "delete", "-f", named("forced"));
  expect(done("task", "ls", "-q")).toBe("");
  done("container", "rm", named("forced"));
});

test("in a pid namespace that the container shares nothing outlives it", async () => {
  const shared = ["--with-ns", `pid:/proc/${process.pid}/ns/pid`];
  const script = "sleep 1000 & echo $! > /tmp/other; exec sleep 1000";
  done("run", "-d", ...STORE, ...runtime(), ...shared, IMAGE, named("shared"), "sh", "-c", script);
  const exec = (...words: string[]) => done("task", "exec", "--exec-id", "e", named("shared"), ...words);
  const other = exec("cat", "/tmp/other");
  expect(readFileSync(`/proc/${other}/comm`, "utf8")).toBe("sleep\n");
  await end(named("shared"));
  expect(isAlive(Number(other))).toBe(false);
});

test("the options of a sandbox arrive: seccomp, a read-only root", () => {
  const { stdout } = run(named("seccomp"), ["--seccomp"], "cat", "/proc/self/status");
  expect(statusFields(stdout)["Seccomp"]).toBe("2");
  expect(run(named("readonly"), ["--read-only"], "touch", "/x").stderr).toContain("Read-only file system");
});
