/** The calls of `start` (start.ts) for a container with whom nothing is unusual. */
import { controllerOf, unifiedOf } from "../cgroup/directories.ts";
import { LAST, RECORD, UNSET } from "../init/memory.ts";
import { OWN } from "../init/shortcut.ts";
import { type Call, cell, type Outcome, type Step, words } from "../init/step.ts";
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { PR } from "../kernel/consts/prctl.ts";
import { join } from "../path.ts";
import { INIT_NAME, READY } from "../plan/names.ts";
import { FIFO, LETS_GO, PLAN, type StoredState } from "./directory.ts";
import {
  awaitOne,
  backFrom,
  EPOLL,
  isEqual,
  isOther,
  little,
  type Num,
  number,
  orBack,
  PROCESS,
  SCALE,
  set,
  succeed,
  watch,
} from "./shortcut-numbers.ts";

/** Cells with descriptors. */
const FIFO_END = "this end of the FIFO";
const FREEZER = "the freezer's file";
const STAT = "the process's stat";

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

/** A created container's process is alive, and init still (state.ts, `statusOf`). */
function checkCreated(pid: number): Step[] {
  return [
    {
      call: "pidfd_open",
      args: [pid, 0],
      save: PROCESS,
      why: "its end has to be heard, whoever holds the FIFO",
      ...orBack,
    },
    {
      call: "openat",
      args: [AT_FDCWD, `/proc/${pid}/stat`, O.O_CLOEXEC, 0],
      save: STAT,
      why: "see whether the process is init",
      ...orBack,
    },
    ...readName(pid, "leave", backFrom(STAT), "created"),
  ];
}

/** Opens the FIFO, which lets init go on. Whoever goes back from here on has done that: its name says so (start.ts, `hasLetGo`). */
function letGo(): Step[] {
  const said = number("what init says");
  const more = number("what it says besides");
  const wait: Call = { ...awaitOne(-1), on: { EINTR: "again" } };
  const read = (of: Num, why: string): Call => ({
    call: "read",
    args: [cell(FIFO_END), of.at, 1],
    why,
    on: { EINTR: "again" },
    ...orBack,
  });
  return [
    { call: "epoll_create1", args: [O.O_CLOEXEC], save: EPOLL, why: "to wait for two", ...orBack },
    watch(PROCESS),
    { call: "prctl", args: [PR.PR_SET_NAME, LETS_GO, 0, 0, 0], why: "init goes on now", ...orBack },
    {
      call: "openat",
      args: [cell(OWN), FIFO, O.O_NONBLOCK | O.O_CLOEXEC, 0],
      save: FIFO_END,
      why: "let init go on, which waits in opening the other end",
      ...orBack,
    },
    watch(FIFO_END),
    said.clear,
    wait,
    { ...read(said, "hear that init goes on"), zero: backFrom(FIFO_END) },
    ...isEqual(said, little(READY), "leave", "it has to be that"),
    more.clear,
    wait,
    { ...read(more, "its end is execve's doing, or that of init"), zero: "next", after: "leave" },
  ];
}

/** Nothing recorded, and the last call before execve was made (start.ts, `failureOf`). */
function checkRecord(): Step[] {
  const errno = number("the error number of the failure record");
  const last = number("the last call before execve");
  const read = ({ at }: Num, size: number, offset: number, why: string): Call => ({
    call: "pread64",
    args: [cell(SCALE), at, size, offset],
    why,
    ...orBack,
  });
  return [
    read(errno, 8, RECORD, "see whether a step has failed"),
    ...isEqual(errno, 0, "leave", "none has"),
    last.clear,
    // Its highest byte tells what isn't saved yet from a result, and from an error that is let pass.
    read(last, 1, LAST + 7, "see whether all were made"),
    ...isOther(last, Number(BigInt.asUintN(64, BigInt(UNSET)) >> 56n), backFrom(SCALE), "they were"),
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
        ...readName(pid, runs, leave(hasEnded), "executed"),
        ...(filtered
          ? [...isInitsFile(pid, runs), ...lookAgain(hasEnded)]
          : [{ ...ended.clear, otherwise: "leave" } as const]),
      ],
    },
    ...isEqual(ended, 0, "leave", "start says why it has ended"),
  ];
}

/** `PID (kontena-init) S`: goes on when it is so, and the process no zombie. `when` is part of the cells' names. */
function readName(pid: number, otherwise: Outcome, zombie: Outcome, when: string): Call[] {
  const prefix = `${pid} (`;
  const name = `${INIT_NAME}) `;
  const read = (of: Num, size: number, offset: number): Call[] => [
    { ...of.clear, otherwise: "leave" },
    {
      call: "pread64",
      args: [cell(STAT), of.at, size, offset],
      why: "read a part of it",
      otherwise: "leave",
    },
  ];
  const pieces = name.match(/.{1,4}/g) as string[];
  const letter = number(`the state when ${when}`);
  return [
    ...pieces.flatMap((piece, i) => {
      const part = number(`part ${i} of the name when ${when}`);
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
    ...checkCreated(pid),
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
