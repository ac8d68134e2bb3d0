/** A directory of ordinary files in the place of a cgroup on v2 alone. A write leaves what it doesn't reach. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import type { Cgroup } from "../../src/cgroup/cgroup.ts";

const CONTROLLERS = "cpu cpuset io memory misc pids";

/** @param place an existing directory, for a hierarchy in it */
export function fakeV2(place: string, files: Record<string, string>, resources: Resources): Cgroup {
  const mountpoint = mkdtempSync(join(place, "v2-"));
  const directory = join(mountpoint, "x");
  mkdirSync(directory);
  for (const path of [mountpoint, directory]) {
    writeFileSync(join(path, "cgroup.controllers"), CONTROLLERS);
    writeFileSync(join(path, "cgroup.subtree_control"), CONTROLLERS);
  }
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
  return {
    ...{ manager: "cgroupfs", path: "/x", hierarchies: [{ version: 2, mountpoint, options: [] }] },
    ...{ directories: [directory], made: [], resources },
  };
}

/** Files of limits, by their names. */
export function contentsOf({ directories }: Cgroup): Record<string, string> {
  const [directory = ""] = directories;
  const names = readdirSync(directory).filter((name) => !name.startsWith("cgroup."));
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]));
}
