/**
 * create (runtime.md, "Create"): the container is made and its program waits. What would need cleaning is written to the
 * state before it exists, so that `delete --force` finds it whenever this process is killed.
 */

import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { S_IF } from "../kernel/consts/stat.ts";
import { constants, openSync, writeFileSync } from "../kernel/fs.ts";
import { syscall } from "../kernel/libc.ts";
import { hasAny } from "../lists.ts";
import { join, resolve } from "../path.ts";
import { hasNamespace, isRootOfAll } from "../plan/input.ts";
import { COPY_UP, LISTENER, LISTENER_FIFO } from "../plan/names.ts";
import { BORN, CREATED, HOOKS, IN_CGROUP, JOINED } from "../plan/pauses.ts";
import { cgroupTexts, keyringTexts } from "../plan/texts.ts";

import { bear, ownDescriptors } from "./birth.ts";
import { type Compiled, compile, compilePlan } from "./compile.ts";
import { afterJoining, type Conversation, goOn, initEnded, listenFor } from "./conversation.ts";
import {
  CONFIG,
  draftState,
  FIFO,
  makeDirectory,
  PLAN,
  publishState,
  START_OPS,
  type StoredState,
  withLock,
  writeState,
} from "./directory.ts";
import type { CreateOptions } from "./input.ts";
import { raiseLimits, setOomScoreAdj } from "./limits.ts";
import { type Making, take, undo } from "./making.ts";
import { explainMemory } from "./memory-floor.ts";
import { checkMounts } from "./mount-results.ts";
import { enterCgroup, makeCgroup, planCgroup, waitsForInit } from "./own-cgroup.ts";
import { writePidFile } from "./pid-file.ts";
import type { Prepared } from "./prepare.ts";
import { checkResults, readMemory, tellProgram } from "./results.ts";
import type { Runtime } from "./runtime.ts";
import { toState } from "./state.ts";
import { poll } from "./wait.ts";

export type { CreateOptions } from "./input.ts";

/** A container that this process has created. */
export interface Container {
  id: string;
  /** Host pid of its init. */
  pid: number;
  /** Refers to init until it is closed. */
  pidfd: number;
  directory: string;
  state: StoredState;
  /** The plan that it was made by. */
  compiled: Compiled;
}

/** The spec's version that states are written in. */
export const OCI_VERSION = "1.3.0";

function firstState(options: CreateOptions, prepared: Compiled): StoredState {
  const { bundle, input } = prepared;
  const { annotations } = bundle.config;
  return {
    format: 1,
    ociVersion: OCI_VERSION,
    id: options.id,
    status: "creating",
    pid: 0,
    startTime: "",
    bundle: bundle.path,
    rootfs: bundle.rootfs,
    ...(annotations === undefined ? {} : { annotations }),
    created: new Date().toISOString(),
    owner: input.host.uid,
    ...(hasAny(Object.values(bundle.config.hooks ?? {}), (list) => list.length > 0) ? { hooks: true } : {}),
    ...(bundle.config.linux?.seccomp === undefined ? {} : { filtered: true }),
    ...(input.noNewKeyring ? { noNewKeyring: true } : {}),
    ...(input.noPivot || !hasNamespace(input.config, "mount") ? { chroot: true } : {}),
  };
}

/**
 * @throws KontenaError for whatever is wrong; then nothing of the container is left.
 */
export function create(runtime: Runtime, options: CreateOptions): Container {
  return createCompiled(runtime, options, compile(runtime, options));
}

/** The same for a bundle that has been read and planned already. */
export function createPrepared(runtime: Runtime, options: CreateOptions, prepared: Prepared): Container {
  return createCompiled(
    runtime,
    options,
    compilePlan(runtime, prepared.bundle, prepared.input, prepared.plan),
  );
}

/** The same for a plan that has been encoded already. */
export function createCompiled(runtime: Runtime, options: CreateOptions, prepared: Compiled): Container {
  const { config } = prepared.input;
  if (config.process?.terminal || options.consoleSocket !== undefined)
    consoles().checkConsole(config, options);
  const directory = makeDirectory(runtime, options.id);
  return withLock(directory, options.id, () => {
    const making: Making = {
      directory,
      state: firstState(options, prepared),
      descriptors: ownDescriptors(prepared.input.preserveFds),
      cgroups: [],
      undoing: [],
    };
    try {
      return make(runtime, options, prepared, making);
    } catch (error) {
      const told = explainMemory(error, making.state.cgroup);
      undo(runtime, making);
      throw told;
    } finally {
      making.descriptors.closeAll();
    }
  });
}

