/** The program itself: where it runs, which file it is, and execve (config.md, "Process"; execve(2)). */

import { LAST_CALL } from "../init/memory.ts";
import { buffer, type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { ACCESS, AT_EACCESS, AT_FDCWD, CLOSE_RANGE, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { PR } from "../kernel/consts/prctl.ts";
import { STATX_BASIC_STATS, STATX_SIZE } from "../kernel/structs.ts";
import { join, normalize } from "../path.ts";
import { environmentOf } from "./home.ts";
import type { PlanInput } from "./input.ts";
import { CWD_BUFFER, EXEC_PATH, lookupCells } from "./names.ts";
import { filterHints } from "./seccomp.ts";

/** Longest path that the kernel takes, its NUL included. */
const PATH_MAX = 4096;
/** Search path when the container's environment has none: that of execvp(3). */
const DEFAULT_PATH = "/bin:/usr/bin";

const CWD = "working directory";

/** The working directory, made when it is missing; no magic link of /proc leads to it. */
export function workingDirectory({ config }: PlanInput): Step[] {
  const cwd = config.process?.cwd ?? "/";
  const at = "process.cwd";
  const fail: Failure = {
    code: "PROCESS_FAILED",
    message: `cannot change to the working directory ${cwd}`,
    path: cwd,
    hints: { ELOOP: "it goes through a magic link, such as /proc/self/fd" },
  };
  const how = struct("open_how", {
    flags: O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC,
    resolve: RESOLVE.RESOLVE_NO_MAGICLINKS,
  });
  const open = (on: Call["on"]): Call => ({
    call: "openat2",
    args: [AT_FDCWD, cwd, how, 24],
    why: "the working directory",
    at,
    save: CWD,
    ...(on === undefined ? {} : { on }),
    fail,
  });
  const parts = normalize(cwd).split("/").filter(Boolean);
  const make = parts.map(
    (_, i): Call => ({
      call: "mkdirat",
      args: [AT_FDCWD, `/${parts.slice(0, i + 1).join("/")}`, 0o755],
      why: "it is missing: make it",
      at,
      on: { EEXIST: "next" },
      fail,
    }),
  );
  return [
    open({ ENOENT: [...make, open(undefined)] }),
    { call: "fchdir", args: [cell(CWD)], why: "the program starts here", at, fail },
    {
      call: "getcwd",
      args: [buffer(CWD_BUFFER, PATH_MAX), PATH_MAX],
      why: "it has to be inside the container's root",
      at,
      fail,
    },
  ];
}

/** The files that args[0] can mean, in the order in which execvp(3) tries them. */
export function candidates({ config }: PlanInput): string[] {
  const name = config.process?.args?.[0] ?? "";
  if (name.includes("/")) return [name];
  const path = config.process?.env?.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length);
  // An empty element is the working directory, as it always was.
  return (path ?? DEFAULT_PATH).split(":").map((directory) => join(directory || ".", name));
}

/**
 * Looks for the program with the rights of its user, at create, as engines expect. No outcome ends init: TypeScript reads
 * the results, tells what is wrong, or writes the path that execve will take. A user who keeps CAP_DAC_OVERRIDE looks as root
 * does, whom it is that lets execute what only others may.
 */
export function lookUpProgram(input: PlanInput): Step[] {
  const { user, capabilities } = input.config.process ?? {};
  const { uid = 0, gid = 0, additionalGids: groups = [] } = user ?? {};
  const at = "process.args[0]";
  const asUser = (call: "setfsuid" | "setfsgid", id: number, why: string): Call => ({
    call,
    args: [id],
    why,
    at,
    otherwise: "next",
  });
  const other = (uid !== 0 || gid !== 0) && !(capabilities?.effective ?? []).includes("CAP_DAC_OVERRIDE");
  return [
    // Changing fsuid from 0 takes the file capabilities away and gives them back on the way home: capabilities(7).
    ...(other
      ? [
          // Init itself needs none of its own any more; where it may not, the real thing will say so.
          {
            call: "setgroups",
            args: [groups.length, groups.length === 0 ? 0 : struct("gid_list", groups)],
            why: "look with the user's additional groups",
            at: "process.user.additionalGids",
            on: { EPERM: "next" },
            fail: { code: "PROCESS_FAILED", message: `cannot set the groups [${groups.join(", ")}]` },
          } satisfies Call,
          asUser("setfsgid", gid, "look with the user's group"),
          asUser("setfsuid", uid, "look with the user's rights"),
        ]
      : []),
    ...candidates(input).flatMap((path, i): Call[] => {
      const names = lookupCells(i);
      return [
        {
          call: "statx",
          args: [AT_FDCWD, path, 0, STATX_BASIC_STATS, buffer(names.buffer, STATX_SIZE)],
          why: `is ${path} there?`,
          at,
          save: names.stat,
          otherwise: "next",
        },
        {
          call: "faccessat2",
          args: [AT_FDCWD, path, ACCESS.X_OK, AT_EACCESS],
          why: "may the user execute it?",
          at,
          save: names.access,
          otherwise: "next",
        },
      ];
    }),
    ...(other
      ? [asUser("setfsuid", 0, "root's rights again"), asUser("setfsgid", 0, "root's group again")]
      : []),
  ];
}

/** prctl(2): no execve from here on gives more rights, by set-user-id or file capabilities. */
export function noNewPrivileges({ config }: PlanInput): Step[] {
  if (config.process?.noNewPrivileges !== true) return [];
  return [
    {
      call: "prctl",
      args: [PR.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0],
      why: "no execve gains privileges",
      at: "process.noNewPrivileges",
      fail: { code: "PROCESS_FAILED", message: "cannot set no_new_privs" },
    },
  ];
}

/** Everything but standard input, output, error and what the caller asked to preserve closes at execve. */
export function closeDescriptors({ preserveFds }: PlanInput): Step[] {
  return [
    {
      call: "close_range",
      args: [3 + preserveFds, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],
      why: "no descriptor of init reaches the program (CVE-2016-9962, CVE-2024-21626)",
      fail: { code: "INTERNAL", message: "cannot close init's descriptors" },
    },
  ];
}

/** The steps with the result of the last one kept at the head of plan memory: init has nothing left to do but execve. */
export function last(steps: readonly Step[]): Step[] {
  const call = steps.at(-1);
  if (call === undefined || !("call" in call) || call.save !== undefined)
    throw new RangeError("the last step before execve is a call without a cell of its own");
  return [...steps.slice(0, -1), { ...call, save: LAST_CALL }];
}

export function execute(input: PlanInput): Step[] {
  const args = input.config.process?.args ?? [];
  const longest = Math.max(...candidates(input).map((path) => Buffer.byteLength(path))) + 1;
  return [
    {
      call: "execve",
      args: [
        buffer(EXEC_PATH, longest),
        { strings: args },
        { strings: environmentOf(input.config, input.host) },
      ],
      why: "the program",
      at: "process.args",
      fail: {
        code: "EXEC_FAILED",
        message: `exec ${args[0] ?? ""}`,
        path: args[0] ?? "",
        codes: {
          ENOENT: "EXEC_NOT_FOUND",
          ENOTDIR: "EXEC_NOT_FOUND",
          EACCES: "EXEC_NOT_EXECUTABLE",
          ENOEXEC: "EXEC_NOT_EXECUTABLE",
        },
        hints: {
          ...filterHints(input, "execve"),
          ENOENT:
            "it was there when the container was created; a script's interpreter or a program's loader may be missing",
          ENOEXEC: "it is a program for another machine, or a script without #! line",
          E2BIG:
            "arguments and environment are longer than a quarter of the stack limit, or one is 128 KiB or more",
        },
      },
    },
  ];
}
