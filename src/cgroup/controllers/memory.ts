/** `memory` (config-linux.md, "Memory"; cgroup-v1/memory.rst; cgroup-v2.rst, "Memory Interface Files"). */
import type { MemoryResources } from "../../../spec/resources.ts";
import { type Facts, type Item, isSet, lacking, onlyV1, type Write } from "../item.ts";

type Amount = number | bigint;

const place = (name: keyof MemoryResources) => `linux.resources.memory.${name}`;

export function memoryItems(memory: MemoryResources, facts: Facts): Item[] {
  const version = facts.where("memory");
  const items = version === 1 ? v1(memory, facts) : v2(memory, facts);
  if (version !== undefined) return items;
  return items.map((item) => ("file" in item ? lacking(item.at, "memory", facts) : item));
}

/** Linux 5.11 and later account hierarchically, always. */
function useHierarchy({ useHierarchy: asked }: MemoryResources): Item[] {
  if (asked !== false) return [];
  const notice = "has no effect: since Linux 5.11 child cgroups always share the limit";
  return [{ notice, at: place("useHierarchy") }];
}

const KERNEL_MEMORY =
  "isn't applied: kernel memory counts in memory.limit, and has no limit of its own since Linux 5.16";

function v1(memory: MemoryResources, facts: Facts): Item[] {
  const { reservation, kernel, kernelTCP, swappiness, disableOOMKiller } = memory;
  const write = (name: keyof MemoryResources, file: string, value: Amount): Write => ({
    controller: "memory",
    version: 1,
    file,
    value: String(value),
    at: place(name),
  });
  const oom = () => facts.read("memory", "memory.oom_control")?.includes("oom_kill_disable 1") ?? false;
  return [
    ...useHierarchy(memory),
    ...limitsV1(memory, facts, write),
    ...(isSet(reservation) ? [write("reservation", "memory.soft_limit_in_bytes", reservation)] : []),
    ...(isSet(kernel) && kernel > 0 ? [{ notice: KERNEL_MEMORY, at: place("kernel") }] : []),
    ...(isSet(kernelTCP) ? [write("kernelTCP", "memory.kmem.tcp.limit_in_bytes", kernelTCP)] : []),
    ...(swappiness === undefined ? [] : [write("swappiness", "memory.swappiness", swappiness)]),
    ...(disableOOMKiller === undefined || disableOOMKiller === oom()
      ? []
      : [write("disableOOMKiller", "memory.oom_control", disableOOMKiller ? 1 : 0)]),
  ];
}

/**
 * The kernel wants limit ≤ memory+swap at every moment: the one that gives way is written first. No limit on memory means
 * none on both together, which can't be less.
 */
function limitsV1(
  { limit, swap: asked }: MemoryResources,
  facts: Facts,
  write: (name: keyof MemoryResources, file: string, value: Amount) => Write,
): Item[] {
  const MEMSW = "memory.memsw.limit_in_bytes";
  const swap = isSet(limit) && limit < 0 && !isSet(asked) ? -1 : asked;
  const now = facts.read("memory", MEMSW);
  const memory = isSet(limit) ? [write("limit", "memory.limit_in_bytes", limit)] : [];
  if (!isSet(swap)) return memory;
  if (now === undefined) {
    if (swap < 0) return memory;
    return [...memory, { refused: "this kernel doesn't account swap (swapaccount=1)", at: place("swap") }];
  }
  const together = write("swap", MEMSW, swap);
  const grows = isSet(limit) && (limit < 0 || BigInt(limit) > BigInt(now));
  return grows ? [together, ...memory] : [...memory, together];
}

function amountV2(value: Amount): string {
  return value < 0 ? "max" : String(value);
}

function v2(memory: MemoryResources, facts: Facts): Item[] {
  const { limit, reservation, kernel, kernelTCP, swappiness, disableOOMKiller } = memory;
  const write = (name: keyof MemoryResources, file: string, value: string): Write => ({
    controller: "memory",
    version: 2,
    file,
    value,
    at: place(name),
  });
  return [
    ...useHierarchy(memory),
    ...checkBeforeUpdate(memory, facts),
    ...swapV2(memory, facts, write),
    ...(isSet(limit) ? [write("limit", "memory.max", amountV2(limit))] : []),
    ...(isSet(reservation) ? [write("reservation", "memory.low", amountV2(reservation))] : []),
    ...(isSet(kernel) && kernel > 0 ? [{ notice: KERNEL_MEMORY, at: place("kernel") }] : []),
    ...(isSet(kernelTCP) && kernelTCP > 0 ? [onlyV1(place("kernelTCP"))] : []),
    ...(isSet(swappiness) ? [onlyV1(place("swappiness"))] : []),
    ...(disableOOMKiller ? [onlyV1(place("disableOOMKiller"))] : []),
  ];
}

/** v1 refuses a limit below what is in use; v2 would call the OOM killer. */
function checkBeforeUpdate({ limit, checkBeforeUpdate: asked }: MemoryResources, facts: Facts): Item[] {
  if (!asked || !isSet(limit) || limit < 0) return [];
  const used = facts.read("memory", "memory.current");
  if (used === undefined || BigInt(used) <= BigInt(limit)) return [];
  return [{ refused: `${limit} bytes are less than the ${used} that are in use`, at: place("limit") }];
}

/** The spec's swap is memory and swap together; v2 limits swap by itself. */
function swapV2(
  { limit, swap }: MemoryResources,
  facts: Facts,
  write: (name: keyof MemoryResources, file: string, value: string) => Write,
): Item[] {
  const FILE = "memory.swap.max";
  const at = place("swap");
  // As on v1: no limit on memory means none on both together.
  if (!isSet(swap)) return isSet(limit) && limit < 0 && hasSwap(facts) ? [write("limit", FILE, "max")] : [];
  // Without the file there is no limit: nothing to do.
  if (swap < 0) return hasSwap(facts) ? [write("swap", FILE, "max")] : [];
  if (!isSet(limit) || limit < 0)
    return [{ refused: "needs a memory limit beside it: it is the limit of both together", at }];
  const swapOnly = BigInt(swap) - BigInt(limit);
  if (swapOnly < 0n)
    return [
      { refused: `${swap} is below the memory limit ${limit}, and it is the limit of both together`, at },
    ];
  return [write("swap", FILE, String(swapOnly))];
}

const hasSwap = (facts: Facts) => facts.read("memory", "memory.swap.max") !== undefined;
