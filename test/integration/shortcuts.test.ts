/**
 * start and delete by the executable's front (scripts/front/, container/shortcuts.ts). Bun can't begin in 300 MB of address space,
 * and the front can: so what is done there was done without it.
 */
import { expect } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { buildInitElf } from "../../src/init/elf.ts";
import { machineFor } from "../../src/init/machine/index.ts";
import { OP_NONE } from "../../src/init/op.ts";
import {
  type BundleOptions,
  cgroupsNamed,
  controllerOf,
  openBox,
  type RunOptions,
  type TestBundle,
  type TestConfig,
  testNeeding,
  test as testOfAll,
  testWhen,
  until,
} from "./helpers.ts";

const test = testWhen(process.arch === "x64");
type Patch = NonNullable<BundleOptions["patch"]>;
const box = openBox("shortcuts");

const NARROW = ["prlimit", "--as=300000000", "--"];
/** What an abort(3) of Bun's gives. */
const NO_BUN = 134;

const narrow = (args: string[], { before = [], ...options }: RunOptions = {}) =>
  box.kontena(args, { ...options, before: [...before, ...NARROW] });
const done = { status: 0, stdout: "", stderr: "" };

function created(options: Parameters<typeof box.bundle>[0] = {}, ...more: string[]): TestBundle {
  const b = box.bundle(options);
  expect(box.create(b, ...more)).toMatchObject({ status: 0, stderr: "" });
  return b;
}

const stopped = (b: TestBundle) => until("it has ended", () => box.state(b.id).status === "stopped");

async function started(options: Parameters<typeof box.bundle>[0] = {}): Promise<TestBundle> {
  const b = created(options);
  expect(narrow(["start", b.id])).toMatchObject(done);
  return b;
}

/** The same by Bun: the front knows nothing of this option. */
const byBun = (...args: string[]) => box.kontena(["--log-level", "warning", ...args]);

test("Bun can't begin in so little memory", () => {
  expect(narrow(["--version"]).status).toBe(NO_BUN);
});

test("start lets the program run, and delete removes what it leaves, without Bun", async () => {
  const b = await started({
    args: "echo it runs > /said; exec sleep 1000",
    patch: ({ root }) => Object.assign(root, { readonly: false }),
  });
  await until("it has said so", () => existsSync(join(b.rootfs, "said")));
  expect(box.state(b.id).status).toBe("running");
  expect(box.kontena(["kill", b.id, "KILL"]).status).toBe(0);
  await stopped(b);
  expect(narrow(["delete", b.id])).toMatchObject(done);
  expect(box.leftovers()).toEqual({ states: [], mounts: [], cgroups: [], processes: [] });
});

test("delete of what run --detach has left needs no Bun, and run in the foreground leaves no shortcut", async () => {
  const b = box.bundle();
  expect(box.run(b, "--detach")).toMatchObject({ status: 0 });
  await stopped(b);
  expect(narrow(["delete", b.id])).toMatchObject(done);
  const kept = box.bundle();
  expect(box.run(kept, "--keep")).toMatchObject({ status: 0 });
  expect(existsSync(join(box.root, kept.id, "delete.ops"))).toBe(false);
});

test("a program that ends at once was started", async () => {
  for (let i = 0; i < 5; i++) {
    const b = await started();
    await stopped(b);
    expect(narrow(["delete", b.id])).toMatchObject(done);
  }
});

test.each([
  ["engines' options", ["--log", "log", "--log-format", "json", "--systemd-cgroup"]],
  ["options with an equals sign", ["--log=log", "--log-format=text"]],
])("%s are understood, and the log is made", async (_, globals) => {
  const options = { globals: ["--root", box.root, ...globals] };
  const b = created();
  expect(narrow(["start", b.id], options)).toMatchObject(done);
  await stopped(b);
  rmSync(join(box.directory, "log"));
  expect(narrow(["delete", "--force", b.id], options)).toMatchObject(done);
  expect(readFileSync(join(box.directory, "log"), "utf8")).toBe("");
});

test("a root may be relative, and given with an equals sign; -f is --force", async () => {
  const b = created();
  expect(narrow(["start", b.id], { globals: ["--root", "state"] })).toMatchObject(done);
  await stopped(b);
  expect(narrow(["delete", "-f", b.id], { globals: ["--root=state"] })).toMatchObject(done);
});

/** With a /run of its own. */
const ownRun = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"];

