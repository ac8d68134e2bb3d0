/**
 * What `create` leaves for `start` and `delete`, so that they need no Bun (init/shortcut.ts): the calls of start.ts and delete.ts for
 * a container with whom nothing is unusual, in the same order. Whatever comes out otherwise leads back to those, which can be begun
 * anew at any point.
 */
import type { Cgroup } from "../cgroup/cgroup.ts";
import { encodeShortcut, OWN, STATES } from "../init/shortcut.ts";
import { type Arg, type Call, cell, type Outcome, type Step } from "../init/step.ts";
import { AT_FDCWD, AT_REMOVEDIR } from "../kernel/consts/fcntl.ts";
import { writeFileSync } from "../kernel/fs.ts";
import { hasAny } from "../lists.ts";
import { join } from "../path.ts";
import { DELETE_SHORTCUT, FILES, START_SHORTCUT, type StoredState } from "./directory.ts";
import { awaitOne, backFrom, EPOLL, orBack, PROCESS, succeed, watch } from "./shortcut-numbers.ts";
import { startSteps } from "./start-shortcut.ts";

/** A caller in another pid namespace finds nobody of this number, and sees the process in the host's /proc. */
const isUnseen = (pid: number): Call => ({
  call: "faccessat2",
  args: [AT_FDCWD, `/proc/${pid}`, 0, 0],
  why: "nobody is seen there either",
  on: { ENOENT: "next" },
  zero: backFrom(STATES),
  after: "leave",
  ...orBack,
});

/** A zombie holds nothing. Whoever has its number by now, the container's process has ended if that one has. */
const hasEnded = (pid: number): Outcome => [
  { call: "pidfd_open", args: [pid, 0], save: PROCESS, why: "a zombie may go", ...orBack },
  { call: "epoll_create1", args: [0], save: EPOLL, why: "to wait for no time at all", ...orBack },
  watch(PROCESS),
  { ...awaitOne(0), why: "one that runs is looked at by delete", zero: backFrom(EPOLL) },
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
      on: { ESRCH: [isUnseen(pid)] },
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
    { ...remove(cell(STATES), id, AT_REMOVEDIR), why: "the container", ...orBack },
    succeed,
  ];
}

/** Whether all of it was made for the container. What wasn't stays, and has to be looked at. */
const isWhole = ({ directories, made }: Cgroup): boolean =>
  !hasAny(directories, (directory) => !made.includes(directory));

/** None for what start or delete has more to do with: hooks, agents, systemd's units, cgroups that were there before, resctrl. */
export function leaveShortcuts(directory: string, state: StoredState): void {
  const { cgroup, hooks, listener, resctrl } = state;
  const leave = (name: string, steps: readonly Step[]) =>
    writeFileSync(join(directory, name), encodeShortcut(state.id, steps), { mode: 0o600 });
  if (hooks) return;
  if (listener === undefined) leave(START_SHORTCUT, startSteps(state));
  // Of systemd's none is made here.
  if (resctrl === undefined && (cgroup === undefined || isWhole(cgroup)))
    leave(DELETE_SHORTCUT, deleteSteps(state));
}
