/** Documents of the spec from their JSON text: all problems at once, each with its place. */
import * as v from "valibot";
import { CONFIG_CHECKS, CONFIG_WARNINGS } from "./checks.ts";
import type { Problem } from "./common.ts";
import { type Config, ConfigSchema } from "./config.ts";
import { type Features, featuresSchema } from "./features.ts";
import { parseJson } from "./json.ts";
import { inspect, toProblem } from "./problems.ts";
import { type Process, ProcessSchema } from "./process.ts";
import { PROCESS_CHECKS, PROCESS_WARNINGS } from "./process-checks.ts";
import { type Resources, ResourcesSchema } from "./resources.ts";
import { RESOURCES_CHECKS } from "./resources-checks.ts";
import { type State, StateSchema } from "./state.ts";
import { syntaxProblem } from "./syntax.ts";

export type { Problem } from "./common.ts";

/** `syntax` is there when the text isn't JSON at all; then there is one problem, with line and column. */
export interface Failure {
  problems: Problem[];
  syntax?: true;
  warnings: Problem[];
  /** The document, when it fits its schema and only the rules between properties are broken: for further checks. */
  whole?: unknown;
}

/** Tell the two apart by `"problems" in parsed`. */
export type Parsed<Name extends string, T> = ({ [K in Name]: T } & { warnings: Problem[] }) | Failure;

/** One rule between properties: what breaks it, or nothing. */
export type Check<T> = (value: T) => Problem[];

export interface Checks<T> {
  problems?: readonly Check<T>[];
  warnings?: readonly Check<T>[];
}

function run<T>(checks: readonly Check<T>[] | undefined, value: T): Problem[] {
  return (checks ?? []).flatMap((check) => check(value));
}

/**
 * Any document: JSON, then its schema, then the checks, which run only on a value that fits the schema.
 * Never throws; unknown properties are warnings.
 */
export function parseDocument<S extends v.GenericSchema>(
  schema: S,
  text: string,
  checks: Checks<v.InferOutput<S>> = {},
): Parsed<"value", v.InferOutput<S>> {
  let input: unknown;
  try {
    input = parseJson(text);
  } catch (failure) {
    return { problems: [syntaxProblem(text, failure)], syntax: true, warnings: [] };
  }
  const { problems: arrays, warnings } = inspect(input, schema);
  const result = v.safeParse(schema, input);
  if (!result.success || arrays.length > 0) {
    const issues = (result.issues ?? []).map(toProblem);
    const elsewhere = issues.filter(({ at }) => !arrays.some((array) => isWithin(at, array.at)));
    return { problems: [...arrays, ...elsewhere], warnings };
  }
  const value: v.InferOutput<S> = result.output;
  const problems = run(checks.problems, value);
  warnings.push(...run(checks.warnings, value));
  return problems.length > 0 ? { problems, warnings, whole: value } : { value, warnings };
}

function isWithin(at: string, outer: string): boolean {
  return outer === "" || at === outer || at.startsWith(`${outer}.`) || at.startsWith(`${outer}[`);
}

/** config.json, with all rules that it can be held to without looking at the host. */
export function parseConfig(text: string): Parsed<"config", Config> {
  const parsed = parseDocument(ConfigSchema, text, { problems: CONFIG_CHECKS, warnings: CONFIG_WARNINGS });
  return "problems" in parsed ? parsed : { config: parsed.value, warnings: parsed.warnings };
}

/** A `process` by itself, as `exec --process` takes it. */
export function parseProcess(text: string): Parsed<"process", Process> {
  const parsed = parseDocument(ProcessSchema, text, { problems: PROCESS_CHECKS, warnings: PROCESS_WARNINGS });
  return "problems" in parsed ? parsed : { process: parsed.value, warnings: parsed.warnings };
}

/** `linux.resources` by itself, as `update` takes it. */
export function parseResources(text: string): Parsed<"resources", Resources> {
  const parsed = parseDocument(ResourcesSchema, text, { problems: RESOURCES_CHECKS });
  return "problems" in parsed ? parsed : { resources: parsed.value, warnings: parsed.warnings };
}

/** The state that `state` prints and hooks get. */
export function parseState(text: string): Parsed<"state", State> {
  const parsed = parseDocument(StateSchema, text, { problems: [stateHasPid] });
  return "problems" in parsed ? parsed : { state: parsed.value, warnings: parsed.warnings };
}

/** The features document. */
export function parseFeatures(text: string): Parsed<"features", Features> {
  const parsed = parseDocument(featuresSchema(), text);
  return "problems" in parsed ? parsed : { features: parsed.value, warnings: parsed.warnings };
}

/** runtime.md, "State": on Linux the pid is required while the container is created or running. */
function stateHasPid(state: State): Problem[] {
  const needed = state.status === "created" || state.status === "running";
  return needed && state.pid === undefined
    ? [{ at: "pid", message: `is required while the container is ${state.status}` }]
    : [];
}
