import { readJsonText } from "../../container/bundle.ts";
import { type ExecOptions, exec } from "../../container/exec.ts";
import { MAX_ID } from "../../container/exec-process.ts";
import { openRuntime, type Runtime } from "../../container/runtime.ts";
import { KontenaError } from "../../error.ts";
import { resolve } from "../../path.ts";
import type { ExecArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: ExecArguments): Promise<number> {
  const runtime = openRuntime(context.runtime);
  return exec(runtime, args.id, optionsOf(runtime, args), args.detach);
}

function id(text: string, option: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= MAX_ID) return Number(text);
  throw new KontenaError("USAGE", `exec: ${option}: "${text}" isn't a number from 0 to ${MAX_ID}`, {
    hint: "the container's user database isn't looked at",
  });
}

function userOf(text: string): { uid: number; gid?: number } {
  const [uid = "", gid, ...more] = text.split(":");
  if (more.length > 0) throw new KontenaError("USAGE", `exec: --user: "${text}" isn't UID or UID:GID`);
  return { uid: id(uid, "--user"), ...(gid === undefined ? {} : { gid: id(gid, "--user") }) };
}

function optionsOf(runtime: Runtime, args: ExecArguments): ExecOptions {
  const { command, process: file, env, user, cap, cwd, cgroup } = args;
  const groups = args["additional-gids"];
  const pidFile = args["pid-file"];
  const consoleSocket = args["console-socket"];
  const pidfdSocket = args["pidfd-socket"];
  if (command.length === 0 && file === undefined)
    throw new KontenaError("USAGE", "exec: COMMAND is missing: the program to run", {
      hint: "or --process FILE, which says it",
    });
  for (const entry of env ?? [])
    if (entry.indexOf("=") < 1) throw new KontenaError("USAGE", `exec: --env: "${entry}" isn't NAME=VALUE`);
  return {
    args: command,
    ...(file === undefined ? {} : { process: processIn(runtime, file) }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(user === undefined ? {} : { user: userOf(user) }),
    ...(groups === undefined ? {} : { additionalGids: groups.map((gid) => id(gid, "--additional-gids")) }),
    ...(cap === undefined ? {} : { capabilities: cap }),
    ...(cgroup === undefined ? {} : { cgroup }),
    ...(pidFile === undefined ? {} : { pidFile: resolve(pidFile) }),
    ...(args.apparmor === undefined ? {} : { apparmorProfile: args.apparmor }),
    ...(args["process-label"] === undefined ? {} : { selinuxLabel: args["process-label"] }),
    ...(consoleSocket === undefined ? {} : { consoleSocket: resolve(consoleSocket) }),
    ...(pidfdSocket === undefined ? {} : { pidfdSocket: resolve(pidfdSocket) }),
    terminal: args.tty,
    noNewPrivileges: args["no-new-privs"],
    ignorePaused: args["ignore-paused"],
    preserveFds: args["preserve-fds"] ?? 0,
  };
}

/** Loaded only here: the schemas are most of the program, and a plain COMMAND needs none. */
function processIn(runtime: Runtime, file: string): NonNullable<ExecOptions["process"]> {
  const { checkProcess } = require("../../container/check.ts") as typeof import("../../container/check.ts");
  let text: string;
  try {
    text = readJsonText(file);
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
    throw new KontenaError("USAGE", `exec: --process: cannot read ${file}: ${errno}`, { path: file, errno });
  }
  return checkProcess({ file, text }, ({ message, at, hint }) =>
    runtime.warn(message, { at, ...(hint ? { hint } : {}) }),
  );
}
