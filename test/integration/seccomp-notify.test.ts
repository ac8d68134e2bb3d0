/** SCMP_ACT_NOTIFY: the listener gets to the agent whatever happens, or nothing hangs. */
import { afterEach, describe, expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Seccomp } from "../../spec/seccomp.ts";
import { syscallNumber } from "../../src/kernel/syscalls.ts";
import { openBox, readOr, type TestConfig, test, testNeeding, until } from "./helpers.ts";
import { asProbe, failedWith, oneCall } from "./seccomp-helpers.ts";

const box = openBox("notify");
const userTest = testNeeding("root", "busybox", "setpriv", "user namespaces");
const GETPPID = syscallNumber("getppid");

const notifying = (names: string[], path: string, more: Partial<Seccomp> = {}): Seccomp => ({
  defaultAction: "SCMP_ACT_ALLOW",
  listenerPath: path,
  syscalls: [{ names, action: "SCMP_ACT_NOTIFY" }],
  ...more,
});

interface Agent {
  path: string;
  /** What it has written: one message a connection, and the number of each call. */
  lines(): { message?: Record<string, unknown>; descriptors?: number; call?: number }[];
  kill(): void;
}
const agents: Agent[] = [];
let count = 0;

async function agent(answer: string): Promise<Agent> {
  const name = join(box.directory, `agent-${++count}`);
  const path = `${name}.socket`;
  writeFileSync(`${name}.log`, "");
  const program = join(import.meta.dir, "seccomp-agent.ts");
  const child = Bun.spawn([process.execPath, program, path, `${name}.log`, answer], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const made: Agent = {
    path,
    lines: () =>
      readFileSync(`${name}.log`, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    kill: () => child.kill("SIGKILL"),
  };
  agents.push(made);
  await until("the agent listens", () => readOr("/proc/net/unix", "").includes(path));
  return made;
}

afterEach(() => {
  for (const { kill, path } of agents.splice(0)) {
    kill();
    rmSync(path, { force: true });
  }
});

const probe = (seccomp: Seccomp, more?: (config: TestConfig) => void) =>
  box.bundle({
    args: ["/probe"],
    fill: asProbe(oneCall("getppid")),
    patch: (config) => {
      config.linux.seccomp = seccomp;
      more?.(config);
    },
  });

/** Descriptors of a process that are seccomp listeners. */
const listenersOf = (pid: number) =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) =>
    readlinkSync(`/proc/${pid}/fd/${fd}`).includes("seccomp notify"),
  );

const STATE_STAYS = ["listener.fifo", "plan"];

