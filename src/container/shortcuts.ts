/**
 * What `create` leaves for `start` and `delete`, so that they need no Bun (init/shortcut.ts): the calls of start.ts and delete.ts for
 * a container with whom nothing is unusual, in the same order. Whatever comes out otherwise leads back to those, which can be begun
 * anew at any point.
 *
 * The ops of an interpreter without arithmetic: numbers are compared by the offset of an open file (lseek(2)), which nobody reads by.
 */
import { controllerOf, unifiedOf } from "../cgroup/directories.ts";
import { LAST, RECORD } from "../init/memory.ts";
import { encodeShortcut, OWN, STATES } from "../init/shortcut.ts";
import { type Arg, type Call, cell, type Outcome, type Step, type Words, words } from "../init/step.ts";
import { AT_FDCWD, AT_REMOVEDIR, F, O } from "../kernel/consts/fcntl.ts";
import { POLL } from "../kernel/consts/socket.ts";
import { writeFileSync } from "../kernel/fs.ts";
import { join } from "../path.ts";
import { INIT_NAME, READY } from "../plan/names.ts";
import { DELETE_SHORTCUT, FIFO, FILES, PLAN, START_SHORTCUT, type StoredState } from "./directory.ts";

const SEEK_SET = 0;
const SEEK_CUR = 1;

/** Cells with descriptors. */
const PLAN_FILE = "plan memory's file";
const FIFO_END = "this end of the FIFO";
const FREEZER = "the freezer's file";
const STAT = "the process's stat";
const PROCESS = "the process's descriptor";
const EPOLL = "epoll";

/** The way back: outside of a block, the end of all steps. */
const orBack = { otherwise: "leave" } as const;

/** The same after a result of 0, which needs a call. */
const backFrom = (descriptor: string): Outcome => [
  { call: "close", args: [cell(descriptor)], why: "leave it to the command", after: "leave", ...orBack },
];
/** With the FIFO closed, which would seem to be heard else. */
const hangUp = backFrom(FIFO_END);

/** A number that a call reads from somewhere; all of its bytes are 0 but for those that it reads. */
function number(name: string): { at: Words; cell: Arg; clear: Call } {
  return {
    at: words(cell(name)),
    cell: cell(name),
    clear: {
      call: "lseek",
      args: [cell(PLAN_FILE), 0, SEEK_SET],
      save: name,
      why: `make room for ${name}`,
      ...orBack,
    },
  };
}

/** Goes on when the number is the one, and takes `otherwise` when it isn't. */
function isEqual(of: Arg, value: number, otherwise: Outcome, why: string): Call[] {
  const same = { zero: "next", after: "leave", otherwise } as const;
  const set = { call: "lseek", args: [cell(PLAN_FILE), of, SEEK_SET], why, otherwise } as const;
  if (value === 0) return [{ ...set, ...same }];
  return [set, { call: "lseek", args: [cell(PLAN_FILE), -value, SEEK_CUR], why, ...same }];
}

const little = (text: string): number =>
  [...new TextEncoder().encode(text)].reduceRight((sum, byte) => sum * 256 + byte, 0);

/** A container that was frozen isn't started (state.ts, isPaused). */
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
    ...isEqual(asked.cell, little("0"), "leave", "a frozen one isn't started"),
  ];
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
    {
      call: "read",
      args: [cell(FIFO_END), said.at, READY.length],
      why: "hear that init goes on; without it there is nobody at the other end",
      on: { EINTR: "again" },
      zero: hangUp,
      otherwise: hangUp,
    },
    ...isEqual(said.cell, little(READY), hangUp, "it has to be that"),
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
  const read = ({ at }: typeof errno, offset: number, why: string): Call => ({
    call: "pread64",
    args: [cell(PLAN_FILE), at, 8, offset],
    why,
    ...orBack,
  });
  return [
    read(errno, RECORD, "see whether a step has failed"),
    ...isEqual(errno.cell, 0, "leave", "none has"),
    read(last, LAST, "see whether all were made"),
    // Not saved yet is a negative number, and so is an error.
    { call: "lseek", args: [cell(PLAN_FILE), last.cell, SEEK_SET], why: "they were", ...orBack },
  ];
}

