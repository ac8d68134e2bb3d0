/** list: every container of this root. */

import { formatError, KontenaError } from "../error.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { readdirSync } from "../kernel/fs.ts";
import { join } from "../path.ts";
import { entryOf } from "../plan/home.ts";
import { checkRootIsDirectory, readState } from "./directory.ts";
import { isId } from "./id.ts";
import type { Runtime } from "./runtime.ts";
import { type ContainerState, toState } from "./state.ts";

/** Names in the root that containers may have, sorted; the store of plans isn't one. */
export function idsOf(runtime: Runtime): string[] {
  try {
    return readdirSync(runtime.root).filter(isId).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    if (codeOf(error) === "ENOTDIR") checkRootIsDirectory(runtime.root);
    throw error;
  }
}

/** In the order of their names; one whose state can't be read is a warning and doesn't hide the others. */
export function list(runtime: Runtime): ContainerState[] {
  const containers: ContainerState[] = [];
  for (const name of idsOf(runtime)) {
    const directory = join(runtime.root, name);
    try {
      containers.push(toState(directory, name, readState(directory)));
    } catch (error) {
      // Deleted since, or not a container at all.
      if (!(error instanceof KontenaError)) throw error;
      if (error.code === "NOT_FOUND") continue;
      runtime.warn(error.message);
    }
  }
  return containers;
}

/** Name of a user in /etc/passwd (passwd(5)); `#uid` for one that isn't there, as runc has it. */
export function userName(uid: number, passwd = readPasswd()): string {
  return entryOf(passwd, uid)?.[0] || `#${uid}`;
}

function readPasswd(): string {
  try {
    return readText("/etc/passwd");
  } catch {
    return "";
  }
}

/** Ids of this root in which the regular expression matches somewhere, as crun's --regex has it. @throws KontenaError USAGE */
export function matchingIds(runtime: Runtime, pattern: string): string[] {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (error) {
    throw new KontenaError("USAGE", `"${pattern}" isn't a regular expression: ${(error as Error).message}`);
  }
  return idsOf(runtime).filter((id) => expression.test(id));
}

/**
 * Does something with each container that matches; one that fails is a warning and doesn't spare the others.
 * @throws the last failure, when there was one
 */
export function forEachMatch(runtime: Runtime, pattern: string, action: (id: string) => void): void {
  let failure: unknown;
  for (const id of matchingIds(runtime, pattern)) {
    try {
      action(id);
    } catch (error) {
      if (failure !== undefined) runtime.warn(formatError(failure));
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
}
