/** list: every container of this root. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { KontenaError } from "../error.ts";
import { codeOf } from "../kernel/files.ts";
import { readState } from "./directory.ts";
import { isId } from "./id.ts";
import type { Runtime } from "./runtime.ts";
import { type ContainerState, toState } from "./state.ts";

/** In the order of their names; one whose state can't be read is a warning and doesn't hide the others. */
export function list(runtime: Runtime): ContainerState[] {
  let names: string[];
  try {
    names = readdirSync(runtime.root).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
  const containers: ContainerState[] = [];
  for (const name of names) {
    // The store of plans, or what isn't kontena's.
    if (!isId(name)) continue;
    const directory = join(runtime.root, name);
    try {
      containers.push(toState(directory, name, readState(directory)));
    } catch (error) {
      // Deleted since, or not a container at all.
      if (codeOf(error) === "ENOTDIR") continue;
      if (!(error instanceof KontenaError)) throw error;
      runtime.warn(error.message);
    }
  }
  return containers;
}