test("the default root is found as by Bun: below /run, unless the environment may mean a user's", () => {
  const kontena = (env: Record<string, string>) => {
    const b = box.bundle();
    const path = process.env["KONTENA_BIN"] ?? join(import.meta.dir, "../../dist/kontena");
    const script = [
      `${path} create -b ${b.directory} ${b.id} </dev/null >/dev/null`,
      `${NARROW.join(" ")} ${path} start ${b.id} 2>/dev/null; echo $?`,
      `${path} delete --force ${b.id}`,
    ].join("\n");
    const { stdout } = Bun.spawnSync([...ownRun, "sh", "-c", script], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
    });
    return stdout.toString().trim();
  };
  const XDG_RUNTIME_DIR = "/run";
  expect(kontena({})).toBe("0");
  expect(kontena({ XDG_RUNTIME_DIR: "" })).toBe("0");
  expect(kontena({ XDG_RUNTIME_DIR, USER: "root" })).toBe("0");
  // Bun would look at /proc/self/uid_map now.
  expect(kontena({ XDG_RUNTIME_DIR })).toBe(String(NO_BUN));
  expect(kontena({ XDG_RUNTIME_DIR, USER: "rooty" })).toBe(String(NO_BUN));
});

test("whatever the front doesn't know is Bun's: other options, more words, ids that are none", () => {
  const b = created({ args: ["sleep", "1000"] });
  for (const args of [
    ["start", b.id, "--root", box.root],
    ["start", "--help"],
    ["start", "--", b.id],
    ["--debug", "start", b.id],
    ["--rootless", "false", "start", b.id],
    ["--log-format", "xml", "start", b.id],
    ["--log-format"],
    ["--log", "-", "start", b.id],
    ["--log", "syslog:x", "start", b.id],
    ["--rootfoo", "start", b.id],
    ["--roo", "start", b.id],
    ["starts", b.id],
    ["star", b.id],
    ["start", ""],
    ["start", "-"],
    ["start", `../state/${b.id}`],
    ["start", "."],
    ["start", ".."],
    ["start"],
    ["delete", "--regex", b.id],
    ["delete", "-ff", b.id],
    [],
  ])
    expect({ args, status: narrow(args).status }).toEqual({ args, status: NO_BUN });
  expect(existsSync(join(box.directory, "syslog:x"))).toBe(false);
  expect(box.state(b.id).status).toBe("created");
});

test("a container that is in another state is Bun's, which says why", async () => {
  const b = await started({ args: ["sleep", "1000"] });
  for (const command of ["start", "delete"]) expect(narrow([command, b.id]).status).toBe(NO_BUN);
  expect(box.kontena(["start", b.id]).stderr).toContain("cannot start a container in the running state");
  expect(box.kontena(["delete", b.id]).stderr).toContain("that is not stopped: running");
  expect(box.state(b.id).status).toBe("running");
  expect(narrow(["delete", "--force", b.id]).status).toBe(NO_BUN);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(done);
  expect(box.kontena(["start", b.id]).stderr).toContain("container does not exist");
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(done);
});

testNeeding("root", "busybox")("a frozen container isn't started", () => {
  if (controllerOf("", "freezer") === undefined && controllerOf("", "") === undefined) return;
  const b = created({ args: ["sleep", "1000"] });
  expect(box.kontena(["pause", b.id])).toMatchObject(done);
  expect(narrow(["start", b.id]).status).not.toBe(0);
  expect(box.kontena(["start", b.id]).stderr).toContain("cannot start a container in the paused state");
  expect(box.kontena(["resume", b.id])).toMatchObject(done);
  expect(box.state(b.id).status).toBe("created");
  expect(box.kontena(["start", b.id])).toMatchObject(done);
});

test("why a program doesn't run is told after the front has met it", () => {
  const b = created({ args: ["/bin/echo", "hello"] });
  rmSync(join(b.rootfs, "bin/echo"));
  const start = box.kontena(["start", b.id]);
  expect(start.status).toBe(127);
  expect(start.stderr).toContain("process.args: exec /bin/echo: no such file or directory");
});

test("and so is the death of an init that had been let go, and was killed before the program ran", async () => {
  // The filter kills execve, so init says that it goes on and leaves no record.
  const b = created({
    args: ["true"],
    patch: ({ linux, process }) => {
      process.noNewPrivileges = true;
      linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["execve", "execveat"], action: "SCMP_ACT_KILL_PROCESS" }],
      };
    },
  });
  const start = box.kontena(["start", b.id]);
  expect(start.status).toBe(1);
  expect(start.stderr).toContain("init ended before the program ran");
});

/** A program that waits for a signal (pause(2)). */
const waiting = () =>
  buildInitElf({ machine: machineFor("x64"), ops: () => [{ ...OP_NONE, nr: 34, args: [] }] });

