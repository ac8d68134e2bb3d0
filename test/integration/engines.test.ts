/** What podman, containerd and docker rely on when they call the runtime. */
import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { KONTENA, openBox, readOr, test, testNeeding, until } from "./helpers.ts";

const box = openBox("engines");
const python = testNeeding("root", "busybox", "python3");
const userTest = testNeeding("root", "setpriv", "user namespaces");
const FOREVER = ["sleep", "1000"];
const NOT_FOUND = { args: ["nosuch"] };

interface LogLine {
  level: string;
  msg: string;
  time: string;
}

const logFile = () => join(box.directory, box.next());
const logLines = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as LogLine);
const jsonLog = (path: string) => ["--root", box.root, "--log", path, "--log-format", "json"];

test("an error is one JSON line in the --log file, with level, msg and time, and on standard error too", () => {
  const b = box.bundle(NOT_FOUND);
  const log = logFile();
  const { status, stderr } = box.kontena(["create", "--bundle", b.directory, b.id], {
    globals: jsonLog(log),
  });
  expect(status).toBe(127);
  const [line, ...more] = logLines(log);
  expect(more).toEqual([]);
  expect(line?.level).toBe("error");
  expect(line?.msg).toContain("executable file not found in");
  expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  expect(stderr).toContain("executable file not found in");
});

test("the log is appended to, never truncated", () => {
  const log = logFile();
  writeFileSync(log, '{"level":"info","msg":"earlier","time":"2026-01-01T00:00:00Z"}\n');
  box.kontena(["start", "nobody"], { globals: jsonLog(log) });
  box.kontena(["kill", "nobody"], { globals: jsonLog(log) });
  expect(logLines(log).map((l) => l.msg.replace(/ \(.*/, ""))).toEqual([
    "earlier",
    "container does not exist: nobody",
    "container does not exist: nobody",
  ]);
});

test("success writes nothing to the log", () => {
  const b = box.bundle({ args: FOREVER });
  const log = logFile();
  expect(box.kontena(["create", "--bundle", b.directory, b.id], { globals: jsonLog(log) }).status).toBe(0);
  expect(readFileSync(log, "utf8")).toBe("");
});

test("with --log a warning goes to the log and not into the output of the program", () => {
  const b = box.bundle({
    args: "echo err >&2",
    patch: (config) => {
      Object.assign(config, { unknownProperty: 1 });
    },
  });
  const log = logFile();
  const { stderr } = box.kontena(["run", "--bundle", b.directory, b.id], { globals: jsonLog(log) });
  expect(stderr).toBe("err\n");
  expect(logLines(log)).toMatchObject([{ level: "warning" }]);
});

test("an error in the command line reaches the log", () => {
  const log = logFile();
  expect(box.kontena(["create", "--nonsense", "x"], { globals: jsonLog(log) }).status).not.toBe(0);
  expect(logLines(log)[0]?.msg).toContain("--nonsense");
});

test("a text log is the default form", () => {
  const log = logFile();
  box.kontena(["state", "nobody"], { globals: ["--root", box.root, "--log", log] });
  expect(readFileSync(log, "utf8")).toMatch(/^time="\S+" level=error msg="container does not exist/);
});

test("global options work after the command too, and with =", () => {
  const b = box.bundle({ args: FOREVER });
  const pidFile = join(box.directory, "equals.pid");
  const log = logFile();
  const args = [
    `--root=${box.root}`,
    `--log=${log}`,
    "--log-format=json",
    "create",
    `--bundle=${b.directory}`,
    `--pid-file=${pidFile}`,
    b.id,
  ];
  expect(box.kontena(args, { globals: [] })).toMatchObject({ status: 0, stderr: "" });
  expect(box.kontena(["state", b.id, "--root", box.root], { globals: [] }).status).toBe(0);
});

test("the whole life works with an environment of XDG_RUNTIME_DIR= alone", async () => {
  const b = box.bundle({ args: "echo ran" });
  const env = { XDG_RUNTIME_DIR: "" };
  const created = box.kontena(["create", "--bundle", b.directory, b.id], { env });
  expect(created).toMatchObject({ status: 0, stderr: "" });
  expect(box.kontena(["start", b.id], { env })).toMatchObject({ status: 0, stderr: "" });
  await until("the program has run", () => created.output() === "ran\n");
  for (const args of [
    ["state", b.id],
    ["kill", "--all", b.id, "9"],
    ["delete", "--force", b.id],
  ])
    expect(box.kontena(args, { env })).toMatchObject({ status: 0, stderr: "" });
});

test("kontena runs with no environment at all", () => {
  expect(box.kontena(["list", "-q"], { env: {} })).toMatchObject({ status: 0, stdout: "", stderr: "" });
});

userTest("an empty XDG_RUNTIME_DIR counts as unset for a user without rights", () => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  const runtime = join(box.directory, "runtime");
  mkdirSync(runtime);
  chownSync(runtime, 65534, 65534);
  const rootOf = (env: Record<string, string>) =>
    box.kontena(["list", "-q"], {
      before: nobody,
      env: { PATH: "/usr/bin:/bin", ...env },
      globals: [],
      cwd: "/",
    });
  expect(rootOf({ XDG_RUNTIME_DIR: "" })).toMatchObject({ status: 0, stderr: "" });
  expect(rootOf({ XDG_RUNTIME_DIR: runtime })).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(runtime)).toEqual([]);
});

