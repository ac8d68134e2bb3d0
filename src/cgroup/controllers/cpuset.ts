/** `cpus` and `mems` of `cpu` (config-linux.md, "CPU"; cpuset(7)). */
import type { CpuResources } from "../../../spec/resources.ts";
import { type Facts, type Item, lacking } from "../item.ts";

export function cpusetItems(cpu: CpuResources, facts: Facts): Item[] {
  const version = facts.where("cpuset");
  return (["cpus", "mems"] as const).flatMap((name): Item[] => {
    const value = cpu[name];
    // Engines written in Go write an unset string as "".
    if (!value) return [];
    const at = `linux.resources.cpu.${name}`;
    if (version === undefined) return [lacking(at, "cpuset", facts)];
    return [{ controller: "cpuset", version, file: `cpuset.${name}`, value, at }];
  });
}
