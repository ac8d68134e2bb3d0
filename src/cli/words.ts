import { GLOBAL_OPTIONS } from "./globals.ts";
import type { OptionSpec, Options, Positionals } from "./option.ts";

/** A command line taken apart, its values not yet looked at. */
export interface Line {
  /** The first word that isn't an option. */
  command: string | undefined;
  globals: Values;
  options: Values;
  positionals: readonly string[];
}
/** A list is an option's that may be given several times. */
export type Value = string | boolean | readonly string[] | undefined;
export type Values = Readonly<Record<string, Value>>;

const withoutDashes = (word: string): string => word.slice(word.startsWith("--") ? 2 : 1);

/** The option of this name; what every object has besides, such as `constructor`, is none. */
function optionNamed(options: Options, name: string): OptionSpec | undefined {
  const found = options[name] as OptionSpec | object | undefined;
  return typeof found === "object" && "kind" in found ? found : undefined;
}

/**
 * Where the command stands: the first word that is neither a global option nor the value of one. −1 when there is none.
 * The words before it are global options only, which is how `--rootless auto spec` and `spec --rootless` differ.
 */
export function commandIndex(words: readonly string[]): number {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") return -1;
    if (!word.startsWith("-") || word === "-") return i;
    const option = optionNamed(GLOBAL_OPTIONS, withoutDashes(word));
    if (option !== undefined && option.kind !== "flag") i++;
  }
  return -1;
}

/** Whether this option word takes the word after it as its value. */
function takesNext(word: string, options: Options): boolean {
  if (word.includes("=")) return false;
  const name = withoutDashes(word);
  const option = optionNamed(options, name);
  if (option !== undefined) return option.kind !== "flag";
  if (word.startsWith("--")) return false;
  const kinds = [...name].map((letter) => findOption(`-${letter}`, options)?.[1].kind);
  // Of letters in a row the first one that takes a value takes the rest of the word, if there is one.
  const at = kinds.findIndex((kind) => kind !== "flag");
  return at === kinds.length - 1 && kinds[at] !== undefined;
}

/**
 * Splits the words after a command whose last argument is raw: what is looked at for options, and what belongs to the other
 * program. A `--` between the two is nobody's.
 */
export function splitRaw(
  words: readonly string[],
  options: Options,
  positionals: Positionals,
): { words: readonly string[]; raw: readonly string[] } {
  const rows = Object.values(positionals);
  if (!rows.at(-1)?.raw) return { words, raw: [] };
  let missing = rows.length - 1;
  let isOver = false;
  let i = 0;
  for (; i < words.length && missing > 0; i++) {
    const word = words[i] ?? "";
    if (isOver || !word.startsWith("-") || word === "-") missing--;
    else if (word === "--") isOver = true;
    else if (takesNext(word, options)) i++;
  }
  const raw = words.slice(i);
  return { words: words.slice(0, i), raw: raw[0] === "--" && !isOver ? raw.slice(1) : raw };
}

/** One more value of an option: the last one counts, or all of them do. */
export function addValue(
  values: Record<string, Value>,
  name: string,
  option: OptionSpec,
  value: string,
): void {
  const before = values[name];
  values[name] = option.many ? [...(Array.isArray(before) ? before : []), value] : value;
}

/** The options that may stand after a command: its own ones, and the global ones whose name it doesn't take. */
export function optionsAfter(own: Options): Options {
  return { ...GLOBAL_OPTIONS, ...own };
}

/** Sorts values given after the command into global ones and the command's own. */
export function sortValues(values: Values, own: Options): { globals: Values; options: Values } {
  const globals: Record<string, Value> = {};
  const options: Record<string, Value> = {};
  for (const [name, value] of Object.entries(values)) {
    (optionNamed(own, name) === undefined ? globals : options)[name] = value;
  }
  return { globals, options };
}

/** The option that `--name` or `-n` stands for. */
export function findOption(word: string, options: Options): [name: string, option: OptionSpec] | undefined {
  if (word.length === 2) return Object.entries(options).find(([, { short }]) => short === word[1]);
  const name = word.slice(2);
  const option = word.startsWith("--") ? optionNamed(options, name) : undefined;
  return option && [name, option];
}
