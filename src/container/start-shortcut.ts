/** The calls of `start` (start.ts) for a container with whom nothing is unusual. */
import { controllerOf, unifiedOf } from "../cgroup/directories.ts";
import { LAST, RECORD } from "../init/memory.ts";
import { OWN } from "../init/shortcut.ts";
import { type Arg, type Call, cell, type Outcome, type Step, words } from "../init/step.ts";
import { AT_FDCWD, F, O } from "../kernel/consts/fcntl.ts";
import { join } from "../path.ts";
import { INIT_NAME, READY } from "../plan/names.ts";
import { FIFO, PLAN, type StoredState } from "./directory.ts";
import {
  backFrom,
  isEqual,
  isOther,
  little,
  type Num,
  number,
  orBack,
  SCALE,
  set,
  succeed,
} from "./shortcut-numbers.ts";

/** Cells with descriptors. */
const FIFO_END = "this end of the FIFO";
const FREEZER = "the freezer's file";
const STAT = "the process's stat";

/** With the FIFO closed, which would seem to be heard else. */
const hangUp = backFrom(FIFO_END);

/** A container that was frozen isn't started (state.ts, `isPaused`). */
function refuseFrozen(path: string): Step[] {
  const asked = number("whether it is frozen");
  return [
    {
      call: "openat",
      args: [AT_FDCWD, path, O.O_CLOEXEC, 0],
      save: FREEZER,
      why: "see whether the container is frozen",
      ...orBack,
    },
    asked.clear,
    { call: "pread64", args: [cell(FREEZER), asked.at, 1, 0], why: "read it", ...orBack },
    ...isEqual(asked, little("0"), "leave", "a frozen one isn't started"),
  ];
}

/** Nanoseconds. `start` can be here before init is, which create leaves on its way. */
const PAUSES = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000];

/** init's first word. As long as it hasn't opened its end there is nothing to read. */
function hear(at: Arg, [pause, ...more]: readonly number[]): Call {
  const wait = (length: number): Call => ({
    call: "nanosleep",
    args: [words(0, length), 0],
    why: "it isn't there yet",
    otherwise: "next",
  });
  return {
    call: "read",
    args: [cell(FIFO_END), at, READY.length],
    why: "hear that init goes on",
    on: { EINTR: "again" },
    zero: pause === undefined ? hangUp : [wait(pause), hear(at, more)],
    otherwise: hangUp,
  };
}

/** Opens the FIFO, which lets init go on, and hears it until it closes its end: execve does, and its death (start.ts, `listen`). */
function letGo(): Step[] {
  const said = number("what init says");
  const more = number("what it says besides");
  return [
    {
      call: "openat",
      args: [cell(OWN), FIFO, O.O_NONBLOCK | O.O_CLOEXEC, 0],
      save: FIFO_END,
      why: "let init go on, which waits in opening the other end",
      ...orBack,
    },
    { call: "fcntl", args: [cell(FIFO_END), F.F_SETFL, 0], why: "wait in reading", otherwise: hangUp },
    { ...said.clear, otherwise: hangUp },
    hear(said.at, PAUSES),
    ...isEqual(said, little(READY), hangUp, "it has to be that"),
    {
      call: "read",
      args: [cell(FIFO_END), more.at, 1],
      why: "wait until the program is executed",
      on: { EINTR: "again" },
      zero: "next",
      after: "leave",
      ...orBack,
    },
  ];
}

/** Nothing recorded, and the last call before execve was made (start.ts, `failureOf`). */
function checkRecord(): Step[] {
  const errno = number("the error number of the failure record");
  const last = number("the last call before execve");
  const read = ({ at }: Num, offset: number, why: string): Call => ({
    call: "pread64",
    args: [cell(SCALE), at, 8, offset],
    why,
    ...orBack,
  });
  return [
    read(errno, RECORD, "see whether a step has failed"),
    ...isEqual(errno, 0, "leave", "none has"),
    read(last, LAST, "see whether all were made"),
    // Not saved yet is a negative number, and so is an error: no offset.
    { call: "lseek", args: [cell(SCALE), last.cell, 0], why: "they were", ...orBack },
  ];
}

/** So short that no program ends within it: what vanishes meanwhile has not been executed. */
const LOOK_AGAIN_NS = 50_000;

