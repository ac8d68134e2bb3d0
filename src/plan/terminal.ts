/**
 * The pseudoterminal of a process (config.md, "Process", `terminal` and `consoleSize`; runtime-linux.md, "dev/console";
 * pts(4)). It is one of the container's own devpts. Its other end is reached by TIOCGPTPEER, so no name in the container's /dev
 * is followed, and its master end goes out through a socket (CVE-2025-52565).
 */

import { type Call, cell, type Failure, type Step, struct, words } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { MOVE_MOUNT, OPEN_TREE } from "../kernel/consts/mount.ts";
import { MSG_NOSIGNAL, SCM_RIGHTS, SOL_SOCKET } from "../kernel/consts/socket.ts";
import { TIOC } from "../kernel/consts/tty.ts";
import { openOrMake } from "./destination.ts";
import type { ConsoleHandle } from "./handles.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { ROOT } from "./names.ts";

const MASTER = "terminal's master end";
const TERMINAL = "terminal";
const SOCKET = "console socket";
/** What goes with the descriptor: receivers take it for the terminal's name. */
const NAME = "/dev/ptmx";

const AT = "process.terminal";
const fail: Failure = { code: "PROCESS_FAILED", message: "cannot give the process a terminal" };

export function wantsTerminal({ config }: Pick<PlanInput, "config">): boolean {
  return config.process?.terminal === true;
}

/** The connection on which somebody waits for the master end. */
export function terminalHandles(input: Pick<PlanInput, "config">): ConsoleHandle[] {
  return wantsTerminal(input) ? [{ kind: "console", cell: SOCKET, at: AT }] : [];
}

type TerminalInput = Pick<PlanInput, "config">;

/** For a container that is being made: below the root, which isn't entered yet, with /dev/console. */
export function terminal(input: TerminalInput): Step[] {
  if (!wantsTerminal(input)) return [];
  const open = openMaster(cell(ROOT), RESOLVE.RESOLVE_IN_ROOT);
  const console = hasNamespace(input.config, "mount") ? bindConsole() : [];
  return [...open, ...connect(input), ...console, ...standardStreams()];
}

/** For a process that has entered a container: its root is `/`. */
export function terminalInside(input: TerminalInput): Step[] {
  if (!wantsTerminal(input)) return [];
  return [...openMaster(AT_FDCWD, 0), ...connect(input), ...standardStreams()];
}

function ioctl(
  what: ReturnType<typeof cell>,
  request: number,
  argument: Call["args"][number],
  why: string,
): Call {
  return { call: "ioctl", args: [what, request, argument], why, at: AT, fail };
}

function openMaster(directory: Call["args"][number], resolve: number): Step[] {
  const path = directory === AT_FDCWD ? "/dev/pts/ptmx" : "dev/pts/ptmx";
  const how = struct("open_how", {
    flags: O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC,
    resolve: resolve | RESOLVE.RESOLVE_NO_MAGICLINKS,
  });
  const hint =
    "a terminal needs a mount of type devpts on /dev/pts, with ptmxmode=0666 when the process isn't root";
  return [
    {
      call: "openat2",
      args: [directory, path, how, 24],
      why: "a new pseudoterminal of the container's own devpts",
      at: AT,
      save: MASTER,
      on: { EAGAIN: "again" },
      fail: { ...fail, path: "/dev/pts/ptmx", hints: { ENOENT: hint, EACCES: hint } },
    },
    ioctl(cell(MASTER), TIOC.TIOCSPTLCK, { bytes: new Uint8Array(4), name: "0" }, "unlock the other end"),
    {
      ...ioctl(
        cell(MASTER),
        TIOC.TIOCGPTPEER,
        O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC,
        "the other end, by no name",
      ),
      save: TERMINAL,
    },
  ];
}

/** `struct winsize`: rows, columns, and the same in pixels, which nobody knows. */
function winsize(rows: number, columns: number): Uint8Array {
  const most = (value: number) => Math.min(value, 0xffff);
  return new Uint8Array(new Uint16Array([most(rows), most(columns), 0, 0]).buffer);
}

/** Its size, its owner, and the master end to whoever waits for it. */
function connect({ config }: TerminalInput): Step[] {
  const { consoleSize, user } = config.process ?? {};
  const uid = user?.uid ?? 0;
  const size: Step[] =
    consoleSize === undefined
      ? []
      : [
          {
            ...ioctl(
              cell(MASTER),
              TIOC.TIOCSWINSZ,
              {
                bytes: winsize(Number(consoleSize.height), Number(consoleSize.width)),
                name: `${consoleSize.height} rows, ${consoleSize.width} columns`,
              },
              "its size",
            ),
            at: "process.consoleSize",
          },
        ];
  const owner: Step[] =
    uid === 0
      ? []
      : [
          {
            call: "fchown",
            args: [cell(TERMINAL), uid, -1],
            why: "the process's user may open it again",
            at: "process.user.uid",
            fail,
          },
        ];
  // struct msghdr: no address, one vector, and a control message with the descriptor; it is read from its home in there.
  const control = words(20, BigInt(SOL_SOCKET) | (BigInt(SCM_RIGHTS) << 32n), cell(MASTER));
  const message = words(0, 0, words(NAME, NAME.length), 1, control, 24, 0);
  return [
    ...size,
    ...owner,
    {
      call: "sendmsg",
      args: [cell(SOCKET), message, MSG_NOSIGNAL],
      why: "the master end goes to whoever waits for it",
      at: AT,
      fail: {
        ...fail,
        message: "cannot hand over the terminal's master end",
        hints: { EPIPE: "the receiver has closed its socket" },
      },
    },
  ];
}

/** "the terminal is bound to /dev/console" (runtime-linux.md). */
function bindConsole(): Step[] {
  const path = "/dev/console";
  const tree = "tree of the terminal";
  const place = "place of the console";
  const failed: Failure = { code: "DEVICE_FAILED", message: `cannot bind the terminal to ${path}`, path };
  return [
    {
      call: "open_tree",
      args: [cell(TERMINAL), "", AT_EMPTY_PATH | OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC],
      why: `the terminal, for ${path}`,
      at: AT,
      save: tree,
      fail: failed,
    },
    openOrMake({ path, kind: "file", save: place, at: AT, why: path, fail: failed, noSymlinks: true }),
    {
      call: "move_mount",
      args: [
        cell(tree),
        "",
        cell(place),
        "",
        MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH,
      ],
      why: `${path} is the terminal`,
      at: AT,
      fail: failed,
    },
  ];
}

/** The leader of a session takes it as its controlling terminal, and as its three streams. */
function standardStreams(): Step[] {
  return [
    ioctl(cell(TERMINAL), TIOC.TIOCSCTTY, 0, "the session's controlling terminal"),
    ...[0, 1, 2].map(
      (fd): Step => ({
        call: "dup3",
        args: [cell(TERMINAL), fd, 0],
        why: ["standard input", "standard output", "standard error"][fd] ?? "",
        at: AT,
        fail,
      }),
    ),
  ];
}
