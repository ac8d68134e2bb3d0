/** The program. Nothing heavy is imported here: a command loads only itself. */
import { errorToJson, exitStatus, formatError, KontenaError } from "../error.ts";
import { exitNow } from "../kernel/exit.ts";
import { parseFast } from "./fast.ts";
import type { GlobalArguments } from "./globals.ts";
import { type Invocation, interpret } from "./interpret.ts";
import { guessLogOptions, type Log, openLog } from "./log.ts";
import type { CommandContext } from "./option.ts";
import { writeAll } from "./output.ts";
import { findCommand } from "./table.ts";
import { versionText } from "./version.ts";

/** Runs a command line (without the program's name) and returns the exit status; everything is written by then. */
export async function main(words: readonly string[]): Promise<number> {
  let log: Log | undefined;
  let failureStatus: number | undefined;
  try {
    const line = parseFast(words) ?? (await (await import("./slow.ts")).parseSlow(words));
    failureStatus = statusOfFailure(line.command);
    const invocation = interpret(line);
    switch (invocation.kind) {
      case "version":
        writeAll(1, versionText());
        return 0;
      case "help":
        writeAll(1, await (await import("./help.ts")).helpText(invocation.command));
        return 0;
      case "command":
        log = openLog({
          file: invocation.globals.log,
          format: invocation.globals["log-format"] ?? "text",
          level: invocation.globals.debug ? "debug" : (invocation.globals["log-level"] ?? "warning"),
        });
        return await runCommand(invocation, log);
    }
  } catch (error) {
    report(error, log ?? openLogAnyway(words));
    return exitStatus(error, failureStatus);
  }
}

function statusOfFailure(name: string | undefined): number | undefined {
  const command = name === undefined ? undefined : findCommand(name);
  return command?.later ? undefined : command?.failureStatus;
}

async function runCommand(invocation: Invocation & { kind: "command" }, log: Log): Promise<number> {
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
  const { execute } = await command.load();
  const status = await execute(context, args as never);
  log.debug(() => `${command.name} ends after ${performance.now().toFixed(1)} ms with status ${status}`);
  return status;
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
  exitNow(await main(process.argv.slice(2)));
}
