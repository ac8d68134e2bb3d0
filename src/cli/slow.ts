/** The command line by way of yargs: unusual spellings, and every mistake that is worth explaining. */
import type { Argv } from "yargs";
import { complaint, unknownCommand } from "./complaint.ts";
import { GLOBAL_OPTIONS } from "./globals.ts";
import type { Options } from "./option.ts";
import { findCommand } from "./table.ts";
import {
  commandIndex,
  findOption,
  type Line,
  optionsAfter,
  sortValues,
  splitRaw,
  type Values,
} from "./words.ts";

type Yargs = (words: readonly string[]) => Argv;

/**
 * yargs reads `process.stdout.columns` while it is imported, and the mere look at that property opens a stream, which takes
 * milliseconds and switches descriptor 1, which the container will share, to O_NONBLOCK. Nothing here uses the stream, so yargs
 * gets a stand-in; by assignment, because Object.defineProperty looks at the old value.
 */
export async function loadYargs(columns = 100): Promise<Yargs> {
  (process as unknown as { stdout: { columns: number } }).stdout = { columns };
  const module = await import("yargs");
  return module.default as unknown as Yargs;
}

/** Settings that make yargs read words the way runc and crun do, and give every value back as the text that was typed. */
export const PARSER = {
  "boolean-negation": false,
  "camel-case-expansion": false,
  "dot-notation": false,
  "duplicate-arguments-array": true,
  "greedy-arrays": false,
  "parse-numbers": false,
  "parse-positional-numbers": false,
  "strip-aliased": true,
} as const;

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** The letters of `-dbDIR` one by one, the way of getopt; `-bundle DIR`, the way of Go, is `--bundle DIR`. */
function splitCluster(word: string, options: Options): string[] {
  const [, name = "", rest = ""] = /^-([^=]+)(.*)$/s.exec(word) ?? [];
  if (Object.hasOwn(options, name)) return [`-${word}`];
  const out: string[] = [];
  for (let i = 1; i < word.length; i++) {
    const found = findOption(`-${word[i]}`, options);
    if (!found) return [word];
    if (found[1].kind !== "flag") {
      const value = word.slice(i + 1).replace(/^=/, "");
      return [...out, ...(value === "" && rest === "" ? [`--${found[0]}`] : [`--${found[0]}=${value}`])];
    }
    if (word[i + 1] === "=") return [...out, `--${found[0]}=${word.slice(i + 2)}`];
    out.push(`--${found[0]}`);
  }
  return out;
}

/** Rewrites spellings that yargs reads differently from runc or crun. */
function normalize(words: readonly string[], options: Options): string[] {
  const out: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") return [...out, ...words.slice(i)];
    const isNumber = /^-\d+$/.test(word);
    const cluster = /^-[^-]/s.test(word) && !isNumber;
    for (const part of cluster ? splitCluster(word, options) : [word]) {
      const [, name = "", value = ""] = /^--([^=]+)=(.*)$/s.exec(part) ?? [];
      const isFlag = Object.hasOwn(options, name) && options[name]?.kind === "flag";
      if (isFlag && TRUE.has(value)) out.push(`--${name}`);
      else if (isFlag && FALSE.has(value)) removeAll(out, `--${name}`);
      else out.push(part);
    }
    const last = findOption(out.at(-1) ?? "", options);
    if (last !== undefined && last[1].kind !== "flag" && i + 1 < words.length) out.push(words[++i] ?? "");
  }
  return out;
}

function removeAll(words: string[], word: string): void {
  for (let i = words.length - 1; i >= 0; i--) if (words[i] === word) words.splice(i, 1);
}

function parseWords(yargs: Yargs, words: readonly string[], options: Options, where: string) {
  const settings = Object.fromEntries(
    Object.entries(options).map(([name, { kind, short }]) => [
      name,
      kind === "flag"
        ? { type: "boolean" as const, nargs: 0, ...(short !== undefined && { alias: short }) }
        : { type: "string" as const, nargs: 1, ...(short !== undefined && { alias: short }) },
    ]),
  );
  const parsed = yargs([])
    .detectLocale(false)
    .exitProcess(false)
    .help(false)
    .version(false)
    .parserConfiguration(PARSER)
    .strictOptions()
    .options(settings)
    .fail((message: string | null, error: Error | null) => {
      throw complaint(message ?? error?.message ?? "can't be understood", where, options);
    })
    .parseSync(normalize(words, options)) as { _: (string | number)[]; [name: string]: unknown };
  const { _: positionals, $0: _script, ...values } = parsed;
  return { values: given(values, options), positionals: positionals.map(String) };
}

/** yargs makes a list of whatever was given twice: of most options the last one counts. */
function given(values: Record<string, unknown>, options: Options): Values {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      const list = Array.isArray(value) ? (value as (string | boolean)[]) : [value as string | boolean];
      return [name, options[name]?.many ? list.map(String) : list.at(-1)];
    }),
  );
}

/** Takes any command line apart, or throws USAGE with what is wrong and what would be right. */
export async function parseSlow(words: readonly string[]): Promise<Line> {
  const yargs = await loadYargs();
  const at = commandIndex(words);
  const before = parseWords(yargs, words.slice(0, at < 0 ? words.length : at), GLOBAL_OPTIONS, "");
  const name = at < 0 ? before.positionals[0] : words[at];
  if (name === undefined || before.values["version"] === true) {
    return { command: undefined, globals: before.values, options: {}, positionals: [] };
  }
  if (name === "help") {
    const about = words.slice(at + 1).find((word) => !word.startsWith("-"));
    return { command: about, globals: { ...before.values, help: true }, options: {}, positionals: [] };
  }
  const command = findCommand(name);
  if (command === undefined) throw unknownCommand(name);
  if (command.later || before.values["help"] === true) {
    return { command: name, globals: before.values, options: {}, positionals: [] };
  }

  const legal = optionsAfter(command.options);
  const split = splitRaw(words.slice(at + 1), legal, command.positionals);
  const after = parseWords(yargs, split.words, legal, name);
  const { globals, options } = sortValues(after.values, command.options);
  return {
    command: name,
    globals: { ...before.values, ...globals },
    options,
    positionals: [...after.positionals, ...split.raw],
  };
}
