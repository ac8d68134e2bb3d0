/**
 * What a row of the command table is. The types of a command's arguments are inferred from its rows, so a command can't read an
 * option that the table doesn't have.
 */
import type { RuntimeOptions } from "../container/runtime.ts";

export interface OptionSpec {
  kind: "flag" | "text" | "number";
  /** May be given several times, each adding to a list; only for text. */
  many?: true;
  /** The one-letter form, unique in a command together with the global options. */
  short?: string;
  /** What stands for the value in help. Completion offers directories for DIR and files for FILE. */
  value?: string;
  /** The legal values, when they can be listed. */
  choices?: readonly string[];
  /** The value when the option isn't given, as help prints it; the command applies it. */
  default?: string;
  description: string;
  /** Known to runc or crun, refused by this version: an option is never ignored. */
  later?: true;
}

export type Options = Readonly<Record<string, OptionSpec>>;

export interface PositionalSpec {
  label: string;
  description: string;
  optional?: true;
  /** All words that are left, as a list; only the last one can be so. */
  many?: true;
  /** With `many`: these words are another program's, and none of them is an option of this one. */
  raw?: true;
  default?: string;
  /** What completion offers. */
  completes?: "container" | "signal" | "shell";
}

/** Keys in the order of the command line. */
export type Positionals = Readonly<Record<string, PositionalSpec>>;

type OptionValue<O> = O extends { kind: "flag" }
  ? boolean
  : O extends { kind: "number" }
    ? number | undefined
    : O extends { choices: readonly (infer Choice)[] }
      ? Choice | undefined
      : O extends { many: true }
        ? readonly string[] | undefined
        : string | undefined;

/** The arguments that a command with these rows is called with: flags are true or false, the rest is undefined when absent. */
export type Arguments<O extends Options, P extends Positionals = Record<never, never>> = {
  readonly [K in keyof O as O[K] extends { later: true } ? never : K]: OptionValue<O[K]>;
} & {
  readonly [K in keyof P]: P[K] extends { many: true }
    ? readonly string[]
    : P[K] extends { optional: true }
      ? string | undefined
      : string;
};

export interface CommandContext {
  readonly runtime: RuntimeOptions;
  /** Writes to standard output, wholly, before it returns; false when the reader has gone. */
  write(text: string): boolean;
}

export interface CommandModule {
  /** Does the command and returns the exit status; errors are thrown. `never`: the table's rows fix the type of each command's own. */
  execute(context: CommandContext, args: never): number | Promise<number>;
}

/** The headings of `kontena --help`. */
export const GROUPS = {
  life: "A container's life",
  look: "Looking",
  prepare: "Preparing",
} as const;

export interface ReadyCommand {
  name: string;
  summary: string;
  /** Explains the thing to somebody who meets it for the first time. */
  description: string;
  /** Command lines that work as they stand, each with what it does. */
  examples: readonly (readonly [line: string, effect: string])[];
  group: keyof typeof GROUPS;
  positionals: Positionals;
  options: Options;
  /** Its code, loaded when it is to run. At once: a first promise takes as long as a small command. */
  load: () => CommandModule;
  /** Exit status of a failure that isn't the program's own: 1 unless it is another one. */
  failureStatus?: number;
  later?: undefined;
}

/** A command of runc or crun that this version refuses. */
export interface LaterCommand {
  name: string;
  summary: string;
  later: true;
}

export type CommandSpec = ReadyCommand | LaterCommand;
