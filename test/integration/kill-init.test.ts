/**
 * SIGKILL at every system call of init, and of the runtime while init is at some place. A first strace stops the runtime
 * when init is born and waits for its first order; a second one, on init alone, then lets both go on.
 */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, openBox, readOr, type TestBundle, testNeeding, until } from "./helpers.ts";
import {
  command,
  createCommand,
  dieAt,
  expectNothingLeft,
  expectRemovable,
  filesOf,
  finish,
  forEach,
  labelOf,
  readTrace,
  storedState,
  type TracedCall,
  test,
  traced,
  tracee,
  watching,
} from "./kill-helpers.ts";

const box = openBox("killinit");
const LONG_MS = 180_000;

let made: ReturnType<typeof box.bundle> | undefined;
function sleeper() {
  made ??= box.bundle({ args: ["sleep", "1000"] });
  return made;
}

/** Which rename(2) of create is that of the state that has init's pid. */
let renameOfBirth: Promise<number> | undefined;
async function countRenames(): Promise<number> {
  const id = box.next();
  const { trace, errors } = filesOf(box, id);
  expect(await finish(watching(trace, createCommand(box, sleeper(), id)), errors)).toBe(0);
  await expectRemovable(box, id);
  const calls = readTrace(trace, id);
  const birth = calls.findIndex((call) => call.text.includes("CLONE_VFORK"));
  expect(birth).toBeGreaterThan(0);
  return calls.slice(0, birth).filter((call) => call.name === "renameat2").length + 1;
}

interface Born {
  id: string;
  /** The runtime, stopped before it gives the first order. */
  runtime: number;
  init: number;
  /** Lets the runtime go on and gives create's exit status. */
  goOn(): Promise<number>;
  errors(): string;
}

async function beBorn(bundle: TestBundle = sleeper()): Promise<Born> {
  renameOfBirth ??= countRenames();
  const id = box.next();
  const stop = ["-e", "trace=renameat2", "-e", `inject=renameat2:signal=SIGSTOP:when=${await renameOfBirth}`];
  const log = join(box.directory, `${id}.log`);
  const [program, ...words] = createCommand(box, bundle, id);
  const child = Bun.spawn(
    [
      "strace",
      "-qq",
      ...stop,
      "-o",
      "/dev/null",
      program as string,
      "--log",
      log,
      "--log-format",
      "json",
      ...words,
    ],
    { stdio: ["ignore", "ignore", "ignore"], timeout: 20_000, killSignal: "SIGKILL" },
  );
  const pid = () => storedState(box, id)?.pid ?? 0;
  await until("init is born", () => pid() > 0);
  const runtime = tracee(child.pid);
  await until("the runtime has stopped", () => /^State:\t[tT]/m.test(readOr(`/proc/${runtime}/status`, "")));
  return {
    id,
    runtime,
    init: pid(),
    goOn: async () => {
      process.kill(runtime, "SIGCONT");
      return await child.exited;
    },
    errors: () => readOr(log, ""),
  };
}