/** Waits for a name that isn't init's, or for its end; that one is for `start` to explain (start.ts, `diedAsInit`). */
function checkName(pid: number): Step[] {
  const prefix = `${pid} (`;
  const name = `${INIT_NAME}) `;
  const pieces = name.match(/.{1,4}/g) as string[];
  const letter = number("the process's state");
  const read = ({ at }: ReturnType<typeof number>, size: number, offset: number): Call => ({
    call: "pread64",
    args: [cell(STAT), at, size, offset],
    why: "read a part of it",
    zero: "leave",
    otherwise: "leave",
  });
  const isZombie = { call: "lseek", args: [cell(PLAN_FILE), -little("Z"), SEEK_CUR] } as const;
  const setLetter = { call: "lseek", args: [cell(PLAN_FILE), letter.cell, SEEK_SET] } as const;
  return [
    letter.clear,
    {
      block: [
        {
          call: "openat",
          args: [AT_FDCWD, `/proc/${pid}/stat`, O.O_CLOEXEC, 0],
          save: STAT,
          why: "see whose name it has; it may have ended",
          otherwise: "leave",
        },
        ...pieces.flatMap((piece, i): Step[] => {
          const part = number(`part ${i} of the process's name`);
          return [
            { ...part.clear, otherwise: "leave" },
            read(part, piece.length, prefix.length + 4 * i),
            ...isEqual(part.cell, little(piece), "leave", "the program has another name"),
          ];
        }),
        read(letter, 1, prefix.length + name.length),
        { ...setLetter, why: "see whether it has ended as init", otherwise: "leave" },
        { ...isZombie, why: "a zombie has", zero: "leave", otherwise: "next" },
        { call: "nanosleep", args: [words(0, 1_000_000), 0], why: "it is on its way", otherwise: "next" },
        { call: "close", args: [cell(STAT)], why: "look again", otherwise: "next" },
        {
          call: "close",
          args: [-1],
          why: "from the beginning",
          on: { EBADF: "restart" },
          otherwise: "leave",
        },
      ],
    },
    { ...setLetter, why: "had it ended?", ...orBack },
    { ...isZombie, why: "then start says why", zero: backFrom(PLAN_FILE), otherwise: "next" },
  ];
}

const succeed: Call = { call: "exit_group", args: [0], why: "all is done" };

export function startSteps({ cgroup, pid }: StoredState): Step[] {
  const v1 = cgroup && controllerOf(cgroup, "freezer");
  const v2 = cgroup && unifiedOf(cgroup);
  const freezer = v1 ? join(v1, "freezer.self_freezing") : v2 ? join(v2, "cgroup.freeze") : undefined;
  return [
    {
      call: "openat",
      args: [cell(OWN), PLAN, O.O_CLOEXEC, 0],
      save: PLAN_FILE,
      why: "what init has to say of a failure is there",
      ...orBack,
    },
    ...(freezer === undefined ? [] : refuseFrozen(freezer)),
    ...letGo(),
    ...checkRecord(),
    ...checkName(pid),
    {
      call: "unlinkat",
      args: [cell(OWN), FIFO, 0],
      why: "the container is no longer one that waits",
      ...orBack,
    },
    succeed,
  ];
}

const EPOLL_CTL_ADD = 1;
/** A zombie holds nothing. Whoever has its number by now, the container's process has ended if that one has. */
const hasEnded = (pid: number): Outcome => [
  { call: "pidfd_open", args: [pid, 0], save: PROCESS, why: "a zombie may go", ...orBack },
  { call: "epoll_create1", args: [0], save: EPOLL, why: "to wait for no time at all", ...orBack },
  {
    call: "epoll_ctl",
    args: [cell(EPOLL), EPOLL_CTL_ADD, cell(PROCESS), words(POLL.POLLIN, 0)],
    why: "its descriptor tells whether it has ended",
    ...orBack,
  },
  {
    call: "epoll_pwait",
    args: [cell(EPOLL), words(0, 0), 1, 0, 0, 8],
    why: "one that runs is looked at by delete",
    zero: backFrom(EPOLL),
    ...orBack,
  },
];

/** For a process that has ended: one that runs is looked at, and maybe ended, by `delete` (delete.ts, `removeLocked`). */
export function deleteSteps({ cgroup, id, pid }: StoredState): Step[] {
  const { directories = [], made = [] } = cgroup ?? {};
  const above = made.toReversed().filter((directory) => !directories.includes(directory));
  const remove = (directory: Arg, name: string, flags: number): Pick<Call, "call" | "args"> => ({
    call: "unlinkat",
    args: [directory, name, flags],
  });
  return [
    {
      call: "kill",
      args: [pid, 0],
      why: "the process has to be gone",
      on: { ESRCH: "next" },
      zero: hasEnded(pid),
      ...orBack,
    },
    ...directories.map(
      (directory): Call => ({
        ...remove(AT_FDCWD, directory, AT_REMOVEDIR),
        why: "the container's cgroup, with nothing in it",
        on: { ENOENT: "next", ENAMETOOLONG: "next" },
        ...orBack,
      }),
    ),
    ...above.map(
      (directory): Call => ({
        ...remove(AT_FDCWD, directory, AT_REMOVEDIR),
        why: "made for it; another container's cgroup may be in it",
        otherwise: "next",
      }),
    ),
    ...FILES.map(
      (name): Call => ({
        ...remove(cell(OWN), name, 0),
        why: "a file of the container's",
        otherwise: "next",
      }),
    ),
    { ...remove(cell(STATES), id, AT_REMOVEDIR), why: "the container", on: { ENOENT: "next" }, ...orBack },
    succeed,
  ];
}

/** None for what start or delete has more to do with: hooks, agents, systemd's units, resctrl. */
export function leaveShortcuts(directory: string, state: StoredState): void {
  const { cgroup, hooks, listener, resctrl } = state;
  const leave = (name: string, steps: readonly Step[]) =>
    writeFileSync(join(directory, name), encodeShortcut(steps), { mode: 0o600 });
  if (hooks) return;
  if (listener === undefined) leave(START_SHORTCUT, startSteps(state));
  if (resctrl === undefined && cgroup?.manager !== "systemd") leave(DELETE_SHORTCUT, deleteSteps(state));
}
