import { GLOBAL_OPTIONS } from "./globals.ts";
import type { Options } from "./option.ts";
import { findCommand } from "./table.ts";
import {
  addValue,
  commandIndex,
  findOption,
  type Line,
  optionsAfter,
  sortValues,
  splitRaw,
  type Value,
  type Values,
} from "./words.ts";

type Parsed = { values: Values; positionals: string[] };

/**
 * The plain forms only: `--name`, `--name value`, `--name=value`, `-n`, `-n value`, words, and `--`. node:util's parseArgs
 * would do, but takes over a millisecond to load.
 */
function readWords(words: readonly string[], options: Options): Parsed | undefined {
  const values: Record<string, Value> = {};
  const positionals: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") {
      positionals.push(...words.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      positionals.push(word);
      continue;
    }
    const isLong = word.startsWith("--");
    const equals = isLong ? word.indexOf("=") : -1;
    const found = findOption(equals < 0 ? word : word.slice(0, equals), options);
    if (found === undefined) return undefined;
    const [name, option] = found;
    if (option.kind === "flag") {
      if (equals >= 0) return undefined;
      values[name] = true;
    } else if (equals >= 0) {
      addValue(values, name, option, word.slice(equals + 1));
    } else {
      const value = words[++i];
      // An option where a value should be: a value was forgotten, most likely.
      if (value === undefined || (value.startsWith("-") && value !== "-")) return undefined;
      addValue(values, name, option, value);
    }
  }
  return { values, positionals };
}

/**
 * Takes the plain forms of a command line apart, in a fraction of a millisecond. Undefined when anything is unusual or wrong, or when
 * help is asked for: then yargs is worth its start-up time. Both agree on every line that this function accepts.
 */
export function parseFast(words: readonly string[]): Line | undefined {
  const at = commandIndex(words);
  const before = readWords(words.slice(0, at < 0 ? words.length : at), GLOBAL_OPTIONS);
  if (before === undefined || before.values["help"] === true) return undefined;
  if (before.values["version"] === true) {
    return { command: undefined, globals: before.values, options: {}, positionals: [] };
  }
  const command = at < 0 ? undefined : findCommand(words[at] ?? "");
  if (command === undefined) return undefined;
  if (command.later) {
    return { command: command.name, globals: before.values, options: {}, positionals: [] };
  }

  const legal = optionsAfter(command.options);
  const split = splitRaw(words.slice(at + 1), legal, command.positionals);
  const after = readWords(split.words, legal);
  if (after === undefined || after.values["help"] === true) return undefined;
  const { globals, options } = sortValues(after.values, command.options);
  return {
    command: command.name,
    globals: { ...before.values, ...globals },
    options,
    positionals: [...after.positionals, ...split.raw],
  };
}