/** Attaches to a process; `more` are strace's own options. */
async function attach(pid: number, trace: string, more: string[] = []) {
  const strace = Bun.spawn(["strace", "-qq", "-y", "-s", "200", ...more, "-o", trace, "-p", String(pid)], {
    stdio: ["ignore", "ignore", "ignore"],
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  await traced(pid);
  return strace;
}

const injecting = ({ name }: TracedCall, signal: "SIGKILL" | "SIGSTOP", count: number) => [
  ...["-e", `trace=${name}`, "-e", `inject=${name}:signal=${signal}:when=${count}`],
];

/** strace looks at this process's calls by name alone. */
const byName = (calls: TracedCall[]) => calls.map((call): TracedCall => ({ ...call, path: undefined }));

/** init's calls from its first order until it waits for start. */
async function watchInit(): Promise<TracedCall[]> {
  const born = await beBorn();
  const { trace } = filesOf(box, born.id);
  const strace = await attach(born.init, trace);
  expect(await born.goOn()).toBe(0);
  await until("init waits for start", () => readOr(trace, "").includes("exec.fifo"));
  await expectRemovable(box, born.id);
  await strace.exited;
  return byName(readTrace(trace, born.id));
}

interface Ended {
  status: number;
  log: string;
}

/** Kills init at one call; gives how create ended. */
async function killInit(call: TracedCall, baseline: TracedCall[]): Promise<{ id: string; ended: Ended }> {
  let ended: Ended = { status: 0, log: "" };
  const attempt = async (count: number) => {
    const born = await beBorn();
    const { trace } = filesOf(box, born.id);
    const strace = await attach(born.init, trace, injecting(call, "SIGKILL", count));
    ended = { status: await born.goOn(), log: born.errors() };
    await strace.exited;
    return { id: born.id, seen: readTrace(trace, born.id) };
  };
  return { id: await dieAt(call, baseline, attempt, box), ended };
}

/** The signal isn't always told: a zombie belongs to its tracer first, and here that is strace. */
const DIED =
  /"code":"INIT_DIED","message":"the container's init ended before it was done( \(killed by signal 9\))?"/;

test(
  "init killed at any of its calls fails create, which says so and leaves nothing",
  async () => {
    const calls = await watchInit();
    expect(calls.length).toBeGreaterThan(50);
    // Having said that all is made, init belongs to a container that exists: start meets its end.
    const said = calls.findLastIndex((call) => call.name === "write");
    await forEach(calls, labelOf, async (call) => {
      const { id, ended } = await killInit(call, calls);
      if (calls.indexOf(call) > said && ended.status === 0) await expectStartFails(id);
      else {
        expect(ended).toEqual({ status: 1, log: expect.stringMatching(DIED) });
        await expectNothingLeft(box, id);
      }
    });
  },
  LONG_MS,
);

test("init killed before its first order fails create, which says so, whatever was to be done to it", async () => {
  const bundles = [
    sleeper(),
    box.bundle({
      patch: ({ process, linux }) => {
        process.oomScoreAdj = 100;
        linux.namespaces?.push({ type: "user" });
        linux.uidMappings = linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
      },
    }),
    box.bundle({
      patch: ({ process }) => {
        process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 10, hard: 20 }];
        process.oomScoreAdj = 100;
      },
    }),
  ];
  for (const bundle of bundles) {
    const born = await beBorn(bundle);
    process.kill(born.init, "SIGKILL");
    await until("init is dead", () => !isAlive(born.init));
    expect({ status: await born.goOn(), log: born.errors() }).toEqual({
      status: 1,
      log: expect.stringMatching(DIED),
    });
    await expectNothingLeft(box, born.id);
  }
});