describe("the agent", () => {
  test.each([
    [true, 0],
    [false, 0],
    [false, 1000],
    [true, 1000],
  ])("answers for the program (noNewPrivileges %p, uid %i)", async (noNewPrivileges, uid) => {
    const { path, lines } = await agent("71");
    const bundle = probe(notifying(["getppid"], path), (config) => {
      config.process.noNewPrivileges = noNewPrivileges;
      config.process.user = { uid, gid: 0 };
    });
    expect(box.run(bundle)).toMatchObject({ status: failedWith(71), stderr: "" });
    expect(lines().filter(({ call }) => call !== undefined)).toEqual([{ call: GETPPID }]);
  });

  test("answers in a user namespace too", async () => {
    const { path } = await agent("71");
    const bundle = box.bundle({
      args: ["/probe"],
      fill: asProbe(oneCall("getppid")),
      patch: (config) => {
        config.linux.seccomp = notifying(["getppid"], path);
        config.mounts = [];
        delete config.linux.maskedPaths;
        delete config.linux.readonlyPaths;
        config.linux.namespaces?.push({ type: "user" });
        config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
      },
    });
    expect(box.run(bundle)).toMatchObject({ status: failedWith(71), stderr: "" });
  });

  userTest("answers for a container of a user without any rights", async () => {
    const USER = 64331;
    const { path } = await agent("71");
    chmodSync(path, 0o666);
    for (const noNewPrivileges of [true, false]) {
      const bundle = probe(notifying(["getppid"], path), (config) => {
        const own = [{ containerID: 0, hostID: USER, size: 1 }];
        config.process.noNewPrivileges = noNewPrivileges;
        config.mounts = [];
        delete config.linux.maskedPaths;
        delete config.linux.readonlyPaths;
        config.linux.namespaces = ["user", "mount", "pid"].map((type) => ({ type })) as never;
        delete config.hostname;
        Object.assign(config.linux, { uidMappings: own, gidMappings: own });
        delete config.linux.resources;
      });
      const root = join(bundle.directory, "state");
      mkdirSync(root, { mode: 0o700 });
      for (const place of [root, bundle.rootfs]) chownSync(place, USER, USER);
      const before = ["setpriv", "--reuid", String(USER), "--regid", String(USER), "--clear-groups", "--"];
      const globals = ["--root", root];
      const args = ["run", "--bundle", bundle.directory, bundle.id];
      expect(box.kontena(args, { before, globals })).toMatchObject({ status: failedWith(71), stderr: "" });
    }
  });

  test("answers for a container of a plan that was kept", async () => {
    const { path, lines } = await agent("71");
    const bundle = probe(notifying(["getppid"], path));
    for (let i = 0; i < 3; i++) expect(box.run(bundle)).toMatchObject({ status: failedWith(71), stderr: "" });
    expect(lines().length).toBe(6);
  });

  test("gets the container process state, with one descriptor, in one connection", async () => {
    const { path, lines } = await agent("go");
    const bundle = probe(notifying(["getppid"], path, { listenerMetadata: "one two" }), (config) => {
      config.annotations = { "org.example.key": "value" };
    });
    expect(box.create(bundle).status).toBe(0);
    const { pid } = box.state(bundle.id);
    expect(box.kontena(["start", bundle.id])).toMatchObject({ status: 0, stderr: "" });
    await until("the program has ended", () => box.state(bundle.id).status === "stopped");
    const messages = lines().filter(({ message }) => message !== undefined);
    expect(messages).toEqual([
      {
        message: {
          ociVersion: "1.3.0",
          fds: ["seccompFd"],
          pid,
          metadata: "one two",
          state: {
            ociVersion: "1.3.0",
            id: bundle.id,
            status: "created",
            pid,
            bundle: bundle.directory,
            annotations: { "org.example.key": "value" },
          },
        },
        descriptors: 1,
      },
    ]);
  });

  test("gets execve and close to decide about as well; the program has no listener and no helper", async () => {
    const { path, lines } = await agent("go");
    const bundle = box.bundle({
      args: ["sleep", "100"],
      patch: (config) => {
        config.linux.seccomp = notifying(["execve", "close", "capset"], path, {
          flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"],
        });
        config.process.noNewPrivileges = false;
      },
    });
    expect(box.run(bundle, "--detach")).toMatchObject({ status: 0, stderr: "" });
    const { pid = 0 } = box.state(bundle.id);
    expect(listenersOf(pid)).toEqual([]);
    expect(readOr(`/proc/${pid}/task/${pid}/children`, "")).toBe("");
    const calls = lines().map(({ call }) => call);
    for (const name of ["close", "capset", "execve"] as const) expect(calls).toContain(syscallNumber(name));
  });

  test("of a default action answers for all calls but read", async () => {
    const { path, lines } = await agent("go");
    const bundle = probe({
      defaultAction: "SCMP_ACT_NOTIFY",
      listenerPath: path,
      syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }],
    });
    expect(box.run(bundle)).toMatchObject({ status: 0, stderr: "" });
    const calls = lines().map(({ call }) => call);
    expect(calls).toContain(GETPPID);
    expect(calls).toContain(syscallNumber("execve"));
  });

  test("of a container answers for a process that exec adds, by a listener of its own", async () => {
    const { path, lines } = await agent("72");
    const bundle = box.bundle({
      args: ["sleep", "100"],
      fill: asProbe(oneCall("getppid")),
      patch: (config) => {
        config.linux.seccomp = notifying(["getppid"], path);
      },
    });
    expect(box.run(bundle, "--detach")).toMatchObject({ status: 0, stderr: "" });
    const other = await agent("73");
    // The agent above serves the first process as long as that lives.
    rmSync(path);
    Bun.spawnSync(["ln", "-s", other.path, path]);
    expect(box.kontena(["exec", bundle.id, "/probe"])).toMatchObject({ status: failedWith(73), stderr: "" });
    expect(lines().length).toBe(1);
    const { message } = other.lines()[0] ?? {};
    expect(message).toMatchObject({ fds: ["seccompFd"], state: { status: "running", id: bundle.id } });
    expect(message?.["pid"]).not.toBe(box.state(bundle.id).pid);
  });
});

