/** A process that isn't a container's first one, led from its birth to execve: `exec` and hooks start theirs so. */

import type { KontenaError } from "../error.ts";
import type { Kit, Shape } from "../init/loader.ts";
import { callOf, type EncodedPlan, HEAD_SIZE, reachedExecve } from "../init/memory.ts";
import { awaitDone, sendGo } from "../init/talk.ts";
import { MFD } from "../kernel/consts/fcntl.ts";
import { syscall } from "../kernel/libc.ts";
import { INIT_NAME } from "../plan/names.ts";
import type { Plan } from "../plan/order.ts";
import { JOINED } from "../plan/pauses.ts";

import { bear, type Child, type Descriptors, end, toSecondStage } from "./birth.ts";
import { encode, pausesOf } from "./compile.ts";
import { recordedError, silentEnd } from "./failure.ts";
import type { Stdio } from "./stdio.ts";
import { readStat } from "./task.ts";

export interface LaunchOptions {
  /** Without a `start`: nothing parks. Its first pause is the silent one of a birth. */
  plan: Pick<Plan, "handles" | "create" | "start">;
  preserveFds: number;
  /** Highest capability that the kernel knows. */
  lastCap: number;
  /** Who has the kit for a shape; it is made anew without. */
  kits?: (shape: Shape) => Kit;
  /** cgroup v2 directory to be born in. */
  cgroupFd?: number;
  /** Where the master end of a terminal goes. */
  consoleFd?: number;
  /** Its standard streams; this process's own unless given. */
  stdio?: Stdio;
  /** The process is born and waits: what only somebody outside can do to it. */
  born?(pid: number): void;
  /** What is done at a pause, by its name. */
  at?: Readonly<Record<string, (launched: Launching) => void>>;
  /** Leads the last batch, which ends in execve: it has to call `goOn`, and may do more. */
  last?(launching: Launching, goOn: () => void): void;
}

/** A process that runs, a child of this one; `pidfd` refers to it until it is closed. */
export type Launched = Child;

/** One that is on its way. */
export interface Launching extends Launched {
  encoded: EncodedPlan;
  planFd: number;
  socket: number;
}

/** `pid` is the one to look at for the reason. */
export function diedEarly(what: string, pid?: number): KontenaError {
  const stat = pid === undefined ? undefined : readStat(pid);
  return silentEnd(`the process ended before its program ran${what}`, stat);
}

/** @throws KontenaError for what stopped it; then nothing of the process is left */
export function launch(options: LaunchOptions, descriptors: Descriptors): Launched {
  const { plan, preserveFds, lastCap, kits, cgroupFd, consoleFd, stdio } = options;
  const encoded = encode(plan);
  const planFd = descriptors.own(syscall("memfd_create", "plan", MFD.MFD_CLOEXEC));
  const born = bear(
    {
      ...{ encoded, planFd, preserveFds, lastCap, namespaces: 0, handles: plan.handles },
      ...(kits === undefined ? {} : { kits }),
      ...(cgroupFd === undefined ? {} : { cgroupFd }),
      ...(consoleFd === undefined ? {} : { consoleFd }),
      ...(stdio === undefined ? {} : { stdio }),
    },
    descriptors,
  );
  const launching: Launching = { encoded, planFd, ...born };
  try {
    converse(launching, options);
    return { pid: launching.pid, pidfd: launching.pidfd };
  } catch (error) {
    end(launching);
    throw error;
  }
}

function converse(launching: Launching, { plan, born, at = {}, last }: LaunchOptions): void {
  born?.(launching.pid);
  goOn(launching);
  // A silent one is at its birth, and over.
  const pauses = pausesOf(plan).flatMap(({ pause, silent }) => (silent ? [] : [pause]));
  pauses.forEach((pause, i) => {
    if (pause === JOINED.pause)
      Object.assign(
        launching,
        toSecondStage(launching, launching.planFd, launching.encoded, () => listenFor(launching)),
      );
    else {
      listenFor(launching);
      at[pause]?.(launching);
    }
    if (last !== undefined && i === pauses.length - 1) last(launching, () => goOn(launching));
    else goOn(launching);
  });
  // Its end of the conversation closes at execve, or with it.
  if (awaitDone(launching.socket)) throw diedEarly(": it said something unexpected");
  const failure = failureOf(launching);
  if (failure !== undefined) throw failure;
}

function listenFor(launching: Launching): void {
  if (!awaitDone(launching.socket)) throw failureOf(launching) ?? diedEarly("", launching.pid);
}

function goOn(launching: Launching): void {
  if (!sendGo(launching.socket)) throw failureOf(launching) ?? diedEarly("", launching.pid);
}

/** What stopped the process: the record tells; undefined when it got to execve and no call has failed. */
function failureOf({ encoded, planFd, pid }: Launching): KontenaError | undefined {
  const head = new Uint8Array(HEAD_SIZE);
  syscall("pread64", planFd, head, HEAD_SIZE, 0);
  const recorded = recordedError(head, (address) => callOf(encoded, address));
  if (recorded !== undefined) return recorded;
  const stat = readStat(pid);
  const diedInExecve = (stat === undefined || stat.state === "Z") && stat?.name === INIT_NAME;
  return reachedExecve(head) && !diedInExecve ? undefined : diedEarly("", pid);
}
