/** Runs cases against a runtime, some at once, and tells how each ended. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Broken, type Case, Skipped } from "./case.ts";
import { openLab } from "./lab.ts";
import type { Runtime } from "./runtime.ts";

export interface Result {
  name: string;
  at: string;
  level: string;
  says: string;
  outcome: "pass" | "fail" | "skip";
  /** Why it failed or was skipped. */
  reason?: string;
  /** Why the runtime knowingly does otherwise. */
  differs?: { readonly [runtime: string]: string };
}

/** @param jobs cases that run at the same time */
export async function runCases(
  runtime: Runtime,
  cases: readonly Case[],
  directory: string,
  jobs: number,
  tell: (result: Result) => void = () => {},
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  async function work(): Promise<void> {
    for (let i = next++; i < cases.length; i = next++) {
      const result = await runCase(
        runtime,
        cases[i] as Case,
        join(directory, `${i}`),
        `conf-${process.pid}-${i}`,
      );
      results[i] = result;
      tell(result);
    }
  }
  await Promise.all(Array.from({ length: jobs }, work));
  return results;
}

async function runCase(runtime: Runtime, one: Case, directory: string, prefix: string): Promise<Result> {
  const { name, at, level, says, differs } = one;
  const told = { name, at, level, says, ...(differs ? { differs } : {}) };
  const missing = one.needs?.find((need) => !need.there());
  if (missing) return { ...told, outcome: "skip", reason: `this machine lacks ${missing.name}` };
  mkdirSync(directory);
  const lab = openLab(runtime, directory, prefix);
  try {
    await one.check(lab);
    return { ...told, outcome: "pass" };
  } catch (error) {
    if (error instanceof Skipped) return { ...told, outcome: "skip", reason: error.message };
    // Anything else is a case that meets what it didn't expect: told as a failure, with its place.
    const reason =
      error instanceof Broken ? error.message : `${error instanceof Error ? error.stack : error}`;
    return { ...told, outcome: "fail", reason: reason.replaceAll(directory, "") };
  } finally {
    await lab.close();
  }
}