/**
 * That the process has another name than init's, or has gone with it: what ends as init is for `start` to explain (start.ts,
 * `diedAsInit`). With a filter, by which execve may have been the end, an end under way is waited for.
 */
function checkName(pid: number, filtered: boolean): Step[] {
  const ended = number("whether it has ended as init");
  const hasEnded = set(ended, 1, "it has ended as init");
  const leave = (call: Call): Outcome => [{ ...call, after: "leave", otherwise: "leave" }];
  const runs = leave(ended.clear);
  return [
    ended.clear,
    {
      block: [
        {
          call: "openat",
          args: [AT_FDCWD, `/proc/${pid}/stat`, O.O_CLOEXEC, 0],
          save: STAT,
          why: "see whose name it has; a program may have ended by now",
          otherwise: "leave",
        },
        ...readName(pid, runs, leave(hasEnded)),
        ...(filtered
          ? [...isInitsFile(pid, runs), ...lookAgain(hasEnded)]
          : [{ ...ended.clear, otherwise: "leave" } as const]),
      ],
    },
    ...isEqual(ended, 0, "leave", "start says why it has ended"),
  ];
}

/** `PID (kontena-init) S`: goes on when it is so, and the process no zombie. */
function readName(pid: number, otherwise: Outcome, zombie: Outcome): Call[] {
  const prefix = `${pid} (`;
  const name = `${INIT_NAME}) `;
  const read = (of: Num, size: number, offset: number): Call[] => [
    { ...of.clear, otherwise: "leave" },
    {
      call: "pread64",
      args: [cell(STAT), of.at, size, offset],
      why: "read a part of it",
      zero: "leave",
      otherwise: "leave",
    },
  ];
  const pieces = name.match(/.{1,4}/g) as string[];
  const letter = number("the process's state");
  return [
    ...pieces.flatMap((piece, i) => {
      const part = number(`part ${i} of the process's name`);
      return [
        ...read(part, piece.length, prefix.length + 4 * i),
        ...isEqual(part, little(piece), otherwise, "the program has another name"),
      ];
    }),
    ...read(letter, 1, prefix.length + name.length),
    ...isOther(letter, little("Z"), zombie, "a zombie has ended"),
  ];
}

/** A program may have init's name. What ends has no file any more, and who may not see it doesn't wait. */
function isInitsFile(pid: number, otherwise: Outcome): Call[] {
  const memfd = "/mem";
  const file = number("the beginning of its file's path");
  const isGone: Call = { ...set(file, little(memfd), "it is on its way out"), otherwise: "leave" };
  return [
    { ...file.clear, otherwise: "leave" },
    {
      call: "readlinkat",
      args: [AT_FDCWD, `/proc/${pid}/exe`, file.at, memfd.length],
      why: "see whether it is init's",
      on: { ENOENT: [isGone] },
      otherwise,
    },
    ...isEqual(file, little(memfd), otherwise, "the program has init's name"),
  ];
}

/** From the beginning of the block; if there is nobody by then, that was its end. */
function lookAgain(hasEnded: Call): Call[] {
  return [
    { ...hasEnded, why: "if there is nobody then" },
    { call: "nanosleep", args: [words(0, LOOK_AGAIN_NS), 0], why: "it is on its way", otherwise: "next" },
    { call: "close", args: [cell(STAT)], why: "look again", otherwise: "next" },
    { call: "close", args: [-1], why: "anew", on: { EBADF: "restart" }, otherwise: "leave" },
  ];
}

export function startSteps({ cgroup, pid, filtered }: StoredState): Step[] {
  const v1 = cgroup && controllerOf(cgroup, "freezer");
  const v2 = cgroup && unifiedOf(cgroup);
  const freezer = v1 ? join(v1, "freezer.self_freezing") : v2 ? join(v2, "cgroup.freeze") : undefined;
  return [
    {
      call: "openat",
      args: [cell(OWN), PLAN, O.O_CLOEXEC, 0],
      save: SCALE,
      why: "what init has to say of a failure is there",
      ...orBack,
    },
    ...(freezer === undefined ? [] : refuseFrozen(freezer)),
    ...letGo(),
    ...checkRecord(),
    ...checkName(pid, filtered === true),
    {
      call: "unlinkat",
      args: [cell(OWN), FIFO, 0],
      why: "the container is no longer one that waits",
      ...orBack,
    },
    succeed,
  ];
}
