import { didYouMean } from "../../spec/nearest.ts";
import { KontenaError } from "../error.ts";
import { unknownCommand } from "./complaint.ts";
import { GLOBAL_OPTIONS, type GlobalArguments } from "./globals.ts";
import type { OptionSpec, Options, Positionals, ReadyCommand } from "./option.ts";
import { findCommand } from "./table.ts";
import type { Line, Values } from "./words.ts";

/** What a command line asks for. */
export type Invocation =
  | { kind: "version" }
  | { kind: "help"; command: ReadyCommand | undefined }
  | { kind: "command"; command: ReadyCommand; globals: GlobalArguments; args: Record<string, unknown> };

/** Checks the values of a command line that was taken apart, by either parser. Throws USAGE. */
export function interpret(line: Line): Invocation {
  if (line.globals["version"] === true) return { kind: "version" };
  if (line.command === undefined) return { kind: "help", command: undefined };
  const command = findCommand(line.command);
  if (command === undefined) throw unknownCommand(line.command);
  if (command.later) throw notYet(command.name);
  if (line.globals["help"] === true) return { kind: "help", command };
  const globals = readValues(line.globals, GLOBAL_OPTIONS, "") as unknown as GlobalArguments;
  const args = {
    ...readValues(line.options, command.options, command.name),
    ...readPositionals(line.positionals, command),
  };
  return { kind: "command", command, globals, args };
}

function notYet(what: string): KontenaError {
  return new KontenaError("USAGE", `${what}: not in this version yet`, {
    hint: "kontena --help lists what is",
  });
}

function readValues(values: Values, options: Options, where: string): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(options)) {
    const value = values[name];
    if (option.kind === "flag") out[name] = value === true;
    if (value === undefined) continue;
    const shown = where === "" ? `--${name}` : `${where}: --${name}`;
    if (option.later) throw notYet(shown);
    // `--pid-file "$FILE"` of a script that has no FILE: none, as runc takes it. The state's root is too much to be guessed.
    if (value === "" && where !== "" && option.kind === "text" && !option.choices) continue;
    if (typeof value === "string") out[name] = readValue(value, option, shown);
    else if (typeof value !== "boolean") out[name] = value.map((one) => readValue(one, option, shown));
  }
  return out;
}

function readValue(value: string, option: OptionSpec, shown: string): string | number {
  if (option.choices && !option.choices.includes(value)) {
    throw new KontenaError(
      "USAGE",
      `${shown}: "${value}" isn't one of ${option.choices.join(", ")}`,
      didYouMean(value, option.choices),
    );
  }
  if (value === "") throw new KontenaError("USAGE", `${shown}: the value is empty`);
  if (option.kind !== "number") return value;
  if (!/^\d{1,9}$/.test(value)) {
    throw new KontenaError("USAGE", `${shown}: "${value}" isn't a number from 0 to 999999999`);
  }
  return Number(value);
}

function readPositionals(
  given: readonly string[],
  command: ReadyCommand,
): Record<string, string | readonly string[]> {
  const rows = Object.entries(command.positionals);
  const last = rows.at(-1);
  const missing = rows[given.length];
  // What is optional comes last.
  if (missing !== undefined && !missing[1].optional) {
    throw new KontenaError(
      "USAGE",
      `${command.name}: ${missing[1].label} is missing: ${missing[1].description}`,
      {
        hint: usageLine(command),
      },
    );
  }
  if (last?.[1].many) {
    const single = rows.slice(0, -1).map(([name], i) => [name, given[i] ?? ""]);
    return Object.fromEntries([...single, [last[0], given.slice(rows.length - 1)]]);
  }
  const extra = given[rows.length];
  if (extra !== undefined) {
    throw new KontenaError("USAGE", `${command.name}: "${extra}" is one word too many`, {
      hint: usageLine(command),
    });
  }
  const values: Record<string, string> = {};
  for (let i = 0; i < given.length; i++) values[rows[i]?.[0] ?? ""] = given[i] ?? "";
  return values;
}

/** The form of a command on one line: `kontena kill [OPTION]... ID [SIGNAL]`. */
export function usageLine(command: ReadyCommand): string {
  return ["kontena", command.name, "[OPTION]...", ...labels(command.positionals)].join(" ");
}

function labels(positionals: Positionals): string[] {
  return Object.values(positionals).map(
    (row) => (row.optional ? `[${row.label}]` : row.label) + (row.many ? "..." : ""),
  );
}