describe("what goes wrong", () => {
  test("no agent: an error, and a container that can be started when there is one", async () => {
    const path = join(box.directory, "late.socket");
    const bundle = probe(notifying(["getppid"], path));
    expect(box.create(bundle).status).toBe(0);
    const refused = box.kontena(["start", bundle.id]);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain(
      `linux.seccomp.listenerPath: cannot connect to the seccomp agent at ${path}: no such file or directory`,
    );
    expect(box.state(bundle.id).status).toBe("created");
    const late = await agent("go");
    Bun.spawnSync(["ln", "-s", late.path, path]);
    expect(box.kontena(["start", bundle.id])).toMatchObject({ status: 0, stderr: "" });
  });

  test("a start that is killed midway ends init, which tells why", async () => {
    const path = join(box.directory, "silent.socket");
    // Accepts and doesn't read: what is sent fills the socket, and `start` waits.
    const listener = Bun.listen({ unix: path, socket: { data() {}, open: (socket) => socket.pause() } });
    const bundle = probe(notifying(["getppid"], path, { listenerMetadata: "x".repeat(500_000) }));
    expect(box.create(bundle).status).toBe(0);
    const { pid = 0 } = box.state(bundle.id);
    const starting = box.spawn(["start", bundle.id]);
    await until("the filter is loaded", () => /^Seccomp:\s*2/m.test(readOr(`/proc/${pid}/status`, "")));
    starting.kill("SIGKILL");
    await starting.exited;
    await until("init has ended", () => box.state(bundle.id).status === "stopped");
    const again = box.kontena(["start", bundle.id]);
    expect(again.status).toBe(1);
    expect(again.stderr).toContain(
      "linux.seccomp.listenerPath: the runtime ended before it had handed the seccomp listener over\n",
    );
    listener.stop(true);
    rmSync(path, { force: true });
    expect(readdirSync(join(box.root, bundle.id))).toEqual(expect.arrayContaining(STATE_STAYS));
  });

  test("an agent that hangs up before it has everything: an error, and init is gone", async () => {
    const path = join(box.directory, "rude.socket");
    const listener = Bun.listen({ unix: path, socket: { data: (socket) => void socket.terminate() } });
    const bundle = probe(notifying(["getppid"], path, { listenerMetadata: "x".repeat(500_000) }));
    expect(box.create(bundle).status).toBe(0);
    const starting = box.spawn(["start", bundle.id]);
    expect(await starting.exited).toBe(1);
    expect(starting.errors()).toContain("cannot send the seccomp listener to the agent");
    expect(box.state(bundle.id).status).toBe("stopped");
    listener.stop(true);
  });

  test("an agent that goes away: its calls get ENOSYS, nothing waits for ever", async () => {
    const { path } = await agent("none");
    expect(box.run(probe(notifying(["getppid"], path)))).toMatchObject({
      status: failedWith(38),
      stderr: "",
    });
  });

  test("a filter that denies init's wait tells so", async () => {
    const { path } = await agent("go");
    const seccomp = notifying(["getppid"], path);
    seccomp.syscalls?.push({ names: ["read"], action: "SCMP_ACT_ERRNO" });
    const { status, stderr } = box.run(probe(seccomp));
    expect(status).toBe(1);
    expect(stderr).toContain(
      "init cannot wait until the agent has the seccomp listener: operation not permitted",
    );
    expect(stderr).toContain("the filter denies read");
  });

  test.each([
    ["linux.seccomp.syscalls[0].names[1]", notifying(["getppid", "read"], "/run/agent")],
    [
      "linux.seccomp.defaultAction",
      notifying(["getppid"], "/run/agent", { defaultAction: "SCMP_ACT_NOTIFY" }),
    ],
  ])("a profile that would stop init for good is refused at %s", (place, seccomp) => {
    const { status, stderr } = box.create(probe(seccomp));
    expect(status).toBe(1);
    expect(stderr).toContain(`${place}: SCMP_ACT_NOTIFY can't decide about read(2)`);
  });
});