userTest("a state directory in /tmp that another user has made is refused", () => {
  // Nobody else uses these ids.
  const [user, attacker] = [64321, 64322];
  const before = ["setpriv", "--reuid", String(user), "--regid", String(user), "--clear-groups", "--"];
  const root = `/tmp/kontena-${user}`;
  const bundle = join(box.directory, box.next());
  mkdirSync(bundle);
  cpSync(join(import.meta.dir, "../../config.json.example"), join(bundle, "config.json"));
  mkdirSync(root);
  try {
    chmodSync(root, 0o777);
    chownSync(root, attacker, attacker);
    const options = { before, env: { PATH: "/usr/bin:/bin" }, globals: [] };
    const { status, stderr } = box.kontena(["run", "--bundle", bundle, box.next()], options);
    expect(status).toBe(1);
    expect(stderr).toContain(root);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the pid file holds the host's pid in decimal when create has ended, and nothing else is written beside it", () => {
  const b = box.bundle({ args: FOREVER });
  const directory = join(box.directory, box.next());
  mkdirSync(directory);
  expect(box.create(b, "--pid-file", join(directory, "pidfile"))).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(directory)).toEqual(["pidfile"]);
  expect(readFileSync(join(directory, "pidfile"), "utf8").trim()).toBe(String(box.state(b.id).pid));
});

test("a relative pid file lies in the caller's directory", () => {
  const b = box.bundle({ args: FOREVER });
  const cwd = join(box.directory, box.next());
  mkdirSync(cwd);
  box.kontena(["create", "--bundle", b.directory, "--pid-file", "p", b.id], { cwd });
  expect(readdirSync(cwd)).toEqual(["p"]);
});

test("a create that fails writes no pid file", () => {
  const b = box.bundle(NOT_FOUND);
  const directory = join(box.directory, box.next());
  mkdirSync(directory);
  expect(box.create(b, "--pid-file", join(directory, "pidfile")).status).toBe(127);
  expect(readdirSync(directory)).toEqual([]);
});

test("a pid file that can't be written fails create and leaves nothing", () => {
  const b = box.bundle({ args: FOREVER });
  const { status, stderr } = box.create(b, "--pid-file", "/no/such/directory/pidfile");
  expect(status).toBe(1);
  expect(stderr).toContain("/no/such/directory/pidfile");
  expect(box.ids()).toEqual([]);
});

/** Runs a shell script in which `$create` creates the container, and returns its output when every pipe has reached its end. */
async function withPipes(
  script: (create: string) => string,
): Promise<{ output: string; id: string; milliseconds: number }> {
  const b = box.bundle({ args: FOREVER });
  const create = `"${KONTENA}" --root "${box.root}" create --bundle "${b.directory}" ${b.id}`;
  const begin = performance.now();
  const child = Bun.spawn(["timeout", "10", "bash", "-c", script(create)], {
    env: { PATH: "/usr/bin:/bin" },
    stderr: "ignore",
  });
  const output = await new Response(child.stdout).text();
  return { output, id: b.id, milliseconds: performance.now() - begin };
}

test("a pipe that isn't standard input, output or error reaches its end when create exits", async () => {
  // Descriptors 3 to 5 are conmon's pipes: _OCI_SYNCPIPE, _OCI_STARTPIPE, _OCI_ATTACHPIPE.
  const { output, id, milliseconds } = await withPipes(
    (create) => `{ ${create} 3>&1 4>&1 5>&1 </dev/null >/dev/null 2>&1; echo status $? >&1; } | cat`,
  );
  expect(output).toBe("status 0\n");
  expect(milliseconds).toBeLessThan(5000);
  expect(box.state(id).status).toBe("created");
});

