/**
 * Each step of a typical plan fails in turn: a call that is certain to fail takes its place. The error must be the step's
 * own, and nothing of the container may be left.
 */
import { expect } from "bun:test";
import { chownSync, closeSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Descriptors, ownDescriptors } from "../../src/container/birth.ts";
import { type ConsoleOptions, openForeground } from "../../src/container/console-socket.ts";
import { createPrepared } from "../../src/container/create.ts";
import { remove } from "../../src/container/delete.ts";
import { loadState, type StoredState, storedConfig } from "../../src/container/directory.ts";
import { prepareExec } from "../../src/container/exec.ts";
import { prepareHook } from "../../src/container/hooks.ts";
import { type LaunchOptions, launch } from "../../src/container/launch.ts";
import { type Prepared, prepare } from "../../src/container/prepare.ts";
import { openRuntime } from "../../src/container/runtime.ts";
import { start } from "../../src/container/start.ts";
import { toState } from "../../src/container/state.ts";
import { endInit } from "../../src/container/wait.ts";
import { exitStatus, KontenaError } from "../../src/error.ts";
import type { Call, Outcome, Step } from "../../src/init/step.ts";
import { errnoText } from "../../src/kernel/errno.ts";
import type { Plan } from "../../src/plan/order.ts";
import { cgroupsNamed, openBox, readOr, type TestBundle, type TestConfig, test, until } from "./helpers.ts";

const box = openBox("failing");
const runtime = openRuntime({ root: box.root, warn: () => {}, debug: () => {} });

/** One call of a plan, by its number among all of them. */
interface Place {
  number: number;
  phase: string;
  part: "create" | "start";
  call: Call;
  /** Runs only after another call's error: a typical run doesn't get there. */
  aside: boolean;
}

/** Visits every call of some steps, those behind outcomes too, and gives the steps with what `visit` returns for each. */
function mapCalls(
  steps: readonly Step[],
  aside: boolean,
  visit: (call: Call, aside: boolean) => Call,
): Step[] {
  const mapOutcome = (outcome: Outcome): Outcome =>
    typeof outcome === "string" ? outcome : mapCalls(outcome, true, visit);
  return steps.map((step): Step => {
    if ("block" in step) return { block: mapCalls(step.block, aside, visit) };
    if (!("call" in step)) return step;
    const { on, zero, otherwise } = step;
    return {
      ...visit(step, aside),
      ...(on && { on: Object.fromEntries(Object.entries(on).map(([name, to]) => [name, mapOutcome(to)])) }),
      ...(zero && { zero: mapOutcome(zero) }),
      ...(otherwise && { otherwise: mapOutcome(otherwise) }),
    };
  });
}

function mapPlan<T extends Pick<Plan, "create" | "start">>(plan: T, visit: (place: Place) => Call): T {
  let number = 0;
  const part = (name: "create" | "start") =>
    plan[name].map(({ phase, steps }) => ({
      phase,
      steps: mapCalls(steps, false, (call, aside) =>
        visit({ number: number++, phase, part: name, call, aside }),
      ),
    }));
  return { ...plan, create: part("create"), start: part("start") };
}

function placesOf(plan: Pick<Plan, "create" | "start">): Place[] {
  const places: Place[] = [];
  mapPlan(plan, (place) => {
    places.push(place);
    return place.call;
  });
  return places;
}

/**
 * close(2) of a descriptor that nobody has: EBADF. It takes no notice of the arguments that it gets besides. Where that is
 * expected, dup3(2) of one to itself: EINVAL, whatever its flags.
 */
const errorOf = (call: Call) => (call.on?.EBADF === undefined ? "EBADF" : "EINVAL");
const failing = (call: Call): Call => ({
  ...call,
  ...(errorOf(call) === "EBADF"
    ? { call: "close", args: [-1, ...call.args].slice(0, 6) }
    : { call: "dup3", args: [-1, -1, ...call.args].slice(0, 6) }),
});

const labelOf = ({ phase, call }: Place) =>
  `${phase}: ${call.call} (${call.why}${call.at ? `, ${call.at}` : ""})`;

const descriptors = () => readdirSync("/proc/self/fd").length;
const children = () =>
  readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
const mountsOf = (id: string) =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(`/${id}`));

/** All that a container could leave: zombies and descriptors of this process too. */
const left = (id: string) => ({
  state: existsSync(join(box.root, id)),
  cgroups: cgroupsNamed(`kontena-${id}`),
  mounts: mountsOf(id),
  children: children(),
  descriptors: descriptors(),
});

interface Told {
  code: string;
  message: string;
  at: string | undefined;
  errno: string | undefined;
  exit: number;
  /** The command that failed. */
  part: "create" | "start" | undefined;
}