test("a program with init's name was started, with a filter too", () => {
  const seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
  for (const patch of [() => {}, ({ linux }: TestConfig) => Object.assign(linux, { seccomp })]) {
    const b = created({
      args: ["/bin/kontena-init"],
      patch,
      fill: (rootfs) => writeFileSync(join(rootfs, "bin/kontena-init"), waiting(), { mode: 0o755 }),
    });
    expect(narrow(["start", b.id])).toMatchObject(done);
    expect(box.state(b.id)).toMatchObject({ status: "running" });
  }
});

test("a filter that forbids init's last call before execve, which is let pass, is no failure", () => {
  const b = created({
    args: ["sleep", "1000"],
    patch: ({ linux, process }) => {
      process.noNewPrivileges = false;
      linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["capset"], action: "SCMP_ACT_ERRNO" }],
      };
    },
  });
  expect(narrow(["start", b.id])).toMatchObject(done);
  expect(box.state(b.id).status).toBe("running");
});

const killing =
  (name: string, noNewPrivileges: boolean): Patch =>
  ({ linux, process }) => {
    process.noNewPrivileges = noNewPrivileges;
    linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: [name], action: "SCMP_ACT_KILL_PROCESS" }],
    };
  };
const asItIs = () => {};
const FAILURES: [what: string, patch: Patch, spoil: (b: TestBundle) => void][] = [
  ["a filter that kills execve", killing("execve", true), asItIs],
  ["a filter that kills a call before it", killing("capset", false), asItIs],
  ["a file that isn't there any more", () => {}, ({ rootfs }) => rmSync(join(rootfs, "bin/true"))],
  [
    "a file that is no program",
    () => {},
    ({ rootfs }) => {
      rmSync(join(rootfs, "bin/true"));
      writeFileSync(join(rootfs, "bin/true"), "", { mode: 0o755 });
    },
  ],
  ["an argument that is too long", ({ process }) => process.args?.push("x".repeat(200_000)), asItIs],
];

test.each(FAILURES)("what stopped the program is told as by Bun: %s", (_, patch, spoil) => {
  const start = (by: typeof box.kontena) => {
    const b = created({ patch });
    spoil(b);
    const { status, stderr } = by(["start", b.id]);
    expect(box.state(b.id).status).toBe("stopped");
    return { status, stderr };
  };
  const front = start(box.kontena);
  expect(front).toEqual(start((args) => byBun(...args)));
  expect(front.status).toBeGreaterThan(0);
  expect(front.stderr).not.toContain("cannot start a container");
});

test("start waits for an init that stands still, and lets it go then", async () => {
  const b = created({ args: ["sleep", "1000"] });
  const { pid = 0 } = box.state(b.id);
  process.kill(pid, "SIGSTOP");
  const starting = box.spawn(["start", b.id], { before: NARROW });
  await Bun.sleep(100);
  process.kill(pid, "SIGCONT");
  expect(await starting.exited).toBe(0);
  expect(box.state(b.id).status).toBe("running");
});

test("somebody else who holds the FIFO keeps neither start nor delete from going on", async () => {
  const b = created({ args: ["sleep", "1000"] });
  const { pid = 0 } = box.state(b.id);
  process.kill(pid, "SIGSTOP");
  // Both ends: it comes back at once.
  const fd = openSync(join(box.root, b.id, "exec.fifo"), "r+");
  const starting = box.spawn(["start", b.id]);
  await Bun.sleep(100);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(done);
  expect(await starting.exited).toBe(1);
  closeSync(fd);
});

test("a root that the kernel may find elsewhere than the program is Bun's", () => {
  const b = created({ args: ["sleep", "1000"] });
  mkdirSync(join(box.directory, "beside"), { recursive: true });
  for (const root of ["beside/../state", "state/", "./state/.", "..state"])
    expect(narrow(["start", b.id], { globals: ["--root", root] }).status).toBe(NO_BUN);
  expect(narrow(["start", b.id], { globals: ["--root", "./state"] })).toMatchObject(done);
});

test("a log that is no file is Bun's, and so is a directory that isn't the one of create", async () => {
  const b = created();
  const globals = (log: string) => ({ globals: ["--root", box.root, "--log", log] });
  Bun.spawnSync(["mkfifo", join(box.directory, "fifo")]);
  for (const log of ["fifo", ".", "no/such", "/dev/full"])
    expect(narrow(["start", b.id], globals(log)).status).toBe(NO_BUN);
  expect(box.state(b.id).status).toBe("created");
  expect(narrow(["start", b.id])).toMatchObject(done);
  await stopped(b);
  const other = `${b.id}-other`;
  renameSync(join(box.root, b.id), join(box.root, other));
  expect(narrow(["delete", other]).status).toBe(NO_BUN);
  expect(box.kontena(["delete", other])).toMatchObject(done);
  expect(box.ids()).toEqual([]);
});

