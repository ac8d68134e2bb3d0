/** create's side of the conversation with init (init/talk.ts): batches, the second stage, and an init that has ended. */
import { KontenaError } from "../error.ts";
import { HEAD_SIZE } from "../init/memory.ts";
import { awaitDone, sendGo } from "../init/talk.ts";
import { syscall } from "../kernel/libc.ts";
import { toSecondStage } from "./birth.ts";
import type { Compiled } from "./compile.ts";
import { writeState } from "./directory.ts";
import { recordedError } from "./failure.ts";
import type { CreateOptions } from "./input.ts";
import { type Making, take } from "./making.ts";
import { PATIENCE, smallLimit, stalled } from "./memory-floor.ts";
import type { Runtime } from "./runtime.ts";
import { endInit, poll } from "./wait.ts";

/** What is needed between init's batches. */
export interface Conversation {
  runtime: Runtime;
  options: CreateOptions;
  prepared: Compiled;
  making: Making;
  planFd: number;
  socket: number;
}

/** Lets init run its next batch. @throws KontenaError why it has ended */
export function goOn(talk: Conversation): void {
  if (!sendGo(talk.socket)) throw initEnded(talk);
}

/** Waits until init is done with its batch. @throws KontenaError why it has ended, or doesn't get on */
export function listenFor(talk: Conversation): void {
  const { socket, making } = talk;
  const limit = smallLimit(making.state.cgroup);
  if (limit !== undefined && poll([socket], PATIENCE).length === 0) throw stalled(limit);
  if (!awaitDone(socket)) throw initEnded(talk);
}

/** The first stage has joined its namespaces, and ends; the second one is init. It waits. */
export function afterJoining(talk: Conversation): void {
  const { making, prepared, planFd } = talk;
  const first = { pid: making.state.pid, pidfd: making.pidfd ?? -1 };
  take(
    making,
    toSecondStage(first, planFd, prepared.encoded, () => listenFor(talk)),
  );
  writeState(making.directory, making.state);
}

/** Why init has ended: the record says, or else its status. */
export function initEnded({ making, prepared, planFd }: Conversation): KontenaError {
  const head = new Uint8Array(HEAD_SIZE);
  syscall("pread64", planFd, head, HEAD_SIZE, 0);
  const recorded = recordedError(head, prepared.known);
  if (recorded !== undefined) return recorded;
  const status = making.pidfd === undefined ? undefined : endInit(making.state.pid, making.pidfd);
  return new KontenaError("INIT_DIED", `the container's init ended before it was done${status?.text ?? ""}`, {
    hint: "it was killed: from outside, or for want of memory",
  });
}
