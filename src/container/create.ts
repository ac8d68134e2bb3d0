/**
 * create (runtime.md, "Create"): the container is made and its program waits. What would need cleaning is written to the
 * state before it exists, so that `delete --force` finds it whenever this process is killed.
 */
import { closeSync, constants, openSync, writeFileSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { type CgroupRequest, driverOf, removeCgroup } from "../cgroup/cgroup.ts";
import { KontenaError } from "../error.ts";
import { bufferOffset, HEAD_SIZE } from "../init/encode.ts";
import { awaitDone, sendGo } from "../init/talk.ts";
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { S_IF } from "../kernel/consts/stat.ts";
import { syscall } from "../kernel/libc.ts";
import { COPY_UP } from "../plan/copy-up.ts";
import { HOOKS } from "../plan/hook.ts";
import { hasNamespace, isNew } from "../plan/input.ts";
import { JOINED } from "../plan/join.ts";
import { cgroupTexts } from "../plan/join-cgroup.ts";
import { keyringTexts } from "../plan/keyring.ts";
import { EXEC_PATH } from "../plan/process.ts";
import { LISTENER, LISTENER_FIFO } from "../plan/seccomp.ts";
import { bear, type Descriptors, ownDescriptors, secondStageOf } from "./birth.ts";
import { type Compiled, compile, compilePlan } from "./compile.ts";
import {
  CONFIG,
  draftState,
  FIFO,
  makeDirectory,
  PLAN,
  publishState,
  removeDirectory,
  START_OPS,
  type StoredState,
  withLock,
  writeState,
} from "./directory.ts";
import { recordedError } from "./failure.ts";
import type { CreateOptions } from "./input.ts";
import { raiseLimits, setOomScoreAdj } from "./limits.ts";
import { writeMappings } from "./mappings.ts";
import { explainMemory, PATIENCE, smallLimit, stalled } from "./memory-floor.ts";
import { checkMounts } from "./mount-results.ts";
import { refusalOf, refuseLimits } from "./no-cgroup.ts";
import { writePidFile } from "./pid-file.ts";
import type { Prepared } from "./prepare.ts";
import { checkResults, chooseProgram } from "./results.ts";
import type { Runtime } from "./runtime.ts";
import { withFilter } from "./seccomp.ts";
import { toState } from "./state.ts";
import { giveStreams, hasOtherUser } from "./streams.ts";
import { readStat } from "./task.ts";
import { endInit, poll, reap } from "./wait.ts";

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

/** What is under way, so that a failure can undo it. */
interface Making {
  directory: string;
  state: StoredState;
  pidfd?: number;
  descriptors: Descriptors;
  /** What has been done outside of the container, undone in the opposite order while init is there still. */
  undoing: (() => void)[];
  /** Hooks have run; when nothing is left of the container, those that undo their work do. */
  poststop?: () => void;
  /** Puts init into its resctrl groups, where the config asks for any. */
  enterRdt?: (pid: number) => void;
}

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
    ...(Object.values(bundle.config.hooks ?? {}).some((list) => list.length > 0) ? { hooks: true } : {}),
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
  return createCompiled(runtime, options, compilePlan(prepared.bundle, prepared.input, prepared.plan));
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

function undo(runtime: Runtime, { directory, state, pidfd, undoing, poststop }: Making): void {
  for (const action of undoing.toReversed())
    try {
      action();
    } catch (error) {
      runtime.warn(`not all could be undone: ${(error as Error).message}`);
    }
  if (pidfd !== undefined) {
    endInit(state.pid, pidfd);
    closeSync(pidfd);
  }
  try {
    if (state.cgroup !== undefined) removeCgroup(state.cgroup);
    if (state.resctrl !== undefined) rdt().leaveRdt(state.resctrl);
  } finally {
    removeDirectory(directory);
    poststop?.();
  }
}

function make(runtime: Runtime, options: CreateOptions, prepared: Compiled, making: Making): Container {
  const { directory, state } = making;
  planCgroup(runtime, prepared, making);
  planRdt(prepared, making);
  writeState(directory, state);
  makeFifo(directory);
  if (options.notifySocket !== undefined) loadNotify().makeNotifyDirectory(directory);
  const cgroupFd = prepareCgroup(runtime, prepared, making);
  noteListener(prepared, making);
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
  const { pid, pidfd, socket } = bear(
    {
      ...{ encoded, namespaces, handles, preserveFds, planFd, stateFd },
      lastCap: host.lastCap,
      texts: [...cgroupTexts(input), ...keyringTexts(input)],
      ...(cgroupFd === undefined ? {} : { cgroupFd }),
      ...(consoleFd === undefined ? {} : { consoleFd }),
    },
    making.descriptors,
  );
  adopt(making, pid, pidfd);

  const talk: Conversation = { runtime, options, prepared, making, planFd, socket };
  const pauses = prepared.pauses[0] === JOINED.pause ? afterJoining(talk) : prepared.pauses;
  prepareInit(talk);
  goOn(talk);
  // While init works on the other processor.
  writeFileSync(join(directory, CONFIG), prepared.bundle.text, { mode: 0o600 });
  writeStartOps(directory, prepared);
  draftState(directory, { ...state, status: "created" });
  for (const pause of pauses) {
    listenFor(talk);
    if (pause.startsWith(COPY_UP)) fillTmpfs(talk, pause);
    else AT_PAUSE[pause]?.(talk);
    goOn(talk);
  }
  return {
    id: options.id,
    pid: state.pid,
    pidfd: making.pidfd ?? pidfd,
    directory,
    state,
    compiled: prepared,
  };
}

/** Loaded for a container with a terminal. */
function consoles() {
  return require("./console-socket.ts") as typeof import("./console-socket.ts");
}

/** What is needed between init's batches. */
interface Conversation {
  runtime: Runtime;
  options: CreateOptions;
  prepared: Compiled;
  making: Making;
  planFd: number;
  socket: number;
}

/** What the runtime does while init waits, by the pause's name. */
const AT_PAUSE: Readonly<Record<string, (talk: Conversation) => void>> = {
  network: takeNetDevices,
  [HOOKS.pause]: ({ runtime, prepared, making, planFd }) => {
    // Hooks may rely on the container's /proc.
    checkMounts(prepared.input, prepared.encoded, planMemory(prepared, planFd));
    const { runHooks, runPoststop } = require("./hooks.ts") as typeof import("./hooks.ts");
    const { config } = prepared.bundle;
    const { state: stored, directory } = making;
    const state = { ...toState(directory, stored.id, stored), pid: stored.pid };
    making.poststop = () =>
      runPoststop({ config, stored, state: { ...state, pid: 0, status: "stopped" } }, runtime.warn);
    runHooks(["prestart", "createRuntime", "createContainer"], { config, stored, state });
  },
  created: finish,
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

function goOn({ socket, making, prepared, planFd }: Conversation): void {
  if (!sendGo(socket)) throw initEnded(making, prepared, planFd);
}

function listenFor({ socket, making, prepared, planFd }: Conversation): void {
  const limit = smallLimit(making.state.cgroup);
  if (limit !== undefined && poll([socket], PATIENCE).length === 0) throw stalled(limit);
  if (!awaitDone(socket)) throw initEnded(making, prepared, planFd);
}

/** From here on the state names init, and nothing of it outlives `delete --force`. */
function adopt(making: Making, pid: number, pidfd: number): void {
  const { state, directory } = making;
  making.pidfd = pidfd;
  state.pid = pid;
  state.startTime = readStat(pid)?.startTime ?? "";
  writeState(directory, state);
}

/** The first stage ends, and with it its pidfd; the second is init. It waits, and ends when nobody tells it to go on. */
function afterJoining(talk: Conversation): readonly string[] {
  const { making, prepared, planFd } = talk;
  listenFor(talk);
  const first = making.state.pid;
  const second = secondStageOf(planFd, prepared.encoded);
  if (making.pidfd !== undefined) closeSync(making.pidfd);
  adopt(making, second.pid, second.pidfd);
  reap(first, false);
  return prepared.pauses.slice(1);
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

function cgroupRequest(runtime: Runtime, { id }: StoredState, { input }: Compiled): CgroupRequest {
  return { id, input, warn: runtime.warn };
}

function planCgroup(runtime: Runtime, prepared: Compiled, { state }: Making): void {
  const { cgroupManager, cgroupPath } = prepared.input;
  if (cgroupManager === "disabled" || cgroupPath === undefined) {
    refuseLimits(prepared.input);
    return;
  }
  state.cgroup = driverOf(cgroupManager).plan(cgroupRequest(runtime, state, prepared));
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

/** Makes the cgroup and gives a descriptor of the v2 one, for init to be born in. */
function prepareCgroup(runtime: Runtime, prepared: Compiled, making: Making): number | undefined {
  const { cgroup } = making.state;
  if (cgroup === undefined) return undefined;
  try {
    const driver = driverOf(cgroup.manager);
    driver.make(cgroupRequest(runtime, making.state, prepared), cgroup);
    const fd = driver.birthplace(cgroup);
    return fd === undefined ? undefined : making.descriptors.own(fd);
  } catch (error) {
    const refusal = refusalOf(error, prepared.input);
    if (refusal !== undefined) throw refusal;
    runtime.debug(`no cgroup for the container: ${(error as Error).message}`);
    return withoutCgroup(runtime, prepared, making);
  }
}

function withoutCgroup(runtime: Runtime, prepared: Compiled, making: Making): undefined {
  if (making.state.cgroup !== undefined) removeCgroup(making.state.cgroup);
  delete making.state.cgroup;
  const { bundle } = prepared;
  const input = withFilter(runtime, { ...prepared.input, cgroupPath: undefined });
  const { planContainer } = require("../plan/order.ts") as typeof import("../plan/order.ts");
  Object.assign(prepared, compilePlan(bundle, input, planContainer(input)), { key: undefined });
  return undefined;
}

/** Between birth and the first batch: what only somebody outside can do to init. */
function prepareInit({ runtime, prepared, making: { state, enterRdt } }: Conversation): void {
  const { input } = prepared;
  const { cgroup, pid } = state;
  if (cgroup !== undefined)
    driverOf(cgroup.manager).adopt(cgroupRequest(runtime, state, prepared), cgroup, pid);
  if (isNew(input.config, "user")) writeMappings(input, pid);
  raiseLimits(input, pid);
  setOomScoreAdj(input, pid);
  if (hasOtherUser(input)) giveStreams(input);
  enterRdt?.(pid);
}

function planMemory({ encoded }: Compiled, planFd: number): Uint8Array {
  const memory = new Uint8Array(encoded.bytes.length);
  syscall("pread64", planFd, memory, memory.length, 0);
  return memory;
}

/** init has made everything: look at what it found, choose the program, write what `start` needs. */
function finish({ options, prepared, making, planFd }: Conversation): void {
  const { directory, state } = making;
  const { encoded } = prepared;
  const memory = planMemory(prepared, planFd);
  checkResults(prepared.input, encoded, memory);
  const program = new TextEncoder().encode(`${chooseProgram(prepared.input, encoded, memory)}\0`);
  writeSync(planFd, program, 0, program.length, bufferOffset(encoded, EXEC_PATH));
  if (options.pidfdSocket !== undefined && making.pidfd !== undefined)
    consoles().sendPidfd(options.pidfdSocket, making.pidfd, making.descriptors);
  if (options.pidFile !== undefined) writePidFile(options.pidFile, state.pid);
  state.status = "created";
  publishState(directory);
}

/** What the ops after create's part are, for the `start` that has to tell of one that failed. */
function writeStartOps(directory: string, prepared: Compiled): void {
  writeFileSync(join(directory, START_OPS), prepared.startCalls, { mode: 0o600 });
}

/** Why init has ended: the record says, or else its status. */
function initEnded(making: Making, { known }: Compiled, planFd: number): KontenaError {
  const head = new Uint8Array(HEAD_SIZE);
  syscall("pread64", planFd, head, HEAD_SIZE, 0);
  const recorded = recordedError(head, known);
  if (recorded !== undefined) return recorded;
  const status = making.pidfd === undefined ? undefined : endInit(making.state.pid, making.pidfd);
  return new KontenaError("INIT_DIED", `the container's init ended before it was done${status?.text ?? ""}`, {
    hint: "it was killed: from outside, or for want of memory",
  });
}
