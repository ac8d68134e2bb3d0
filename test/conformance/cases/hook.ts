/** What the cases of hooks share. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Section } from "../case.ts";
import { done, type Lab } from "../lab.ts";

export type Kind =
  | "prestart"
  | "createRuntime"
  | "createContainer"
  | "startContainer"
  | "poststart"
  | "poststop";

export const KINDS: readonly Kind[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

/** Hooks whose path is one of the runtime's namespace, and those executed there. */
const OUTSIDE: readonly Kind[] = KINDS.filter((kind) => kind !== "startContainer");

export const RUNTIME: readonly Kind[] = OUTSIDE.filter((kind) => kind !== "createContainer");

interface Hook {
  path: string;
  args: string[];
  env?: string[];
  timeout?: number;
}

/** A hook that is a script of the host's busybox, or of the container's when it runs there. */
export const hook = (kind: Kind, script: string, more: Partial<Hook> = {}): Hook => ({
  path: kind === "startContainer" ? "/bin/sh" : "/bin/busybox",
  args: ["sh", "-c", script],
  env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
  ...more,
});

/** Where hooks of the runtime's namespace and of the container's can both write: a directory bound inside. */
export function notes(lab: Lab) {
  const directory = join(lab.directory, "notes");
  Bun.spawnSync(["mkdir", "-p", directory]);
  const entry = { destination: "/notes", source: directory, options: ["bind"] };
  // createContainer hooks run before pivot_root: the host's paths are still there.
  const place = (kind: Kind) => (kind === "startContainer" ? "/notes" : directory);
  const read = (name: string) => {
    const path = join(directory, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  return { directory, entry, place, read };
}

/** Lives a whole life with hooks; `first` is a file that the program writes. */
export async function life(lab: Lab, hooks: Partial<Record<Kind, Hook[]>>, program = "true", changes = {}) {
  const n = notes(lab);
  const b = lab.bundle(program, { changes: { hooks, "mounts.+": n.entry, ...changes } });
  done(await lab.create(b), "create");
  done(await lab.start(b), "start");
  await lab.reaches(b, "stopped");
  done(await lab.remove(b), "delete");
  return { ...n, bundle: b };
}

export const each = (kinds: readonly Kind[], make: (kind: Kind) => Section): Section[] => kinds.map(make);
