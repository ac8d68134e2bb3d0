/** The bundle (bundle.md): a directory with config.json, and the root file system that it names. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { runnableProblems } from "../../spec/checks.ts";
import type { Config } from "../../spec/config.ts";
import { parseConfig } from "../../spec/parse.ts";
import { type ErrorCode, KontenaError, type Problem } from "../error.ts";
import { notApplied } from "../plan/applied.ts";
import type { Runtime } from "./runtime.ts";

export interface Bundle {
  /** Absolute path without symlinks. */
  path: string;
  config: Config;
  /** Absolute path of the root file system. */
  rootfs: string;
}

function problemsError(code: ErrorCode, message: string, path: string, problems: Problem[]): KontenaError {
  const [only] = problems;
  if (problems.length === 1 && only !== undefined)
    return new KontenaError(code, only.message, {
      ...(only.at ? { at: only.at } : {}),
      ...(only.hint === undefined ? {} : { hint: only.hint }),
      path,
      problems: [],
    });
  return new KontenaError(code, message, { path, problems });
}

function bundleError(message: string, path: string, error: unknown, hint?: string): KontenaError {
  const errno = (error as { code?: string }).code ?? "EIO";
  const text = errno === "ENOENT" ? "no such file or directory" : errno;
  return new KontenaError("BUNDLE_INVALID", `${message}: ${text}`, {
    path,
    errno,
    ...(hint ? { hint } : {}),
  });
}

/** config.json → Config: every problem at once, warnings told. */
function readConfig(runtime: Runtime, path: string): Config {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw bundleError(
      `cannot read ${path}`,
      path,
      error,
      "`kontena spec` writes a config.json to begin with",
    );
  }
  const parsed = parseConfig(text);
  for (const warning of parsed.warnings)
    runtime.warn(warning.message, { at: warning.at, ...(warning.hint ? { hint: warning.hint } : {}) });
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

/** Reads and checks a bundle; nothing is changed. */
export function loadBundle(runtime: Runtime, directory: string, configFile?: string): Bundle {
  let path: string;
  try {
    path = realpathSync(directory);
    if (!statSync(path).isDirectory())
      throw new KontenaError("BUNDLE_INVALID", `the bundle ${directory} is not a directory`, {
        path: directory,
      });
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    throw bundleError(`cannot open the bundle ${directory}`, directory, error);
  }
  const config = readConfig(runtime, configFile ?? join(path, "config.json"));
  const root = config.root?.path ?? "";
  const rootfs = isAbsolute(root) ? root : join(path, root);
  try {
    if (!statSync(rootfs).isDirectory())
      throw new KontenaError("ROOT_FAILED", `${rootfs} is not a directory`, {
        at: "root.path",
        path: rootfs,
      });
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = (error as { code?: string }).code ?? "EIO";
    const text = errno === "ENOENT" ? "no such file or directory" : errno;
    throw new KontenaError("ROOT_FAILED", `cannot open the root file system ${rootfs}: ${text}`, {
      at: "root.path",
      path: rootfs,
      errno,
    });
  }
  return { path, config, rootfs };
}