function told(error: unknown, part: Told["part"]): Told {
  if (!(error instanceof KontenaError)) throw error;
  const { code, message, details } = error;
  return { code, message, at: details.at, errno: details.errno, exit: exitStatus(error), part };
}

const EXITS: Record<string, number> = { EXEC_FAILED: 126, EXEC_NOT_EXECUTABLE: 126, EXEC_NOT_FOUND: 127 };

function expected({ call, part }: Place): Told {
  const errno = errorOf(call);
  const code = call.fail?.codes?.[errno] ?? call.fail?.code ?? "no code";
  return {
    code,
    message: `${call.fail?.message}: ${errnoText(errno)}`,
    at: call.at,
    errno,
    exit: EXITS[code] ?? 1,
    part,
  };
}

interface Outcomes {
  /** Undefined when all went well. */
  got: Told | undefined;
  wanted: Told | undefined;
}

/** Creates and starts with one call failing. */
function runWith(bundle: TestBundle, id: string, number: number): Outcomes {
  const descriptors = ownDescriptors(0);
  try {
    const consoleFd = bundle.config.process.terminal ? openForeground(descriptors).theirs : undefined;
    return runIn(bundle, id, number, consoleFd === undefined ? {} : { consoleFd });
  } finally {
    descriptors.closeAll();
  }
}

function runIn(bundle: TestBundle, id: string, number: number, console: ConsoleOptions): Outcomes {
  const options = { id, bundle: bundle.directory, ...console };
  const prepared: Prepared = prepare(runtime, options);
  let wanted: Told | undefined;
  const plan = mapPlan(prepared.plan, (place) => {
    if (place.number !== number) return place.call;
    wanted = expected(place);
    return failing(place.call);
  });
  let container: ReturnType<typeof createPrepared>;
  try {
    container = createPrepared(runtime, options, { ...prepared, plan });
  } catch (error) {
    return { got: told(error, "create"), wanted };
  }
  try {
    start(runtime, id);
    return { got: undefined, wanted };
  } catch (error) {
    return { got: told(error, "start"), wanted };
  } finally {
    remove(runtime, id, { force: true });
    closeSync(container.pidfd);
  }
}

/** Fails every step of a container's plan that can fail. */
function failEach(patch: (config: TestConfig, directory: string) => void): string[] {
  const bundle = box.bundle({ args: ["sleep", "1000"], patch });
  const places = placesOf(prepare(runtime, { id: box.next(), bundle: bundle.directory }).plan);
  expect(places.length).toBeGreaterThan(100);
  return failEachOf(places, (id, number) => runWith(bundle, id, number));
}

/** Fails every step that can fail; gives the labels of those off the usual way that were reached. */
function failEachOf(places: readonly Place[], run: (id: string, number: number) => Outcomes): string[] {
  // Once without a failure: what is mapped and opened once a process is there now, and the plan works at all.
  expect(run(box.next(), -1).got).toBeUndefined();
  // Whatever they say, the plan goes on: looking for the program, and giving up what can't be given up. And the first stage of a
  // birth can't be kept from ending.
  const canFail = places.filter(({ call }) => call.otherwise === undefined && call.call !== "exit_group");
  const wrong: Record<string, unknown> = {};
  const reached: string[] = [];
  for (const place of canFail) {
    const id = box.next();
    const before = left(id);
    const { got, wanted } = run(id, place.number);
    if (got !== undefined && place.aside) reached.push(labelOf(place));
    if (got === undefined && !place.aside) wrong[labelOf(place)] = "nothing failed";
    if (got !== undefined && !Bun.deepEquals(got, wanted)) wrong[labelOf(place)] = { got, wanted };
    const after = left(id);
    if (!Bun.deepEquals(after, before)) wrong[`left by ${labelOf(place)}`] = { before, after };
  }
  expect(wrong).toEqual({});
  return reached;
}

const LONG_MS = 120_000;

test(
  "each step of a typical plan, failing, is told as itself and leaves nothing",
  () => {
    failEach((config) => {
      config.hostname = "failing";
      config.domainname = "steps";
      config.root.readonly = true;
      config.process.user = { uid: 1000, gid: 1000, additionalGids: [10, 20], umask: 0o27 };
      config.process.noNewPrivileges = true;
      config.process.rlimits = [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }];
      // A directory: a file's mask is the same with three steps less.
      config.linux.maskedPaths = ["/proc/tty"];
      config.linux.readonlyPaths = ["/proc/sys"];
      config.process.cwd = "/bin";
    });
  },
  LONG_MS,
);

test(
  "each step of a plan with a user namespace, failing, is told as itself and leaves nothing",
  () => {
    const reached = failEach((config, directory) => {
      // The directories of the mounts are made by root of that namespace.
      chownSync(join(directory, "rootfs"), 100_000, 100_000);
      config.linux.namespaces?.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
      config.linux.maskedPaths = ["/proc/tty"];
      config.linux.readonlyPaths = ["/proc/sys"];
    });
    // Devices can't be made there: the host's are bound instead.
    expect(reached.filter((label) => label.includes("mknodat"))).not.toEqual([]);
  },
  LONG_MS,
);

