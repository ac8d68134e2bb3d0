/** Docker with kontena as its default runtime, by a daemon of its own. */
import { beforeAll, expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { controllerOf, isThere, statusFields, testNeeding } from "../integration/helpers.ts";
import { openEngine, runTests, runtimeWith, startContainerd, TTY } from "./engine.ts";

const needs = ["root", "busybox", "docker", "containerd"] as const;
const test = testNeeding(...needs);
const v1Test = testNeeding(...needs, "cgroup v1");
const terminalTest = testNeeding(...needs, "script");
const engine = openEngine("docker", () => {
  const ids = docker("ps", "-aq").stdout;
  if (ids !== "") docker("rm", "-f", ...ids.split("\n"));
});
const { directory } = engine;

const docker = (...words: string[]) => engine.command("docker", ...words);
const done = (...words: string[]) => engine.output("docker", ...words);
const run = (...words: string[]) => docker("run", "--rm", "--network", "none", ...words);
const runDetached = (name: string, ...words: string[]) =>
  done("run", "-d", "--name", name, "--network", "none", ...words);
const inspect = (name: string, what: string) => done("inspect", "-f", `{{${what}}}`, name);

beforeAll(async () => {
  if (!isThere(...needs)) return;
  engine.env["DOCKER_HOST"] = `unix://${directory}/d.sock`;
  // Without one of its own dockerd takes the machine's, if there is one.
  const containerd = await startContainerd(engine);
  const config = engine.write(
    "daemon.json",
    JSON.stringify({
      "data-root": join(directory, "data"),
      "exec-root": join(directory, "exec"),
      pidfile: join(directory, "pid"),
      containerd,
      hosts: [engine.env["DOCKER_HOST"]],
      ...{ iptables: false, ip6tables: false, "ip-forward": false, "ip-masq": false, bridge: "none" },
      "storage-driver": "vfs",
      "exec-opts": ["native.cgroupdriver=cgroupfs"],
      "default-runtime": "kontena",
      runtimes: { kontena: { path: runtimeWith(directory) } },
    }),
  );
  await engine.startDaemon(["dockerd", "--config-file", config], () => docker("version"));
  done("import", "--change", 'CMD ["sh"]', engine.image(), "bb:1");
});

runTests(test, run);

test("exec gives its program's status", () => {
  runDetached("executed", "bb:1", "sleep", "1000");
  expect(docker("exec", "executed", "sh", "-c", "echo in; exit 9")).toMatchObject({
    status: 9,
    stdout: "in",
  });
  const script = 'id -u; pwd; echo "$A"';
  expect(done("exec", "-u", "user", "-w", "/tmp", "-e", "A=b", "executed", "sh", "-c", script)).toBe(
    "1000\n/tmp\nb",
  );
  const missing = docker("exec", "executed", "nosuch");
  expect(missing.status).toBeGreaterThan(0);
  expect(missing.stdout + missing.stderr).toContain("executable file not found in $PATH");
  done("rm", "-f", "executed");
});

terminalTest("run and exec with a terminal have one", () => {
  const run = ["run", "--rm", "-it", "--network", "none", "bb:1"];
  expect(engine.onTerminal("docker", ...run, "sh", "-c", TTY)).toBe("/dev/pts/0");
  runDetached("terminals", "bb:1", "sleep", "1000");
  expect(engine.onTerminal("docker", "exec", "-it", "terminals", "sh", "-c", TTY)).toMatch(
    /^\/dev\/pts\/\d$/,
  );
  done("rm", "-f", "terminals");
});

v1Test("limits are those of the command, update changes them, and the cgroup goes with the container", () => {
  runDetached("limited", "--pids-limit", "50", "-m", "64m", "--cpus", "0.5", "bb:1", "sleep", "1000");
  const cgroup = `/docker/${inspect("limited", ".Id")}`;
  const path = (controller: string) => controllerOf(cgroup, controller)?.path ?? "";
  const control = (controller: string, file: string) =>
    readFileSync(join(path(controller), file), "utf8").trim();
  expect(control("pids", "pids.max")).toBe("50");
  expect(control("memory", "memory.limit_in_bytes")).toBe(String(64 * 1024 * 1024));
  expect(control("cpu", "cpu.cfs_quota_us")).toBe("50000");
  done("update", "--cpus", "0.3", "limited");
  expect(control("cpu", "cpu.cfs_quota_us")).toBe("30000");
  expect(done("stats", "--no-stream", "--format", "{{.MemUsage}}", "limited")).toContain("64MiB");
  done("rm", "-f", "limited");
  expect(existsSync(path("memory"))).toBe(false);
});

test("pause and unpause stop and go on, and top has the program", () => {
  runDetached("paused", "bb:1", "sleep", "1000");
  done("pause", "paused");
  expect(inspect("paused", ".State.Status")).toBe("paused");
  done("unpause", "paused");
  expect(inspect("paused", ".State.Status")).toBe("running");
  expect(done("top", "paused")).toContain("sleep 1000");
  done("rm", "-f", "paused");
});

test("stop asks first and kills then; start and restart run it again", () => {
  const script = "trap 'exit 5' TERM; while :; do sleep 0.1; done";
  runDetached("stopped", "bb:1", "sh", "-c", script);
  done("stop", "-t", "10", "stopped");
  expect(inspect("stopped", ".State.ExitCode")).toBe("5");
  done("start", "stopped");
  done("kill", "-s", "KILL", "stopped");
  done("wait", "stopped");
  expect(inspect("stopped", ".State.ExitCode")).toBe("137");
  done("restart", "-t", "0", "stopped");
  expect(inspect("stopped", ".State.Status")).toBe("running");
  done("rm", "-f", "stopped");
});

test("in the host's pid namespace nothing outlives the container", () => {
  const script = "sleep 1234567 & echo $!";
  const { status, stdout } = run("--pid", "host", "bb:1", "sh", "-c", script);
  expect(status).toBe(0);
  expect(existsSync(`/proc/${stdout}`)).toBe(false);
});

test("the options of a sandbox arrive: capabilities, no new privileges, seccomp, a read-only root, a volume, a tmpfs", () => {
  const options = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1000:1000"];
  const status = run(...options, "bb:1", "cat", "/proc/self/status");
  expect(status.status).toBe(0);
  expect(statusFields(status.stdout)["CapBnd"]).toMatch(/^0+$/);
  expect(statusFields(status.stdout)["NoNewPrivs"]).toBe("1");
  expect(statusFields(status.stdout)["Seccomp"]).toBe("2");
  expect(statusFields(status.stdout)["Uid"]).toBe("1000\t1000\t1000\t1000");
  expect(run("--read-only", "bb:1", "touch", "/x").stderr).toContain("Read-only file system");
  const volume = ["-v", `${directory}/image/etc:/data:ro`, "--tmpfs", "/scratch:size=1m"];
  const used = run(...volume, "bb:1", "sh", "-c", "cat /data/group; touch /scratch/x; touch /data/x");
  expect(used.stdout).toContain("root:x:0:");
  expect(used.stderr).toBe("touch: /data/x: Read-only file system");
});

test("an image is built with it", () => {
  mkdirSync(join(directory, "context"));
  engine.write("context/Dockerfile", 'FROM bb:1\nRUN echo made > /made\nCMD ["cat", "/made"]\n');
  // The builder that uses the daemon's default runtime.
  engine.env["DOCKER_BUILDKIT"] = "0";
  done("build", "-q", "-t", "built", "--network", "none", join(directory, "context"));
  expect(run("built").stdout).toBe("made");
});
