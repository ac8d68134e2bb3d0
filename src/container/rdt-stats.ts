/** What resctrl says of a container's groups (Documentation/filesystems/resctrl.rst), in the names of `runc events`. */

import { parseValue } from "../cgroup/stats/text.ts";
import { readText } from "../kernel/files.ts";
import { readdirSync } from "../kernel/fs.ts";
import type { RdtGroups } from "./rdt.ts";

type Json = Record<string, unknown>;

function textOf(path: string): string {
  try {
    return readText(path).trim();
  } catch {
    return "";
  }
}

/** As Go leaves it out: no text, or 0. */
const some = (fields: Json): Json =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== "" && value !== 0n));

/** The lines of a schemata file for a resource: `L3`, which is L3CODE and L3DATA with code and data apart, or `MB`. */
function schemaOf(directory: string, resource: string): string {
  const lines = textOf(`${directory}/schemata`).split("\n");
  return lines
    .map((line) => line.trim())
    .filter((line) => line.startsWith(resource))
    .join("\n");
}

/** The counters of each cache, in the order of their numbers. */
function monitored(group: string, names: readonly string[]): Json[] {
  let caches: string[];
  try {
    caches = readdirSync(`${group}/mon_data`)
      .filter((name) => name.startsWith("mon_L3_"))
      .sort();
  } catch {
    return [];
  }
  return caches.map((cache) =>
    some(
      Object.fromEntries(
        names.map((name) => [name, parseValue(textOf(`${group}/mon_data/${cache}/${name}`))]),
      ),
    ),
  );
}

/** A part is left out where the processor, or the kernel, doesn't have it. @param root where resctrl is mounted */
export function rdtStats({ groups }: RdtGroups, root: string): Json {
  const [directory = root] = groups;
  const monitor = groups.at(-1) ?? root;
  const number = (path: string) => parseValue(textOf(`${root}/info/${path}`));
  const hasCache = textOf(`${root}/info/L3/cbm_mask`) !== "";
  const hasBandwidth = textOf(`${root}/info/MB/min_bandwidth`) !== "";
  const features = textOf(`${root}/info/L3_MON/mon_features`).split("\n");
  return {
    ...(hasCache && {
      l3_cache_info: some({
        cbm_mask: textOf(`${root}/info/L3/cbm_mask`),
        min_cbm_bits: number("L3/min_cbm_bits"),
        num_closids: number("L3/num_closids"),
      }),
      ...some({ l3_cache_schema_root: schemaOf(root, "L3"), l3_cache_schema: schemaOf(directory, "L3") }),
    }),
    ...(hasBandwidth && {
      mem_bw_info: some({
        bandwidth_gran: number("MB/bandwidth_gran"),
        delay_linear: number("MB/delay_linear"),
        min_bandwidth: number("MB/min_bandwidth"),
        num_closids: number("MB/num_closids"),
      }),
      ...some({ mem_bw_schema_root: schemaOf(root, "MB"), mem_bw_schema: schemaOf(directory, "MB") }),
    }),
    ...(features.includes("mbm_total_bytes") && {
      mbm_stats: monitored(monitor, ["mbm_total_bytes", "mbm_local_bytes"]),
    }),
    ...(features.includes("llc_occupancy") && { cmt_stats: monitored(monitor, ["llc_occupancy"]) }),
  };
}
