/** update: the limits of a container changed while it runs. */

import { stringifyJson } from "../../spec/json.ts";
import type { IntelRdt } from "../../spec/linux.ts";
import { parseResources } from "../../spec/parse.ts";
import type { Resources } from "../../spec/resources.ts";
import { driverOf } from "../cgroup/cgroup.ts";
import { KontenaError } from "../error.ts";
import { codeOf } from "../kernel/files.ts";
import { readJsonText } from "./bundle.ts";
import { loadState, type StoredState, withLock, writeState } from "./directory.ts";
import type { Runtime } from "./runtime.ts";
import { statusOf } from "./state.ts";

export type { Resources } from "../../spec/resources.ts";

/**
 * A change from a file, `-` for standard input: JSON of `linux.resources`.
 * @throws KontenaError CONFIG_SYNTAX, CONFIG_INVALID with all problems, BUNDLE_INVALID when it can't be read
 */
export function readChange(path: string, warn: Runtime["warn"]): Resources {
  const name = path === "-" ? "standard input" : path;
  let text: string;
  try {
    text = readJsonText(path === "-" ? 0 : path, name);
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = codeOf(error);
    throw new KontenaError("BUNDLE_INVALID", `cannot read the resources from ${name}: ${errno}`, {
      path,
      errno,
    });
  }
  return checkChange(text, warn, name, path);
}

/** @throws KontenaError CONFIG_SYNTAX, CONFIG_INVALID */
function checkChange(text: string, warn: Runtime["warn"], name: string, path = ""): Resources {
  const parsed = parseResources(text);
  for (const { message, at } of parsed.warnings) warn(message, { at });
  if (!("problems" in parsed)) return parsed.resources;
  const { problems, syntax } = parsed;
  const where = path === "" ? {} : { path };
  if (syntax)
    throw new KontenaError(
      "CONFIG_SYNTAX",
      `the resources from ${name} are not JSON: ${problems[0]?.message}`,
      where,
    );
  throw new KontenaError("CONFIG_INVALID", `the resources from ${name} have problems`, {
    ...where,
    problems,
  });
}

/** The same of an object of the caller's. @throws KontenaError CONFIG_INVALID */
export const checkedChange = (resources: Resources, warn: Runtime["warn"]): Resources =>
  checkChange(stringifyJson(resources), warn, "the call");

/**
 * Changes the limits that `change` names, and leaves the others. The whole is in the state afterwards.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, RESOURCE_FAILED; then the limits are those from before
 */
export function update(runtime: Runtime, id: string, change: Resources): void {
  withLiving(runtime, id, (state, directory) => {
    if (state.cgroup === undefined)
      throw new KontenaError("CGROUP_FAILED", `container ${id} has no cgroup that could be limited`, {
        hint: "it was made without: by --cgroup-manager disabled, or for want of rights",
      });
    driverOf(state.cgroup.manager).update(state.cgroup, change, runtime.warn);
    writeState(directory, state);
  });
}

/**
 * The same for its class of service in the resctrl file system.
 * @throws KontenaError NOT_FOUND, WRONG_STATUS, HOST_UNSUPPORTED, RDT_FAILED
 */
export function updateRdt(
  runtime: Runtime,
  id: string,
  change: Pick<IntelRdt, "l3CacheSchema" | "memBwSchema">,
): void {
  const { changeRdt, resctrlRoot } = require("./rdt.ts") as typeof import("./rdt.ts");
  withLiving(runtime, id, ({ resctrl }) => {
    const root = resctrlRoot();
    if (resctrl === undefined)
      throw new KontenaError("RDT_FAILED", `container ${id} has no group in the resctrl file system`, {
        hint: "linux.intelRdt in its config makes one",
      });
    changeRdt(resctrl, change, root);
  });
}

/** Does something with a container that has a process, while nobody else changes it. */
function withLiving(
  runtime: Runtime,
  id: string,
  action: (state: StoredState, directory: string) => void,
): void {
  const { directory } = loadState(runtime, id);
  withLock(directory, id, () => {
    const { state } = loadState(runtime, id);
    const status = statusOf(directory, state);
    if (state === undefined || status === "creating" || status === "stopped")
      throw new KontenaError("WRONG_STATUS", "container not running", { hint: `${id} is ${status}` });
    action(state, directory);
  });
}
