/** The program. Nothing heavy is imported here: a command loads only itself. */
import { errorToJson, exitStatus, formatError, KontenaError } from "../error.ts";
import { exitNow } from "../kernel/exit.ts";
import { parseFast } from "./fast.ts";
import type { GlobalArguments } from "./globals.ts";
import { type Invocation, interpret } from "./interpret.ts";
import { guessLogOptions, type Log, openLog } from "./log.ts";
import type { CommandContext, ReadyCommand } from "./option.ts";
import { writeAll } from "./output.ts";
import { findCommand } from "./table.ts";
import { versionText } from "./version.ts";
import type { Line } from "./words.ts";

/** An exit status, at once where nothing had to be waited for: a first promise takes as long as a small command. */
type Status = number | Promise<number>;

/** What an error is told by. */
interface Telling {
  log?: Log;
  failureStatus?: number | undefined;
}

/** Runs a command line (without the program's name) and gives the exit status; everything is written by then. */
export function main(words: readonly string[]): Status {
  const telling: Telling = {};
  const fail = (error: unknown): number => {
    report(error, telling.log ?? openLogAnyway(words));
    return exitStatus(error, telling.failureStatus);
  };
  try {
    const line = parseFast(words);
    const status = line === undefined ? performSlow(words, telling) : perform(line, telling);
    return typeof status === "number" ? status : status.catch(fail);
  } catch (error) {
    return fail(error);
  }
}

async function performSlow(words: readonly string[], telling: Telling): Promise<number> {
  const { parseSlow } = await import("./slow.ts");
  return perform(await parseSlow(words), telling);
}

function perform(line: Line, telling: Telling): Status {
  telling.failureStatus = statusOfFailure(line.command);
  const invocation = interpret(line);
  switch (invocation.kind) {
    case "version":
      writeAll(1, versionText());
      return 0;
    case "help":
      return showHelp(invocation.command);
    case "command":
      telling.log = openLog({
        file: invocation.globals.log,
        format: invocation.globals["log-format"] ?? "text",
        level: invocation.globals.debug ? "debug" : (invocation.globals["log-level"] ?? "warning"),
      });
      return runCommand(invocation, telling.log);
  }
}

async function showHelp(command: ReadyCommand | undefined): Promise<number> {
  const { helpText } = await import("./help.ts");
  writeAll(1, await helpText(command));
  return 0;
}

function statusOfFailure(name: string | undefined): number | undefined {
  const command = name === undefined ? undefined : findCommand(name);
  return command?.later ? undefined : command?.failureStatus;
}

function runCommand(invocation: Invocation & { kind: "command" }, log: Log): Status {
  const { command, globals, args } = invocation;
  log.debug(() => `${command.name} begins ${performance.now().toFixed(1)} ms after the program`);
  const context: CommandContext = {
    runtime: {
      ...(globals.root !== undefined && { root: globals.root }),
      ...cgroupManagerOf(globals),
      ...(globals.rootless !== undefined && { rootless: globals.rootless }),
      warn: log.warn,
      debug: log.debug,
    },
    write: (text) => writeAll(1, text),
  };
  const end = (status: number): number => {
    log.debug(() => `${command.name} ends after ${performance.now().toFixed(1)} ms with status ${status}`);
    return status;
  };
  const status = command.load().execute(context, args as never);
  return typeof status === "number" ? end(status) : status.then(end);
}

/** Two options for one thing: that of runc, and that of crun. */
function cgroupManagerOf(globals: GlobalArguments): Pick<CommandContext["runtime"], "cgroupManager"> {
  const manager = globals["cgroup-manager"];
  if (!globals["systemd-cgroup"]) return manager === undefined ? {} : { cgroupManager: manager };
  if (manager !== undefined && manager !== "systemd")
    throw new KontenaError("USAGE", `--systemd-cgroup and --cgroup-manager ${manager} contradict each other`);
  return { cgroupManager: "systemd" };
}

function report(error: unknown, log: Log): void {
  log.error(formatError(error), errorToJson(error));
  if (error instanceof Error && error.stack !== undefined) log.debug(error.stack);
}

/** The log for an error in the command line itself, or in the log's own options. */
function openLogAnyway(words: readonly string[]): Log {
  const options = guessLogOptions(words);
  try {
    return openLog(options);
  } catch {
    return openLog({ ...options, file: undefined });
  }
}

if (import.meta.main) {
  const status = main(process.argv.slice(2));
  if (typeof status === "number") exitNow(status);
  status.then(exitNow);
}
