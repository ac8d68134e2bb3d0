/**
 * v2: a cgroup has the controllers that its parent hands down (cgroup-v2.rst, "Enabling and Disabling"), so they are enabled
 * from the root of the hierarchy to the container's parent.
 */

import { KontenaError } from "../../error.ts";
import { errnoName, errnoText } from "../../kernel/errno.ts";
import { readText, writeControl } from "../../kernel/files.ts";
import { existsSync } from "../../kernel/fs.ts";
import { dirname, join } from "../../path.ts";

/** What statistics of a container are read from; enabled where that goes. */
const OBSERVED = ["cpu", "io", "memory", "pids"];

function words(path: string): string[] {
  try {
    return readText(path)
      .split(/\s+/)
      .filter((word) => word !== "");
  } catch {
    return [];
  }
}

/** The directories from `top` to the parent of `directory`. */
function parents(top: string, directory: string): string[] {
  const paths: string[] = [];
  for (let p = dirname(directory); p.length >= top.length; p = dirname(p)) {
    paths.unshift(p);
    if (p === top || p === "/") break;
  }
  return paths;
}

/** @returns why a controller isn't there, by its name; those that the host hasn't got are left out */
export function enableControllers(
  top: string,
  directory: string,
  needed: ReadonlySet<string>,
): Map<string, string> {
  const missing = new Map<string, string>();
  for (const parent of parents(top, directory)) {
    const enabled = words(join(parent, "cgroup.subtree_control"));
    const available = words(join(parent, "cgroup.controllers"));
    const wanted = available.filter(
      (name) => !enabled.includes(name) && (needed.has(name) || OBSERVED.includes(name)),
    );
    if (parent !== top)
      for (const name of needed)
        if (
          !available.includes(name) &&
          !missing.has(name) &&
          words(join(top, "cgroup.controllers")).includes(name)
        )
          missing.set(name, `the controller "${name}" isn't handed down to ${parent}`);
    enable(parent, wanted, missing);
  }
  return missing;
}

/**
 * The kernel refuses a controller of memory or I/O where there are processes ("No Internal Process Constraint"), but not one of
 * CPU time or pids: that makes the cgroup a threaded one, below which no container can be. The root is exempt; it has no type.
 */
function isPopulated(directory: string): boolean {
  return words(join(directory, "cgroup.procs")).length > 0 && existsSync(join(directory, "cgroup.type"));
}

function enable(parent: string, wanted: readonly string[], missing: Map<string, string>): void {
  if (wanted.length === 0) return;
  const refuse = (name: string, why: string) =>
    missing.set(name, `the controller "${name}" can't be enabled below ${parent}: ${why}`);
  if (isPopulated(parent)) {
    for (const name of wanted) refuse(name, "it has processes of its own");
    return;
  }
  const file = join(parent, "cgroup.subtree_control");
  if (writeControl(file, wanted.map((name) => `+${name}`).join(" ")) === 0) return;
  // All or nothing: one at a time, the others count.
  for (const name of wanted) {
    const result = writeControl(file, `+${name}`);
    if (result !== 0) refuse(name, errnoText(errnoName(-result)));
  }
}

/** A cgroup of threads, or one that is beside such, takes no process (cgroup-v2.rst, "Threads"). */
export function refuseThreaded(directory: string): void {
  const [type, more] = words(join(directory, "cgroup.type"));
  if (type === undefined || (type === "domain" && more !== "invalid")) return;
  throw new KontenaError(
    "CGROUP_FAILED",
    `the cgroup ${directory} takes no process: it is ${type} ${more ?? ""}`.trim(),
    {
      at: "linux.cgroupsPath",
      path: directory,
      hint: "a container needs a cgroup of type domain, in no threaded part of the tree",
    },
  );
}