test("standard output and error reach their end with the container, not before and not after", async () => {
  const b = box.bundle({ args: "echo out; echo err >&2" });
  const child = Bun.spawn([KONTENA, "--root", box.root, "create", "--bundle", b.directory, b.id], {
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
  });
  expect(await child.exited).toBe(0);
  const texts = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(await Promise.race([texts, Bun.sleep(100).then(() => "open still")])).toBe("open still");
  box.kontena(["start", b.id]);
  expect(await texts).toEqual(["out\n", "err\n"]);
});

test("no process of kontena is left after create: only init is", () => {
  const b = box.bundle({ args: FOREVER });
  box.create(b);
  const mine = readdirSync("/proc").filter((pid) => readOr(`/proc/${pid}/cmdline`, "").includes(b.id));
  expect(mine).toEqual([]);
});

const SUBREAPER = `import ctypes, subprocess, sys, time, os
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
pidfile = sys.argv[1]
subprocess.run(sys.argv[2:], check=True, stdin=subprocess.DEVNULL)
pid = int(open(pidfile).read())
print(os.getpid() == int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]))
os.kill(pid, 9)
print(os.waitpid(pid, 0)[0] == pid)`;

python("init belongs to the caller that is a subreaper, which can wait for it", () => {
  const b = box.bundle({ args: FOREVER });
  const pidFile = join(box.directory, "subreaper.pid");
  const before = ["python3", "-c", SUBREAPER, pidFile];
  const { status, stdout, stderr } = box.kontena(
    ["create", "--bundle", b.directory, "--pid-file", pidFile, b.id],
    { before },
  );
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "True\nTrue\n", stderr: "" });
  expect(box.state(b.id).status).toBe("stopped");
});

test("create, start, kill and delete print nothing when they succeed", () => {
  const b = box.bundle({ args: FOREVER });
  for (const args of [
    ["create", "--bundle", b.directory, b.id],
    ["start", b.id],
    ["kill", b.id, "15"],
    ["kill", b.id, "9"],
  ])
    expect(box.kontena(args)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
});

test("the calls of podman for one container work in their order", async () => {
  const b = box.bundle({ args: "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done" });
  const log = logFile();
  const globals = ["--root", box.root, "--log-format=json", "--log", log];
  const call = (...args: string[]) => box.kontena(args, { globals, env: { XDG_RUNTIME_DIR: "" } });
  const created = call("create", "--bundle", b.directory, "--pid-file", join(b.directory, "pidfile"), b.id);
  expect(created.status).toBe(0);
  expect(call("start", b.id).status).toBe(0);
  await until("the trap is set", () => created.output() === "ready\n");
  expect(call("kill", b.id, "15").status).toBe(0);
  await until("it has stopped", () => box.state(b.id).status === "stopped");
  const killed = call("kill", b.id, "9");
  expect(killed.status).toBe(1);
  expect(logLines(log).at(-1)?.msg).toContain("container not running");
  expect(call("delete", "--force", b.id).status).toBe(0);
});

test("the calls of containerd's shim for one container work in their order", async () => {
  const b = box.bundle({ args: FOREVER });
  const globals = jsonLog(join(b.directory, "log.json"));
  const call = (...args: string[]) => box.kontena(args, { globals, cwd: b.directory }).status;
  expect(call("create", "--bundle", b.directory, "--pid-file", join(b.directory, "init.pid"), b.id)).toBe(0);
  expect(call("start", b.id)).toBe(0);
  expect(call("kill", "--all", b.id, "9")).toBe(0);
  await until("it has stopped", () => box.state(b.id).status === "stopped");
  expect(call("kill", "--all", b.id, "9")).toBe(0);
  expect(call("delete", b.id)).toBe(0);
  expect(call("delete", "--force", b.id)).toBe(0);
});

test("what comes later is refused by its name and never swallowed", () => {
  const { status, stdout, stderr } = box.kontena(["checkpoint", "x"]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toContain("checkpoint: not in this version yet");
});

test("options of runc and crun that change nothing here are accepted", () => {
  const b = box.bundle({ args: FOREVER });
  expect(box.create(b, "--no-new-keyring", "--no-subreaper")).toMatchObject({ status: 0, stderr: "" });
});

test("--cgroup-manager disabled makes no cgroup", () => {
  const b = box.bundle({
    args: ["cat", "/proc/self/cgroup"],
    patch: (config) => {
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "cgroup") ?? [];
    },
  });
  const { status, stdout } = box.kontena([
    "--cgroup-manager",
    "disabled",
    "run",
    "--bundle",
    b.directory,
    b.id,
  ]);
  expect(status).toBe(0);
  expect(stdout).not.toContain(b.id);
});
