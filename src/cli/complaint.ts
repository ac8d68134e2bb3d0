/** The sentences for a command line that is wrong: what was wrong, and what would be right. */

import { didYouMean } from "../../spec/nearest.ts";
import { KontenaError } from "../error.ts";
import type { Options } from "./option.ts";
import { allCommands } from "./table.ts";

const dashed = (name: string): string => (name.length === 1 ? `-${name}` : `--${name}`);

/** The error for what yargs complains about: its sentences name options without dashes and don't say what would be right. */
export function complaint(message: string, where: string, options: Options): KontenaError {
  const prefix = where === "" ? "" : `${where}: `;
  const unknown = /^Unknown arguments?: (.*)$/s.exec(message)?.[1]?.split(", ")[0];
  if (unknown !== undefined) {
    const legal = Object.keys(options).filter((name) => !options[name]?.later);
    const owned = allCommands().some((c) => !c.later && Object.hasOwn(c.options, unknown));
    return new KontenaError("USAGE", `${prefix}unknown option ${dashed(unknown)}`, {
      hint: `legal are ${legal.map(dashed).join(" ")}`,
      ...didYouMean(dashed(unknown), Object.keys(options).map(dashed)),
      ...(where === "" && owned && { hint: `it goes after the command: kontena COMMAND ${dashed(unknown)}` }),
    });
  }
  const bare = /^Not enough arguments following: (.*)$/s.exec(message)?.[1];
  if (bare !== undefined) {
    const [name, option] = Object.entries(options).find(([key, o]) => key === bare || o.short === bare) ?? [];
    const value = option?.value ?? "VALUE";
    const legal = option?.choices ? `one of ${option.choices.join(", ")}` : `--${name ?? bare}=${value}`;
    return new KontenaError("USAGE", `${prefix}${dashed(bare)} needs a value`, { hint: legal });
  }
  const flag = /^Argument unexpected for: (.*)$/s.exec(message)?.[1];
  if (flag !== undefined) {
    return new KontenaError("USAGE", `${prefix}${dashed(flag)} is either there or not`, {
      hint: `legal values are true and false`,
    });
  }
  return new KontenaError("USAGE", `${prefix}${message.trim().replaceAll("\n", " ")}`);
}

/** The error for a word that isn't a command. */
export function unknownCommand(name: string): KontenaError {
  const names = allCommands().map((command) => command.name);
  return new KontenaError("USAGE", `unknown command "${name}"`, {
    hint: `commands are ${names.join(", ")}; kontena --help explains them`,
    ...didYouMean(name, names),
  });
}
