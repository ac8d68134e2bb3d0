/** The checks of a config that need the schemas: loaded only for a config that isn't known yet. */
import { runnableProblems } from "../../spec/checks.ts";
import type { Config } from "../../spec/config.ts";
import { stringifyJson } from "../../spec/json.ts";
import { parseConfig, parseProcess } from "../../spec/parse.ts";
import type { Process } from "../../spec/process.ts";
import { type ErrorCode, KontenaError, type Problem } from "../error.ts";
import { notApplied } from "../plan/applied.ts";
import type { BundleText } from "./bundle.ts";
import type { Runtime } from "./runtime.ts";

export function problemsError(
  code: ErrorCode,
  message: string,
  path: string,
  problems: Problem[],
): KontenaError {
  const [only] = problems;
  if (problems.length === 1 && only !== undefined)
    return new KontenaError(code, only.at ? only.message : `${path}: ${only.message}`, {
      ...(only.at ? { at: only.at } : {}),
      ...(only.hint === undefined ? {} : { hint: only.hint }),
      path,
      problems: [],
    });
  return new KontenaError(code, message, { path, problems });
}

/** A process by itself, as `exec --process` takes it. @throws KontenaError CONFIG_SYNTAX, CONFIG_INVALID */
export function checkProcess(
  { file: path, text }: Pick<BundleText, "file" | "text">,
  warn: (warning: Problem) => void,
): Process {
  const parsed = parseProcess(text);
  for (const warning of parsed.warnings) warn(warning);
  if (!("problems" in parsed)) return parsed.process;
  const { problems, syntax } = parsed;
  if (syntax) throw problemsError("CONFIG_SYNTAX", `${path} is not JSON`, path, problems);
  throw problemsError("CONFIG_INVALID", `${path} has ${problems.length} problems`, path, problems);
}

/** The same of an object of the caller's. @throws KontenaError CONFIG_INVALID */
export const checkedProcess = (process: Process, warn: Runtime["warn"]): Process =>
  checkProcess({ file: "exec: process", text: stringifyJson(process) }, ({ message, at, hint }) =>
    warn(message, { at, ...(hint ? { hint } : {}) }),
  );

/** config.json → Config: every problem at once, warnings told. */
export function checkConfig({ file: path, text }: BundleText, warn: (warning: Problem) => void): Config {
  const parsed = parseConfig(text);
  for (const warning of parsed.warnings) warn(warning);
  const broken = "problems" in parsed ? parsed.problems : [];
  if ("problems" in parsed && parsed.syntax)
    throw problemsError("CONFIG_SYNTAX", `${path} is not JSON`, path, broken);
  // What can be checked is checked, whatever else is wrong: all problems in one go.
  const config = "problems" in parsed ? (parsed.whole as Config | undefined) : parsed.config;
  if (config === undefined)
    throw problemsError("CONFIG_INVALID", `${path} has ${broken.length} problems`, path, broken);
  broken.push(...runnableProblems(config));
  const later = notApplied(config);
  if (broken.length > 0) {
    const all = [...broken, ...later];
    throw problemsError("CONFIG_INVALID", `${path} has ${all.length} problems`, path, all);
  }
  if (later.length > 0)
    throw problemsError(
      "CONFIG_NOT_APPLIED",
      `${path} asks for ${later.length} things that this version doesn't apply`,
      path,
      later,
    );
  return config;
}
