/** exec: one more process in a container that runs, with its namespaces, its cgroup, its root and its rights. */
import { closeSync, openSync, readlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../spec/config.ts";
import { parseJson } from "../../spec/json.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { joinCgroup, unifiedOf } from "../cgroup/directories.ts";
import { KontenaError } from "../error.ts";
import { bufferOffset, type EncodedPlan, HEAD_SIZE, reachedExecve } from "../init/encode.ts";
import { awaitDone, sendGo } from "../init/talk.ts";
import { AT_FDCWD, MFD, O } from "../kernel/consts/fcntl.ts";
import { readText } from "../kernel/files.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import { CONTAINER, CONTAINER_ROOT, type ExecInput, planExec } from "../plan/exec.ts";
import type { Handle } from "../plan/handles.ts";
import { SECOND_STAGE } from "../plan/join.ts";
import { NAMESPACES, type NamespaceType } from "../plan/namespaces.ts";
import { INIT_NAME } from "../plan/park.ts";
import { EXEC_PATH } from "../plan/process.ts";
import { bear, type Descriptors, ownDescriptors } from "./birth.ts";
import { awaitChild } from "./children.ts";
import { encode } from "./compile.ts";
import { CONFIG, loadState, type StoredState } from "./directory.ts";
import { type ExecOptions, processOf } from "./exec-process.ts";
import { recordedError } from "./failure.ts";
import { forwardSignals } from "./forward.ts";
import { gatherHost } from "./host.ts";
import { checkPreserved } from "./input.ts";
import { raiseLimits, setOomScoreAdj } from "./limits.ts";
import { writePidFile } from "./pid-file.ts";
import { checkWorkingDirectory, chooseProgram } from "./results.ts";
import type { Runtime } from "./runtime.ts";
import { type Status, statusOf } from "./state.ts";
import { isAlive, readStat } from "./task.ts";
import { endInit, openPidfd, reap } from "./wait.ts";

export type { ExecOptions } from "./exec-process.ts";

/** A process that runs in a container, a child of this one. */
export interface Executed {
  pid: number;
  /** Refers to it until it is closed. */
  pidfd: number;
}

/**
 * exec as a command: waits for the program's end, unless `detach`, and passes signals on to it.
 * @returns the program's exit status, 128+N when signal N ended it; 0 at once with `detach`
 */
export function exec(
  runtime: Runtime,
  id: string,
  options: ExecOptions,
  detach: boolean,
): number | Promise<number> {
  const { pid, pidfd } = execute(runtime, id, options);
  if (detach) return 0;
  const stop = forwardSignals((signal) => rawSyscall("pidfd_send_signal", pidfd, signal, 0, 0) >= 0, runtime);
  return awaitChild(pid)
    .then(({ code }) => code)
    .finally(stop);
}

/**
 * Starts a process in a container; it runs when this returns.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, or what stopped the program; then nothing of the process is left
 */
export function execute(runtime: Runtime, id: string, options: ExecOptions): Executed {
  const { directory, state } = loadState(runtime, id);
  const running = checkStatus(statusOf(directory, state), state, options);
  const preserveFds = options.preserveFds ?? 0;
  checkPreserved({ preserveFds });
  const descriptors = ownDescriptors(preserveFds);
  try {
    return enter(directory, running, options, descriptors);
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

/** CLONE_NEW* of the namespaces in which that process isn't beside this one. */
function namespacesOf(pid: number): NamespaceType[] {
  const types = Object.keys(NAMESPACES) as NamespaceType[];
  const at = (process: number | string, file: string) => {
    try {
      return readlinkSync(`/proc/${process}/ns/${file}`);
    } catch {
      return "";
    }
  };
  return types.filter((type) => {
    const theirs = at(pid, NAMESPACES[type].file);
    return theirs !== "" && theirs !== at("self", NAMESPACES[type].file);
  });
}

function toExecInput(state: StoredState, config: Config, options: ExecOptions): ExecInput {
  const types = namespacesOf(state.pid);
  // Where they are is known; who plans only wants to know which.
  const namespaces = types.map((type) => ({ type, path: `/proc/${state.pid}/ns/${NAMESPACES[type].file}` }));
  return {
    // Parameters of the kernel were set for the container already.
    config: {
      ...config,
      process: processOf(config, options),
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
    namespaces: types.reduce((flags, type) => (flags | NAMESPACES[type].flag) >>> 0, 0),
    chroot: state.chroot === true,
    cgroups: tasksOf(state, options),
  };
}

/** The files of v1 by which the process enters the container's cgroups. */
function tasksOf({ cgroup }: StoredState, options: ExecOptions): ExecInput["cgroups"] {
  return (cgroup?.hierarchies ?? []).flatMap((h, i) =>
    h.version === 1
      ? [{ ...h, tasks: join(cgroup?.directories[i] ?? "", options.cgroup ?? "", "tasks") }]
      : [],
  );
}

/**
 * The v2 directory to be born in: the container's, or the one below it where its init is now. A cgroup that has handed its
 * controllers down takes no process itself (cgroups(7), "no internal processes").
 */
function birthplaceOf({ cgroup, pid }: StoredState, options: ExecOptions): number | undefined {
  const own = cgroup === undefined ? undefined : unifiedOf(cgroup);
  if (own === undefined || cgroup === undefined) return undefined;
  const now = /^0::(.*)$/m.exec(readText(`/proc/${pid}/cgroup`))?.[1] ?? "";
  const below = now.startsWith(`${cgroup.path}/`) ? now.slice(cgroup.path.length) : "";
  return openSync(join(own, options.cgroup ?? below), "r");
}

function died(what: string): KontenaError {
  return new KontenaError("INIT_DIED", `the process ended before its program ran${what}`, {
    hint: "it was killed: from outside, or for want of memory",
  });
}

/** What is under way, so that a failure can undo it. */
interface Entering {
  input: ExecInput;
  encoded: EncodedPlan;
  planFd: number;
  socket: number;
  pid: number;
  pidfd: number;
}

function enter(
  directory: string,
  state: StoredState,
  options: ExecOptions,
  descriptors: Descriptors,
): Executed {
  const { own } = descriptors;
  const handles: Handle[] = [{ kind: "given", cell: CONTAINER, fd: own(openPidfd(state.pid)) }];
  if (state.chroot) {
    const root = `/proc/${state.pid}/root`;
    const fd = own(syscall("openat", AT_FDCWD, root, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, 0));
    handles.push({ kind: "given", cell: CONTAINER_ROOT, fd });
  }
  const config = parseJson(readText(join(directory, CONFIG))) as Config;
  const input = toExecInput(state, config, options);
  // Frozen, clone3 into it would wait, and this process with it; from outside the write to `tasks` doesn't.
  const place = options.ignorePaused ? undefined : birthplaceOf(state, options);
  const cgroupFd = place === undefined ? undefined : own(place);
  // Whatever was read of that pid until here is of the container's init, if that is alive still.
  if (!isAlive(state.pid, state.startTime)) throw died(": the container has just ended");
  const encoded = encode(planExec(input, handles));
  const planFd = own(syscall("memfd_create", "plan", MFD.MFD_CLOEXEC));
  const { preserveFds, host } = input;
  const born = bear(
    {
      ...{ encoded, handles, planFd, preserveFds, namespaces: 0, lastCap: host.lastCap },
      ...(cgroupFd === undefined ? {} : { cgroupFd }),
    },
    descriptors,
  );
  const entering: Entering = { input, encoded, planFd, ...born };
  try {
    converse(entering, options, cgroupFd === undefined ? state.cgroup : undefined);
    if (options.pidFile !== undefined) writePidFile(options.pidFile, entering.pid);
    return { pid: entering.pid, pidfd: entering.pidfd };
  } catch (error) {
    endInit(entering.pid, entering.pidfd);
    closeSync(entering.pidfd);
    throw error;
  }
}

/** Leads the process from its birth to execve. `outside` is the cgroup that it wasn't born in. */
function converse(entering: Entering, options: ExecOptions, outside: Cgroup | undefined): void {
  const { input, encoded, planFd, socket } = entering;
  const unified = outside === undefined ? undefined : unifiedOf(outside);
  if (unified !== undefined) joinCgroup([join(unified, options.cgroup ?? "")], entering.pid);
  setOomScoreAdj(input, entering.pid);
  raiseLimits(input, entering.pid);
  goOn(entering);
  if ((input.namespaces & NAMESPACES.pid.flag) !== 0) {
    listenFor(entering);
    toSecondStage(entering);
    goOn(entering);
  }
  listenFor(entering);
  const memory = new Uint8Array(encoded.bytes.length);
  syscall("pread64", planFd, memory, memory.length, 0);
  checkWorkingDirectory(input, encoded, memory);
  const program = new TextEncoder().encode(`${chooseProgram(input, encoded, memory)}\0`);
  writeSync(planFd, program, 0, program.length, bufferOffset(encoded, EXEC_PATH));
  goOn(entering);
  // Its end of the conversation closes at execve, or with it.
  if (awaitDone(socket)) throw died(": it said something unexpected");
  const failure = failureOf(entering);
  if (failure !== undefined) throw failure;
}

function goOn(entering: Entering): void {
  if (!sendGo(entering.socket)) throw failureOf(entering) ?? died("");
}

function listenFor(entering: Entering): void {
  if (!awaitDone(entering.socket)) throw failureOf(entering) ?? died("");
}

/** The first stage ends here, and the second is the process from now on. */
function toSecondStage(entering: Entering): void {
  const pid = new Int32Array(1);
  const at = bufferOffset(entering.encoded, SECOND_STAGE);
  syscall("pread64", entering.planFd, new Uint8Array(pid.buffer), 4, at);
  const first = { pid: entering.pid, pidfd: entering.pidfd };
  entering.pidfd = openPidfd(pid[0] ?? 0);
  entering.pid = pid[0] ?? 0;
  closeSync(first.pidfd);
  reap(first.pid, false);
}

/** What stopped the process: the record tells; undefined when it got to execve and no call has failed. */
function failureOf({ encoded, planFd, pid }: Entering): KontenaError | undefined {
  const head = new Uint8Array(HEAD_SIZE);
  syscall("pread64", planFd, head, HEAD_SIZE, 0);
  const calls = (address: string) => encoded.ops.find((op) => String(op.address) === address)?.call;
  const recorded = recordedError(head, calls);
  if (recorded !== undefined) return recorded;
  const stat = readStat(pid);
  const diedInExecve = (stat === undefined || stat.state === "Z") && stat?.name === INIT_NAME;
  return reachedExecve(head) && !diedInExecve ? undefined : died("");
}