function make(runtime: Runtime, options: CreateOptions, prepared: Compiled, making: Making): Container {
  const { directory, state } = making;
  // Where nothing is made before init is there, it is noted when init is: its network namespace takes the kernel longer.
  const isLate = waitsForInit(prepared);
  let cgroupFd: number | undefined;
  if (!isLate) {
    note(runtime, prepared, making);
    writeState(directory, state);
    cgroupFd = makeCgroup(runtime, prepared, making);
  }
  if (options.notifySocket !== undefined) loadNotify().makeNotifyDirectory(directory);
  const { encoded, handles, namespaces, input } = prepared;
  const { own } = making.descriptors;
  const stateFd = own(syscall("openat", AT_FDCWD, directory, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, 0));
  const planFd = own(
    openSync(join(directory, PLAN), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600),
  );
  const { preserveFds, host } = input;
  const consoleFd = input.config.process?.terminal
    ? consoles().openConsole(input.config, options, making.descriptors)
    : undefined;
  const { socket, ...init } = bear(
    {
      ...{ encoded, namespaces, handles, preserveFds, planFd, stateFd },
      ...(options.stdio === undefined ? { kits: () => prepared.kit, keepsInit: runtime.makesMany } : {}),
      lastCap: host.lastCap,
      texts: [...cgroupTexts(input), ...keyringTexts(input)],
      ...(cgroupFd === undefined ? {} : { cgroupFd }),
      ...(consoleFd === undefined ? {} : { consoleFd }),
      ...(options.stdio === undefined ? {} : { stdio: options.stdio }),
    },
    making.descriptors,
  );
  take(making, init);
  if (isLate) note(runtime, prepared, making);
  noteListener(prepared, making);
  writeState(directory, state);

  const talk: Conversation = { runtime, options, prepared, making, planFd, socket };
  for (const { pause, silent } of prepared.pauses) {
    if (pause === JOINED.pause) afterJoining(talk);
    else if (!silent) listenFor(talk);
    if (pause.startsWith(COPY_UP)) fillTmpfs(talk, pause);
    else AT_PAUSE[pause]?.(talk);
    goOn(talk);
    if (pause === IN_CGROUP.pause) prepareEnd(talk);
  }
  return {
    id: options.id,
    pid: state.pid,
    pidfd: making.pidfd ?? init.pidfd,
    directory,
    state,
    compiled: prepared,
  };
}

/** What will be made beside init. */
function note(runtime: Runtime, prepared: Compiled, making: Making): void {
  planCgroup(runtime, prepared, making);
  planRdt(prepared, making);
}

/** Loaded for a container with a terminal. */
function consoles() {
  return require("./console-socket.ts") as typeof import("./console-socket.ts");
}

/** What the runtime does while init waits, by the pause's name. */
const AT_PAUSE: Readonly<Record<string, (talk: Conversation) => void>> = {
  [JOINED.pause]: treat,
  [BORN.pause]: treat,
  network: takeNetDevices,
  [IN_CGROUP.pause]: makeRest,
  [HOOKS.pause]: ({ runtime, prepared, making, planFd }) => {
    // Hooks may rely on the container's /proc.
    checkMounts(prepared.outside.checks, prepared.encoded, readMemory(prepared.encoded, planFd));
    const { runHooks, runPoststop } = require("./hooks.ts") as typeof import("./hooks.ts");
    const { config } = prepared.bundle;
    const { state: stored, directory } = making;
    const state = { ...toState(directory, stored.id, stored), pid: stored.pid };
    making.poststop = () =>
      runPoststop({ config, stored, state: { ...state, pid: 0, status: "stopped" } }, runtime.warn);
    runHooks(["prestart", "createRuntime", "createContainer"], { config, stored, state });
  },
  [CREATED.pause]: finish,
};

function fillTmpfs({ prepared: { input, encoded }, making, planFd }: Conversation, pause: string): void {
  const { copyUp } = require("./copy-up.ts") as typeof import("./copy-up.ts");
  const { pidfd = -1 } = making;
  copyUp(pause, input, encoded, { pid: making.state.pid, pidfd, planFd });
}

/** Loaded when there are any. */
function takeNetDevices({
  prepared: { input },
  making: { state, descriptors, undoing },
}: Conversation): void {
  const { moveNetDevices } = require("./net-devices.ts") as typeof import("./net-devices.ts");
  moveNetDevices(input, state.pid, { own: descriptors.own, atFailure: (undo) => undoing.push(undo) });
}

const loadNotify = () => require("./notify.ts") as typeof import("./notify.ts");