/** It may end just then. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function expectStartFails(id: string): Promise<void> {
  const { errors } = filesOf(box, id);
  expect(await finish(command(box, "start", id), errors)).toBe(1);
  expect(readFileSync(errors, "utf8")).toMatch(
    /cannot start a container in the stopped state|init ended before/,
  );
  await expectRemovable(box, id);
}

test(
  "create killed while init is at any of its calls leaves what delete --force removes wholly",
  async () => {
    const calls = await watchInit();
    await forEach(calls, labelOf, async (call) => {
      const attempt = async (count: number) => {
        const born = await beBorn();
        const { trace } = filesOf(box, born.id);
        const strace = await attach(born.init, trace, injecting(call, "SIGSTOP", count));
        const create = born.goOn();
        const stopped = () => readOr(trace, "").includes("stopped by SIGSTOP");
        await until("init has stopped", () => stopped() || !isAlive(born.runtime));
        killIfThere(born.runtime);
        await create;
        const seen = readTrace(trace, born.id);
        await expectRemovable(box, born.id);
        await strace.exited;
        return { id: born.id, seen };
      };
      await dieAt(call, calls, attempt, box);
    });
  },
  LONG_MS,
);

test(
  "init killed at any of its calls fails start, which says so",
  async () => {
    const park = async () => {
      const id = box.next();
      const { errors } = filesOf(box, id);
      expect(await finish(createCommand(box, sleeper(), id), errors)).toBe(0);
      const { pid } = storedState(box, id) as { pid: number };
      await until(
        "init waits for start",
        () => readOr(`/proc/${pid}/wchan`, "").includes("fifo") || sleeps(pid),
      );
      return { id, pid };
    };
    const watched = await park();
    const { trace, errors } = filesOf(box, watched.id);
    const strace = await attach(watched.pid, trace);
    expect(await finish(command(box, "start", watched.id), errors)).toBe(0);
    await expectRemovable(box, watched.id);
    await strace.exited;
    const all = byName(readTrace(trace, watched.id));
    const calls = all.slice(0, all.findIndex((call) => call.name === "execve") + 1);
    expect(calls.length).toBeGreaterThan(10);

    await forEach(calls, labelOf, async (call) => {
      const attempt = async (count: number) => {
        const { id, pid } = await park();
        const files = filesOf(box, id);
        const strace = await attach(pid, files.trace, injecting(call, "SIGKILL", count));
        const status = await finish(command(box, "start", id), files.errors);
        // Nothing tells a death in execve from a program that ended at once.
        if (call.name !== "execve" || status !== 0)
          expect({ status, errors: readFileSync(files.errors, "utf8") }).toEqual({
            status: 1,
            errors: expect.stringMatching(
              /init ended before the program ran|cannot start a container in the stopped/,
            ),
          });
        await strace.exited;
        return { id, seen: readTrace(files.trace, id) };
      };
      await expectRemovable(box, await dieAt(call, all, attempt, box));
    });
  },
  LONG_MS,
);

/** Parked, or about to be: it sleeps in a call that only start ends. */
function sleeps(pid: number): boolean {
  return readOr(`/proc/${pid}/syscall`, "").split(" ")[0] === OPENAT;
}
const OPENAT = process.arch === "arm64" ? "56" : "257";

/** create, with its child held between clone and execveat; gives both. */
async function holdInWindow(milliseconds: number) {
  const id = box.next();
  const delay = ["-e", "trace=execveat", "-e", `inject=execveat:delay_enter=${milliseconds * 1000}`];
  const strace = Bun.spawn(
    ["strace", "-f", "-qq", ...delay, "-o", "/dev/null", ...createCommand(box, sleeper(), id)],
    {
      stdio: ["ignore", "ignore", "ignore"],
      timeout: 20_000,
      killSignal: "SIGKILL",
    },
  );
  const childrenOf = (pid: number) =>
    readOr(`/proc/${pid}/task/${pid}/children`, "").split(" ").filter(Boolean).map(Number);
  await until("the child is born", () => childrenOf(tracee(strace.pid)).length > 0);
  const runtime = tracee(strace.pid);
  const [child] = childrenOf(runtime) as [number];
  // On v1 alone there is no state yet.
  expect(storedState(box, id)?.pid ?? 0).toBe(0);
  return { id, strace, runtime, child };
}

test("create killed while its child still shares its memory: the child ends by itself", async () => {
  const { id, strace, runtime, child } = await holdInWindow(300);
  process.kill(runtime, "SIGKILL");
  await until("the runtime is dead", () => !isAlive(runtime));
  expect(isAlive(child)).toBe(true);
  await until("the child has ended", () => !isAlive(child));
  await strace.exited;
  await expectRemovable(box, id);
});

/** It is found by the cgroup that it was born in. */
const bornInCgroup = testNeeding("root", "busybox", "strace", "a v2 hierarchy");
bornInCgroup("delete --force while that child still lives leaves nothing either", async () => {
  const { id, strace, runtime, child } = await holdInWindow(2000);
  process.kill(runtime, "SIGKILL");
  await until("the runtime is dead", () => !isAlive(runtime));
  expect(isAlive(child)).toBe(true);
  await expectRemovable(box, id);
  expect(isAlive(child)).toBe(false);
  await strace.exited;
});
