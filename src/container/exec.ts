/** exec: one more process in a container that runs, with its namespaces, its cgroup, its root and its rights. */

import type { Config } from "../../spec/config.ts";
import type { Process } from "../../spec/process.ts";
import { KontenaError } from "../error.ts";
import { existsSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { join, resolve } from "../path.ts";
import { capabilitySets } from "../plan/capabilities.ts";
import { type ExecInput, FOUND, planExec } from "../plan/exec.ts";
import { lacksHome, withHome } from "../plan/home.ts";
import { LISTENER } from "../plan/names.ts";
import { programCheck, treatmentOf } from "../plan/outside.ts";
import { terminalHandles } from "../plan/terminal.ts";
import { type Descriptors, ownDescriptors } from "./birth.ts";
import { awaitChild, awaitSoon } from "./children.ts";
import { checkConsole, openConsole, sendPidfd } from "./console-socket.ts";
import { CONFIG, doesNotExist, loadState, type StoredState, storedConfig } from "./directory.ts";
import { type Entrance, entranceOf } from "./enter.ts";
import { capabilityName, type ExecOptions, processOf } from "./exec-process.ts";
import { forwardSignals, heedChildren } from "./forward.ts";
import { homeOf } from "./home.ts";
import { gatherHost } from "./host.ts";
import { checkPreserved } from "./input.ts";
import { keepKits, kitOf } from "./kit-store.ts";
import { type Launched, type Launching, type LaunchOptions, launch } from "./launch.ts";
import { raiseLimits, setOomScoreAdj } from "./limits.ts";
import { writePidFile } from "./pid-file.ts";
import { checkWorkingDirectory, readMemory, tellProgram } from "./results.ts";
import type { Runtime } from "./runtime.ts";
import { withFilter } from "./seccomp.ts";
import { LISTENER_MS } from "./start.ts";
import { type Status, statusOf } from "./state.ts";
import { giveStreams } from "./streams.ts";
import { terminalSize } from "./terminal.ts";
import { poll } from "./wait.ts";

export type { ExecOptions } from "./exec-process.ts";

/**
 * exec as a command: waits for the program's end, unless `detach`, and passes signals on to it, and the terminal through.
 * @returns the program's exit status, 128+N when signal N ended it; 0 at once with `detach`
 */
export async function exec(
  runtime: Runtime,
  id: string,
  options: ExecOptions,
  detach: boolean,
): Promise<number> {
  const wants = options.terminal || options.process?.terminal;
  if (wants && !detach && options.consoleSocket === undefined) return execInteractive(runtime, id, options);
  if (detach) {
    execute(runtime, id, options);
    return 0;
  }
  return executeAndWait(runtime, () => execute(runtime, id, options));
}

/** Signals that come before there is anybody to pass them on to wait for their turn, which is then. */
async function executeAndWait(
  runtime: Runtime,
  start: () => Launched,
  meanwhile?: (ended: Promise<unknown>) => Promise<void>,
): Promise<number> {
  let pidfd = -1;
  heedChildren();
  const stop = forwardSignals((signal) => rawSyscall("pidfd_send_signal", pidfd, signal, 0, 0) >= 0, runtime);
  try {
    const launched = start();
    pidfd = launched.pidfd;
    const soon = meanwhile === undefined ? awaitSoon(launched) : undefined;
    if (soon !== undefined) return soon.code;
    const ended = awaitChild(launched.pid);
    await meanwhile?.(ended);
    return (await ended).code;
  } finally {
    stop();
  }
}

async function execInteractive(runtime: Runtime, id: string, options: ExecOptions): Promise<number> {
  const { openForeground, passThrough, receiveMaster } =
    require("./console-socket.ts") as typeof import("./console-socket.ts");
  const descriptors = ownDescriptors(options.preserveFds ?? 0);
  try {
    const foreground = openForeground(descriptors);
    // The program runs when execute returns: it has to find the size then.
    const size = terminalSize(0);
    const interactive = { ...options, consoleFd: foreground.theirs, ...(size === undefined ? {} : { size }) };
    return await executeAndWait(
      runtime,
      () => execute(runtime, id, interactive),
      (ended) => passThrough(receiveMaster(foreground, descriptors), ended, descriptors),
    );
  } finally {
    descriptors.closeAll();
  }
}

/**
 * Starts a process in a container; it runs when this returns.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, or what stopped the program; then nothing of the process is left
 */
export function execute(runtime: Runtime, id: string, options: ExecOptions): Launched {
  const { directory, state } = loadState(runtime, id);
  const running = checkStatus(statusOf(directory, state), state, options);
  const preserveFds = options.preserveFds ?? 0;
  checkPreserved({ preserveFds });
  const descriptors = ownDescriptors(preserveFds);
  try {
    const launched = launch(prepareExec(runtime, directory, running, options, descriptors), descriptors);
    keepKits(runtime);
    return launched;
  } finally {
    descriptors.closeAll();
  }
}

function checkStatus(status: Status, state: StoredState | undefined, options: ExecOptions): StoredState {
  const fits = status === "running" || status === "created" || (status === "paused" && options.ignorePaused);
  if (state !== undefined && fits) return state;
  const paused = status === "paused";
  throw new KontenaError("WRONG_STATUS", `cannot exec in a ${status} container`, {
    hint: paused
      ? "`kontena resume` lets it go on; --ignore-paused starts the process all the same, and it waits for that"
      : "`kontena start` runs a created container's own program first",
  });
}

/** Whoever removes a container takes its config before its state: without one it is as good as gone. */
function configOf({ id }: StoredState, directory: string): Config {
  try {
    return storedConfig(directory);
  } catch (error) {
    throw existsSync(join(directory, CONFIG)) ? error : doesNotExist(id);
  }
}

/** With HOME, as the container has its passwd file now; init can hide its root from who isn't root. */
function atHome({ pid, rootfs }: StoredState, process: Process): Process {
  if (!lacksHome(process)) return process;
  const root = `/proc/${pid}/root`;
  const home = homeOf(existsSync(root) ? root : rootfs, "etc/passwd", process.user?.uid ?? 0);
  return { ...process, env: withHome(process.env ?? [], home) };
}

function toExecInput(
  state: StoredState,
  config: Config,
  options: ExecOptions,
  entrance: Entrance,
): ExecInput {
  // Where they are is known; who plans only wants to know which.
  const namespaces = entrance.types.map((type) => ({ type, path: `/proc/${state.pid}/ns` }));
  return {
    ...entrance.input,
    ...(config.process?.user === undefined ? {} : { user: config.process.user }),
    // Parameters of the kernel were set for the container already.
    config: {
      ...config,
      process: atHome(state, processOf(config, options)),
      linux: { ...config.linux, namespaces, sysctl: {} },
    },
    host: { ...gatherHost(), sources: {} },
    id: state.id,
    rootfs: state.rootfs,
    cgroupManager: "disabled",
    cgroupPath: undefined,
    preserveFds: options.preserveFds ?? 0,
    noPivot: false,
    noNewKeyring: state.noNewKeyring === true,
  };
}

/** Loaded for the few containers that have use for it. */
const rdt = () => require("./rdt.ts") as typeof import("./rdt.ts");

/** Of those that were asked for here: the container's own were told of at create. */
function warnOfCapabilities({ warn }: Runtime, input: ExecInput, { capabilities = [] }: ExecOptions): void {
  if (capabilities.length === 0) return;
  const asked = new Set(capabilities.map(capabilityName));
  for (const { name, why } of capabilitySets(input).refused)
    if (asked.delete(name)) warn(`--cap ${name} is left out: ${why}`);
}

/** What is decided before the process is born. @throws KontenaError */
export function prepareExec(
  runtime: Runtime,
  directory: string,
  state: StoredState,
  options: ExecOptions,
  descriptors: Descriptors,
): LaunchOptions {
  const { cgroup, ignorePaused = false } = options;
  const where = { frozen: ignorePaused, ...(cgroup === undefined ? {} : { cgroup }) };
  const entrance = entranceOf(state, where, descriptors);
  const input = withFilter(runtime, toExecInput(state, configOf(state, directory), options, entrance));
  warnOfCapabilities(runtime, input, options);
  const [treatment, program] = [treatmentOf(input), programCheck(input)];
  checkConsole(input.config, options);
  const consoleFd = openConsole(input.config, options, descriptors);
  return {
    ...(consoleFd === undefined ? {} : { consoleFd }),
    ...(options.stdio === undefined ? {} : { stdio: options.stdio }),
    plan: planExec(input, [...entrance.handles, ...terminalHandles(input)]),
    kits: (shape) => kitOf(runtime, shape),
    preserveFds: input.preserveFds,
    lastCap: input.host.lastCap,
    ...(entrance.cgroupFd === undefined ? {} : { cgroupFd: entrance.cgroupFd }),
    born(pid) {
      entrance.join(pid);
      setOomScoreAdj(treatment, pid);
      raiseLimits(treatment, pid);
      if (state.resctrl !== undefined) rdt().joinRdt(state.resctrl, pid);
      if (treatment.hasOtherUser) giveStreams(input, options.stdio);
    },
    at: {
      [FOUND.pause]: ({ encoded, planFd, pid, pidfd }) => {
        const memory = readMemory(encoded, planFd);
        checkWorkingDirectory(program, encoded, memory);
        tellProgram(program, encoded, memory, planFd);
        // Before the program runs: what fails here is the end of the process.
        if (options.pidfdSocket !== undefined) sendPidfd(options.pidfdSocket, pidfd, descriptors);
        if (options.pidFile !== undefined) writePidFile(options.pidFile, pid);
      },
    },
    last: (launching, goOn) => lastBatch(input, state, launching, goOn),
  };
}

/** When the seccomp filter has an agent, it gets its listener as soon as that is there. */
function lastBatch(input: ExecInput, stored: StoredState, launching: Launching, goOn: () => void): void {
  const { encoded, planFd, socket, pid, pidfd } = launching;
  const cell = encoded.cells.get(LISTENER);
  if (cell === undefined) {
    goOn();
    return;
  }
  const { openHandOver } = require("./listener.ts") as typeof import("./listener.ts");
  const { ociVersion, id, bundle, annotations = {} } = stored;
  const { listenerPath = "", listenerMetadata: metadata } = input.config.linux?.seccomp ?? {};
  const handOver = openHandOver({
    ...{ path: resolve(bundle, listenerPath), metadata, plan: planFd, cell, pid, pidfd, goOn },
    state: { ociVersion, id, status: "running", pid: stored.pid, bundle, annotations },
  });
  try {
    goOn();
    // Its end is told by the socket as well.
    while (handOver.isPending() && poll([socket], LISTENER_MS).length === 0);
  } finally {
    handOver.close();
  }
}
