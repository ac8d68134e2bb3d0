/** Podman with kontena as its runtime, as root, with the cgroupfs manager. (With systemd: integration/podman-systemd.) */
import { beforeAll, expect } from "bun:test";
import { mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { controllerOf, isThere, statusFields, testNeeding } from "../integration/helpers.ts";
import { configurePodman } from "../integration/podman.ts";
import { openEngine, runTests, runtimeWith, TTY } from "./engine.ts";

const needs = ["root", "busybox", "podman"] as const;
const test = testNeeding(...needs);
const v1Test = testNeeding(...needs, "cgroup v1");
const terminalTest = testNeeding(...needs, "script");
const engine = openEngine("podman", () => podman("rm", "--all", "--force", "--time", "0"));
const { directory } = engine;

const podman = (...words: string[]) => engine.command("podman", ...words);
const done = (...words: string[]) => engine.output("podman", ...words);
const run = (...words: string[]) => podman("run", "--rm", "--network", "none", ...words);

beforeAll(() => {
  if (!isThere(...needs)) return;
  const runtime = runtimeWith(directory, "--root", engine.states);
  // The defaults of Podman want more than a machine without CAP_SYS_RESOURCE can give.
  const containers = 'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]';
  Object.assign(
    engine.env,
    configurePodman(directory, { manager: "cgroupfs", runtime, driver: "vfs", containers }),
  );
  done("import", "-q", engine.image(), "bb:1");
});

runTests(test, run);

test("exec gives its program's status, and 127 and 126 as run does", () => {
  done("run", "-d", "--name", "executed", "--network", "none", "bb:1", "sleep", "1000");
  expect(podman("exec", "executed", "sh", "-c", "echo in; exit 9")).toMatchObject({
    status: 9,
    stdout: "in",
  });
  expect(podman("exec", "executed", "nosuch").status).toBe(127);
  expect(podman("exec", "executed", "/bin/data").status).toBe(126);
  expect(
    podman("exec", "-u", "user", "-w", "/tmp", "-e", "A=b", "executed", "sh", "-c", 'id -u; pwd; echo "$A"'),
  ).toMatchObject({ status: 0, stdout: "1000\n/tmp\nb" });
  done("rm", "-f", "-t", "0", "executed");
});

terminalTest("run and exec with a terminal have one", () => {
  const run = ["run", "--rm", "-it", "--network", "none", "bb:1"];
  expect(engine.onTerminal("podman", ...run, "sh", "-c", TTY)).toBe("/dev/pts/0");
  done("run", "-d", "--name", "terminals", "--network", "none", "bb:1", "sleep", "1000");
  expect(engine.onTerminal("podman", "exec", "-it", "terminals", "sh", "-c", TTY)).toMatch(
    /^\/dev\/pts\/\d$/,
  );
  done("rm", "-f", "-t", "0", "terminals");
});

v1Test("limits are those of the command, and update changes them", () => {
  const limits = ["--pids-limit", "50", "-m", "64m", "--cpus", "0.5"];
  done("run", "-d", "--name", "limited", "--network", "none", ...limits, "bb:1", "sleep", "1000");
  const cgroup = done("inspect", "-f", "{{.State.CgroupPath}}", "limited");
  const control = (controller: string, file: string) =>
    readFileSync(join(controllerOf(cgroup, controller)?.path ?? "", file), "utf8").trim();
  expect(control("pids", "pids.max")).toBe("50");
  expect(control("memory", "memory.limit_in_bytes")).toBe(String(64 * 1024 * 1024));
  expect(control("cpu", "cpu.cfs_quota_us")).toBe("50000");
  done("update", "--cpus", "0.3", "limited");
  expect(control("cpu", "cpu.cfs_quota_us")).toBe("30000");
  done("rm", "-f", "-t", "0", "limited");
});

test("pause and unpause stop and go on", () => {
  done("run", "-d", "--name", "paused", "--network", "none", "bb:1", "sleep", "1000");
  const status = () => done("inspect", "-f", "{{.State.Status}}", "paused");
  done("pause", "paused");
  expect(status()).toBe("paused");
  done("unpause", "paused");
  expect(status()).toBe("running");
  done("rm", "-f", "-t", "0", "paused");
});

test("stop asks first and kills then; start runs it again", () => {
  const script = "trap 'exit 5' TERM; while :; do sleep 0.1; done";
  done("run", "-d", "--name", "stopped", "--network", "none", "bb:1", "sh", "-c", script);
  const code = () => done("inspect", "-f", "{{.State.ExitCode}}", "stopped");
  done("stop", "-t", "10", "stopped");
  expect(code()).toBe("5");
  done("start", "stopped");
  done("kill", "-s", "KILL", "stopped");
  done("wait", "stopped");
  expect(code()).toBe("137");
  done("rm", "stopped");
});

test("a container has a user namespace with the mappings that it is given", () => {
  const mappings = ["--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000"];
  const { status, stdout } = run(...mappings, "bb:1", "cat", "/proc/self/uid_map");
  expect({ status, words: stdout.trim().split(/\s+/) }).toEqual({
    status: 0,
    words: ["0", "100000", "1000"],
  });
});

test("the containers of a pod share its namespaces", () => {
  const infra = ["--infra-image", "localhost/bb:1", "--infra-command", "sleep 1000"];
  done("pod", "create", "--name", "pod", "--network", "none", ...infra);
  for (const name of ["one", "other"])
    done("run", "-d", "--name", name, "--pod", "pod", "bb:1", "sleep", "1000");
  const namespace = (name: string, type: string) =>
    readlinkSync(`/proc/${done("inspect", "-f", "{{.State.Pid}}", name)}/ns/${type}`);
  for (const type of ["net", "uts", "ipc"]) expect(namespace("one", type)).toBe(namespace("other", type));
  for (const type of ["mnt", "pid"]) expect(namespace("one", type)).not.toBe(namespace("other", type));
  done("pod", "rm", "-f", "-t", "0", "pod");
});

test("the options of a sandbox arrive: capabilities, no new privileges, seccomp, a read-only root, a volume", () => {
  const status = run(
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "bb:1",
    "cat",
    "/proc/self/status",
  );
  expect(status.status).toBe(0);
  expect(statusFields(status.stdout)["CapEff"]).toMatch(/^0+$/);
  expect(statusFields(status.stdout)["NoNewPrivs"]).toBe("1");
  expect(statusFields(status.stdout)["Seccomp"]).toBe("2");
  expect(run("--read-only", "bb:1", "touch", "/x").stderr).toContain("Read-only file system");
  const volume = run(
    "-v",
    `${directory}/image/etc:/data:ro`,
    "bb:1",
    "sh",
    "-c",
    "cat /data/group; touch /data/x",
  );
  expect(volume.stdout).toContain("root:x:0:");
  expect(volume.stderr).toContain("Read-only file system");
});

test("the output is whole, however long", () => {
  const { stdout } = run("bb:1", "sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done");
  expect(stdout.split("\n").length).toBe(3000);
});

test("an image is built with it", () => {
  mkdirSync(join(directory, "context"));
  engine.write("context/Dockerfile", 'FROM bb:1\nRUN echo made > /made\nCMD ["cat", "/made"]\n');
  const options = ["--isolation", "oci", "--network", "none", "--runtime", join(directory, "runtime")];
  done("build", "-q", "-t", "built", ...options, join(directory, "context"));
  expect(run("built").stdout).toBe("made");
});
