/** Small documents for the tests of spec/, and how to take the outcome apart. */
import type { Config } from "../../spec/config.ts";
import { type Problem, parseConfig } from "../../spec/parse.ts";

/** The least that a config may be, with `more` on top. */
export function configText(more: object = {}): string {
  return JSON.stringify({ ociVersion: "1.3.0", ...more });
}

/** The config of that, which must be valid. */
export function validConfig(more: object = {}): Config {
  const parsed = parseConfig(configText(more));
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.config;
}

/** The problems of a config, none when it is valid. */
export function problemsOf(more: object): Problem[] {
  const parsed = parseConfig(configText(more));
  return "problems" in parsed ? parsed.problems : [];
}

/** The places of the problems. */
export function placesOf(more: object): string[] {
  return problemsOf(more).map(({ at }) => at);
}

export function warningsOf(more: object): Problem[] {
  return parseConfig(configText(more)).warnings;
}

/** An object with `value` at a path such as `linux.devices.0.uid`; numbers make arrays, whose earlier items are empty. */
export function nested(path: string, value: unknown): object {
  return path.split(".").reduceRight<unknown>((inner, key) => {
    return /^\d+$/.test(key) ? [inner] : { [key]: inner };
  }, value) as object;
}