/** 0622: whoever init is in its user namespace, it may write; nobody else reads. */
function makeFifo(directory: string, name: string = FIFO, mode = 0o622): void {
  const path = join(directory, name);
  syscall("mknodat", AT_FDCWD, path, S_IF.S_IFIFO | mode, 0);
  syscall("fchmodat", AT_FDCWD, path, mode);
}

/** What `start` needs to hand the listener of a seccomp filter to its agent: where to find it, and a FIFO that init reads. */
function noteListener({ input, encoded, bundle }: Compiled, { directory, state }: Making): void {
  const cell = encoded.cells.get(LISTENER);
  if (cell === undefined) return;
  const { listenerPath = "", listenerMetadata: metadata } = input.config.linux?.seccomp ?? {};
  // A relative one is relative to the bundle, as other paths of the host are.
  state.listener = {
    path: resolve(bundle.path, listenerPath),
    cell,
    ...(metadata === undefined ? {} : { metadata }),
  };
  makeFifo(directory, LISTENER_FIFO, 0o644);
}

/** Loaded when a config has use for it. */
const rdt = () => require("./rdt.ts") as typeof import("./rdt.ts");

function planRdt({ input }: Compiled, making: Making): void {
  const asked = input.config.linux?.intelRdt;
  if (asked === undefined) return;
  const { enterRdt, planRdt, resctrlRoot } = rdt();
  const root = resctrlRoot();
  const plan = planRdt(asked, making.state.id, root);
  const { schemata: _, ...groups } = plan;
  making.state.resctrl = groups;
  making.enterRdt = (pid) => enterRdt(plan, pid, root);
}

/** Loaded for the containers that have use for them. */
const loadMappings = () => require("./mappings.ts") as typeof import("./mappings.ts");
const loadStreams = () => require("./streams.ts") as typeof import("./streams.ts");

/** What only somebody outside can do to init, while it is still the caller's to look at. */
function treat(talk: Conversation): void {
  const {
    options,
    prepared: { input, outside },
    making,
  } = talk;
  const { pid } = making.state;
  // Before init is somebody else: v1 lets no one move another's process but root.
  if (!isRootOfAll(input.host)) bringIntoCgroup(talk);
  if (hasNamespace(input.config, "user")) loadMappings().mapIds(input, pid);
  raiseLimits(outside, pid);
  setOomScoreAdj(outside, pid);
  if (outside.hasOtherUser) loadStreams().giveStreams(input, options.stdio);
  making.enterRdt?.(pid);
}

/** For root init mounts meanwhile. */
function makeRest(talk: Conversation): void {
  if (isRootOfAll(talk.prepared.input.host)) bringIntoCgroup(talk);
}

/** What the cgroup's driver has left for the time when there is a process. @throws KontenaError also why init has ended */
function bringIntoCgroup(talk: Conversation): void {
  const { runtime, prepared, making } = talk;
  try {
    enterCgroup(runtime, prepared, making);
  } catch (error) {
    // Nobody can be brought anywhere who has ended: what init says of that is the reason.
    if (making.pidfd !== undefined && poll([making.pidfd], 0).length > 0) throw initEnded(talk);
    throw error;
  }
}

const shortcuts = () => require("./shortcuts.ts") as typeof import("./shortcuts.ts");

/** While init works on the other processor: what is written when all has gone well, but for its name. */
function prepareEnd({ runtime, options, prepared, making: { directory, state } }: Conversation): void {
  makeFifo(directory);
  writeFileSync(join(directory, CONFIG), prepared.bundle.text, { mode: 0o600 });
  writeFileSync(join(directory, START_OPS), prepared.startCalls(), { mode: 0o600 });
  if (runtime.hasFront && options.notifySocket === undefined) shortcuts().leaveShortcuts(directory, state);
  draftState(directory, { ...state, status: "created" });
  prepared.keep?.();
}

/** init has made everything: look at what it found, choose the program, write what `start` needs. */
function finish({ options, prepared, making, planFd }: Conversation): void {
  const { directory, state } = making;
  const { encoded, outside } = prepared;
  const memory = readMemory(encoded, planFd);
  checkResults(outside.checks, encoded, memory);
  tellProgram(outside.checks.program, encoded, memory, planFd);
  if (options.pidfdSocket !== undefined && making.pidfd !== undefined)
    consoles().sendPidfd(options.pidfdSocket, making.pidfd, making.descriptors);
  if (options.pidFile !== undefined) writePidFile(options.pidFile, state.pid);
  state.status = "created";
  publishState(directory);
}
