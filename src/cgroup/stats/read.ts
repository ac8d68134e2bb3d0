/** All counters of a container's cgroup, from whichever hierarchies the host has. */

import { readText } from "../../kernel/files.ts";
import { readdirSync } from "../../kernel/fs.ts";
import type { Cgroup } from "../cgroup.ts";
import { controllerOf, unifiedOf } from "../directories.ts";
import type { CgroupStats } from "./types.ts";
import * as v1 from "./v1.ts";
import * as v2 from "./v2.ts";

/** The texts of a cgroup's files; empty when the kernel, the controller or the cgroup isn't there. */
export const filesOf =
  (directory: string): v1.Files =>
  (file) => {
    try {
      return readText(`${directory}/${file}`);
    } catch {
      return "";
    }
  };

/** The controllers that the v2 cgroup has. */
export function controllersOf(unified: string | undefined): Set<string> {
  return new Set(unified === undefined ? [] : filesOf(unified)("cgroup.controllers").split(/\s+/));
}

/** Sizes of huge pages that the cgroup counts: `2MB`, `1GB`. */
function pageSizes(directory: string, ending: string): string[] {
  try {
    const names = readdirSync(directory).filter((n) => n.startsWith("hugetlb.") && n.endsWith(ending));
    return names
      .map((name) => name.slice("hugetlb.".length, -ending.length))
      .filter((size) => !size.includes("."))
      .sort();
  } catch {
    return [];
  }
}

/** Reads every counter once. A cgroup that is gone gives zeros. */
export function readStats(cgroup: Cgroup): CgroupStats {
  const unified = unifiedOf(cgroup);
  const controllers = controllersOf(unified);
  const pick = <T>(
    names: { v1: string; v2: string },
    one: (files: v1.Files) => T,
    two: (files: v1.Files) => T,
  ): T | undefined => {
    const directory = controllerOf(cgroup, names.v1);
    if (directory !== undefined) return one(filesOf(directory));
    // The usage of CPUs is counted without any controller.
    if (unified === undefined || !(controllers.has(names.v2) || names.v2 === "cpu")) return undefined;
    return two(filesOf(unified));
  };
  const quota = controllerOf(cgroup, "cpu");
  const stats = {
    cpu: pick(
      { v1: "cpuacct", v2: "cpu" },
      (files) => v1.cpuV1(files, quota === undefined ? () => "" : filesOf(quota)),
      v2.cpuV2,
    ),
    cpuset: pick({ v1: "cpuset", v2: "cpuset" }, v1.cpusetV1, v2.cpusetV2),
    memory: pick({ v1: "memory", v2: "memory" }, v1.memoryV1, v2.memoryV2),
    pids: pick({ v1: "pids", v2: "pids" }, v1.pidsV1, v2.pidsV2),
    io: pick({ v1: "blkio", v2: "io" }, v1.ioV1, v2.ioV2),
  };
  const counted = Object.fromEntries(Object.entries(stats).filter(([, part]) => part !== undefined));
  return { ...(counted as Omit<CgroupStats, "hugetlb">), hugetlb: readHugetlb(cgroup, controllers) };
}

function readHugetlb(cgroup: Cgroup, controllers: ReadonlySet<string>): CgroupStats["hugetlb"] {
  const old = controllerOf(cgroup, "hugetlb");
  const directory = old ?? (controllers.has("hugetlb") ? unifiedOf(cgroup) : undefined);
  if (directory === undefined) return {};
  const ending = old === undefined ? ".current" : ".usage_in_bytes";
  const read = old === undefined ? v2.hugetlbV2 : v1.hugetlbV1;
  return Object.fromEntries(
    pageSizes(directory, ending).map((size) => [size, read(filesOf(directory), size)]),
  );
}