/** A process in namespaces of its own; the container that joins its pid namespace is born in two stages. */
async function withHolder(use: (path: string) => void): Promise<void> {
  const holder = Bun.spawn(["unshare", "--pid", "--ipc", "--fork", "--kill-child", "sleep", "100000"]);
  const child = () => readOr(`/proc/${holder.pid}/task/${holder.pid}/children`, "").trim();
  try {
    await until("the namespaces are there", () => child() !== "");
    use(`/proc/${child()}/ns`);
  } finally {
    holder.kill("SIGKILL");
    await holder.exited;
  }
}

function withMuch(config: TestConfig, directory: string, joined: string): void {
  const { linux, process } = config;
  const others = (linux.namespaces ?? []).filter(({ type }) => type !== "pid" && type !== "ipc");
  linux.namespaces = [
    ...others,
    { type: "time" },
    { type: "pid", path: `${joined}/pid` },
    { type: "ipc", path: `${joined}/ipc` },
  ];
  linux.maskedPaths = ["/proc/tty"];
  linux.readonlyPaths = ["/proc/sys"];
  linux.timeOffsets = { monotonic: { secs: 7 } };
  linux.personality = { domain: "LINUX32" };
  linux.sysctl = { "net.ipv4.ip_forward": "1" };
  linux.devices = [{ type: "c", path: "/dev/mine", major: 1, minor: 3, uid: 7 }];
  linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }],
  };
  process.terminal = true;
  process.consoleSize = { height: 30, width: 100 };
  process.user = { uid: 1000, gid: 1000 };
  process.scheduler = { policy: "SCHED_BATCH", nice: 3 };
  process.ioPriority = { class: "IOPRIO_CLASS_BE", priority: 5 };
  // There from the first time on: a plan depends on it.
  for (const name of ["bound", "copied"]) mkdirSync(join(directory, "rootfs", name));
  config.mounts.push(
    { destination: "/bound", type: "bind", source: join(directory, "rootfs/bin"), options: ["rbind", "ro"] },
    { destination: "/copied", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "size=64k"] },
  );
}

test(
  "each step of a plan with much more in it, failing, is told as itself and leaves nothing",
  async () => {
    await withHolder((joined) => {
      failEach((config, directory) => withMuch(config, directory, joined));
    });
  },
  LONG_MS,
);

/** Launches with one call failing; a process that runs all the same is ended. */
function launchWith(prepared: (descriptors: Descriptors) => LaunchOptions, number: number): Outcomes {
  const descriptors = ownDescriptors(0);
  let wanted: Told | undefined;
  try {
    const options = prepared(descriptors);
    const plan = mapPlan(options.plan, (place) => {
      if (place.number !== number) return place.call;
      wanted = { ...expected(place), part: undefined };
      return failing(place.call);
    });
    const { pid, pidfd } = launch({ ...options, plan }, descriptors);
    endInit(pid, pidfd);
    closeSync(pidfd);
    return { got: undefined, wanted };
  } catch (error) {
    return { got: told(error, undefined), wanted };
  } finally {
    descriptors.closeAll();
  }
}

/** The same for each call of the plan. */
function failEachLaunched(prepared: (descriptors: Descriptors) => LaunchOptions): void {
  const descriptors = ownDescriptors(0);
  const places = placesOf(prepared(descriptors).plan);
  descriptors.closeAll();
  expect(places.length).toBeGreaterThan(20);
  failEachOf(places, (_, number) => launchWith(prepared, number));
}

test(
  "each step of exec and of a hook inside, failing, is told as itself and leaves nothing",
  () => {
    const bundle = box.bundle({
      args: ["sleep", "1000"],
      patch: (config) => {
        config.process.user = { uid: 1000, gid: 1000, additionalGids: [10] };
        config.process.noNewPrivileges = true;
        config.linux.seccomp = {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }],
        };
      },
    });
    expect(box.run(bundle, "--detach").status).toBe(0);
    const { directory, state } = loadState(runtime, bundle.id);
    const stored = state as StoredState;
    failEachLaunched((descriptors) =>
      prepareExec(runtime, directory, stored, { args: ["sleep", "1000"] }, descriptors),
    );
    const hook = { path: "/bin/sleep", args: ["sleep", "1000"] };
    const options = {
      config: storedConfig(directory),
      stored,
      state: { ...toState(directory, bundle.id, stored), pid: stored.pid },
    };
    failEachLaunched((descriptors) =>
      prepareHook(hook, "startContainer", "hooks.startContainer[0]", options, descriptors),
    );
  },
  LONG_MS,
);