test("a caller with closed streams, or in another pid namespace, is Bun's", async () => {
  const b = created({ args: ["sleep", "1000"] });
  const closed = (...streams: string[]) => ["sh", "-c", `exec "$@" ${streams.join(" ")}`, "sh", ...NARROW];
  for (const streams of [["<&-"], [">&-"], ["2>&-"], ["<&-", ">&-", "2>&-"]])
    expect(box.kontena(["start", b.id], { before: closed(...streams) }).status).toBe(NO_BUN);
  expect(narrow(["start", b.id])).toMatchObject(done);
  const elsewhere = ["unshare", "-pf"];
  // abort(3) takes another signal where the first process is deaf to SIGABRT.
  expect([NO_BUN, 132]).toContain(narrow(["delete", b.id], { before: elsewhere }).status);
  expect(box.kontena(["delete", b.id], { before: elsewhere }).stderr).toContain(
    "that is not stopped: running",
  );
  expect(box.state(b.id).status).toBe("running");
});

test("a container with hooks has no shortcuts: they are run", async () => {
  const hooks = { poststart: [{ path: "/bin/true" }] };
  const b = created({ patch: (config) => Object.assign(config, { hooks }) });
  for (const name of ["start.ops", "delete.ops"]) expect(existsSync(join(box.root, b.id, name))).toBe(false);
  expect(narrow(["start", b.id]).status).toBe(NO_BUN);
  expect(box.kontena(["start", b.id])).toMatchObject(done);
});

test("delete by the front leaves to Bun what is more than an empty container", async () => {
  const b = await started();
  await stopped(b);
  const [cgroup = ""] = cgroupsNamed(`kontena-${b.id}`);
  mkdirSync(join(cgroup, "more"));
  expect(narrow(["delete", b.id]).status).toBe(NO_BUN);
  expect(box.state(b.id).status).toBe("stopped");
  expect(box.kontena(["delete", b.id])).toMatchObject(done);
});

test("another container's cgroup stays where it is beside, and the upper one goes with the last", async () => {
  const above = `/kontena-${box.next()}`;
  const both = ["a", "b"].map((name) =>
    created({ patch: ({ linux }) => Object.assign(linux, { cgroupsPath: `${above}/${name}` }) }),
  );
  for (const b of both) {
    expect(narrow(["start", b.id])).toMatchObject(done);
    await stopped(b);
  }
  // The first one's: it was made for that.
  for (const { id } of both.reverse()) expect(narrow(["delete", id])).toMatchObject(done);
  expect(box.leftovers()).toMatchObject({ states: [], cgroups: [] });
});

test("the front and Bun do the same to a container", async () => {
  const [front, bun] = [created(), created()];
  expect(narrow(["start", front.id])).toMatchObject(done);
  expect(byBun("start", bun.id)).toMatchObject(done);
  const files = (b: TestBundle) =>
    Bun.spawnSync(["ls", "-ln", "--time-style=+", join(box.root, b.id)])
      .stdout.toString()
      .replaceAll(b.id, "ID")
      .replace(/\d+(?= +(state.json|config.json))/g, "N");
  await stopped(front);
  await stopped(bun);
  expect(files(front)).toBe(files(bun));
  expect(narrow(["delete", front.id])).toMatchObject(done);
  expect(byBun("delete", bun.id)).toMatchObject(done);
});

test("a link in the place of a container or of the root is Bun's", async () => {
  const b = created({ args: ["sleep", "1000"] });
  symlinkSync("state", join(box.directory, "link"));
  expect(narrow(["start", b.id], { globals: ["--root", "link"] }).status).toBe(NO_BUN);
  symlinkSync(b.id, join(box.root, `${b.id}-link`));
  expect(narrow(["start", `${b.id}-link`]).status).toBe(NO_BUN);
  rmSync(join(box.root, `${b.id}-link`));
  rmSync(join(box.directory, "link"));
  expect(box.state(b.id).status).toBe("created");
});

testOfAll("a shortcut that is cut off, or of another form, is not run", () => {
  const b = created({ args: ["sleep", "1000"] });
  const file = join(box.root, b.id, "start.ops");
  if (!existsSync(file)) return;
  const whole = readFileSync(file);
  const other = Buffer.from(whole);
  other.write("KONTENA0", 32);
  for (const bytes of [whole.subarray(0, 4096), whole.subarray(0, 100), Buffer.alloc(0), other]) {
    writeFileSync(file, bytes);
    expect(narrow(["start", b.id]).status).toBe(NO_BUN);
  }
  expect(box.state(b.id).status).toBe("created");
  writeFileSync(file, whole);
  expect(narrow(["start", b.id])).toMatchObject(done);
});
