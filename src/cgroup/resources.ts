/** `linux.resources` → control files, but for the devices. Pure: what it must know of the cgroup it asks {@link Facts}. */
import type { Resources } from "../../spec/resources.ts";
import { blkioItems } from "./controllers/blkio.ts";
import { cpuItems } from "./controllers/cpu.ts";
import { cpusetItems } from "./controllers/cpuset.ts";
import { memoryItems } from "./controllers/memory.ts";
import { hugetlbItems, networkItems, pidsItems, rdmaItems } from "./controllers/others.ts";
import { unifiedItems } from "./controllers/unified.ts";
import type { Facts, Item } from "./item.ts";

/** In the order of writing. `unified` is last: it says exactly what somebody wants. */
export function resourceItems(resources: Resources, facts: Facts): Item[] {
  const { memory, cpu, pids, blockIO, hugepageLimits, network, rdma, unified } = resources;
  return [
    ...(memory === undefined ? [] : memoryItems(memory, facts)),
    ...(cpu === undefined ? [] : [...cpuItems(cpu, facts), ...cpusetItems(cpu, facts)]),
    ...(pids === undefined ? [] : pidsItems(pids, facts)),
    ...(blockIO === undefined ? [] : blkioItems(blockIO, facts)),
    ...(hugepageLimits === undefined ? [] : hugetlbItems(hugepageLimits, facts)),
    ...(network === undefined ? [] : networkItems(network, facts)),
    ...(rdma === undefined ? [] : rdmaItems(rdma, facts)),
    ...(unified === undefined ? [] : unifiedItems(unified, facts)),
  ];
}

/** The controllers of v2 that the limits need; on a hybrid host some of them are v1's. */
export function neededControllers({ memory, cpu, ...others }: Resources): Set<string> {
  const needed = new Set<string>();
  if (memory !== undefined) needed.add("memory");
  if (cpu !== undefined) needed.add("cpu");
  if (cpu?.cpus || cpu?.mems) needed.add("cpuset");
  if (others.pids !== undefined) needed.add("pids");
  if (others.blockIO !== undefined) needed.add("io");
  if (others.hugepageLimits !== undefined) needed.add("hugetlb");
  if (others.rdma !== undefined) needed.add("rdma");
  for (const file of Object.keys(others.unified ?? {})) needed.add(file.slice(0, file.indexOf(".")));
  return needed;
}

/** Values of 0 that say something; engines written in Go write 0 and "" for what nobody has set. */
const ZERO_COUNTS = new Set(["swappiness", "idle", "burst"]);

function merge<T extends object>(before: T | undefined, change: T | undefined): T | undefined {
  if (change === undefined) return before;
  const set = Object.entries(change).filter(([k, v]) => (v !== 0 && v !== "") || ZERO_COUNTS.has(k));
  return { ...before, ...(Object.fromEntries(set) as T) };
}

/** No limit on memory is none on both together, which can't be less. */
function withSwap(memory: Resources["memory"]): Resources["memory"] {
  return memory?.limit === -1 && !memory.swap ? { ...memory, swap: -1 } : memory;
}

/** The limits of a container after a change: a value that is given replaces the one before it. */
export function mergeResources(before: Resources, change: Resources): Resources {
  const groups = {
    memory: merge(before.memory, withSwap(change.memory)),
    cpu: merge(before.cpu, change.cpu),
    blockIO: merge(before.blockIO, change.blockIO),
    network: merge(before.network, change.network),
    rdma: merge(before.rdma, change.rdma),
    unified: merge(before.unified, change.unified),
  };
  const given = Object.entries(groups).filter(([, group]) => group !== undefined);
  return { ...before, ...change, ...Object.fromEntries(given) };
}

/** Files of v2 that are told to do or to watch something, once. */
const ORDERS = /\.(reclaim|peak|pressure)$/;

/**
 * Of the merged limits those groups that a change touches: what depends on each other is written together. With a group go
 * the keys of `unified` that its controllers have, as those count last.
 */
export function touchedBy(change: Resources, all: Resources): Resources {
  const touched: Resources = Object.fromEntries(Object.entries(all).filter(([name]) => name in change));
  const controllers = neededControllers(touched);
  const unified = Object.entries(all.unified ?? {}).filter(([file]) => {
    if (file in (change.unified ?? {})) return true;
    const isTouched = change.unified !== undefined || controllers.has(file.slice(0, file.indexOf(".")));
    return isTouched && !ORDERS.test(file);
  });
  return unified.length === 0 ? touched : { ...touched, unified: Object.fromEntries(unified) };
}

/** Of all limits those that aren't touched. */
export function restOf(all: Resources, touched: Resources): Resources {
  const { unified = {} } = touched;
  const others = Object.entries(all.unified ?? {}).filter(
    ([file]) => !(file in unified) && !ORDERS.test(file),
  );
  const groups = Object.entries(all).filter(([name]) => name !== "unified" && !(name in touched));
  return { ...(Object.fromEntries(groups) as Resources), unified: Object.fromEntries(others) };
}
