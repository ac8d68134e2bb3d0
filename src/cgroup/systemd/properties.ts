/**
 * Limits and annotations as properties of a unit (systemd.resource-control(5), systemd.unit(5)). systemd writes its own
 * properties to the cgroup's files again whenever it likes, at a daemon-reload for one; so it has to know the limits that it
 * has words for. Their exact values, and all others, are written to the files afterwards.
 */
import type { Config } from "../../../spec/config.ts";
import type { Resources } from "../../../spec/resources.ts";
import { KontenaError } from "../../error.ts";
import type { Facts } from "../item.ts";
import { resourceItems } from "../resources.ts";
import type { Property } from "./manager.ts";
import { variant } from "./marshal.ts";
import { parseText } from "./text.ts";
import { bandwidthOf, bitsOf, bytesOf, countOf, UNLIMITED, weightOf } from "./values.ts";

/** @param least what systemd takes; what a file takes below that is next to it */
const limit =
  (name: string, of: (text: string) => bigint | undefined, least = 0n) =>
  (text: string): Property[] => {
    const value = of(text);
    return value === undefined ? [] : [[name, variant("t", value < least ? least : value)]];
  };

const bits = (name: string) => (text: string) => {
  const bytes = bitsOf(text);
  return bytes === undefined ? [] : [[name, variant("ay", bytes)] as Property];
};

function bandwidth(text: string): Property[] {
  const found = bandwidthOf(text);
  if (found === undefined) return [];
  const { perSecond, period } = found;
  return [
    ["CPUQuotaPerSecUSec", variant("t", perSecond)],
    ...(period === undefined ? [] : [["CPUQuotaPeriodUSec", variant("t", period)] as Property]),
  ];
}

/** The weight 0 means idle, and the greatest number that none is set. */
const idleWeight = (text: string) => ({ "0": UNLIMITED, "1": 0n })[text.trim()];

/** Control files of v2 that systemd has a property for. */
const PROPERTIES: Record<string, (value: string) => Property[]> = {
  "memory.max": limit("MemoryMax", bytesOf, 1n),
  "memory.high": limit("MemoryHigh", bytesOf, 1n),
  "memory.low": limit("MemoryLow", bytesOf),
  "memory.min": limit("MemoryMin", bytesOf),
  "memory.swap.max": limit("MemorySwapMax", bytesOf),
  "pids.max": limit("TasksMax", countOf, 1n),
  "cpu.weight": limit("CPUWeight", weightOf),
  "cpu.idle": limit("CPUWeight", idleWeight),
  "cpu.max": bandwidth,
  "cpuset.cpus": bits("AllowedCPUs"),
  "cpuset.mems": bits("AllowedMemoryNodes"),
  "io.weight": (text) => limit("IOWeight", weightOf)(text.trim().replace(/^default\s+/, "")),
};

/** What a cgroup holds that isn't there yet. */
const NEW: Record<string, string> = {
  "cpu.idle": "0",
  "cpu.max.burst": "0",
  "memory.swap.max": "max",
  "io.weight": "default 100",
};

/** Facts about a cgroup that systemd will make: all of v2; what isn't there is found out when the files are written. */
const EXPECTED: Facts = { where: () => 2, read: (_, file) => NEW[file] };

/** systemd has one weight for I/O, on the scale of io.weight, and gives BFQ its own by itself. */
const withIoWeight = (facts: Facts): Facts => ({
  ...facts,
  read: (controller, file) =>
    controller === "io" && file.endsWith("weight") ? NEW[file] : facts.read(controller, file),
});

/** The limits that systemd has properties for; of one that is given twice, the last. */
export function resourceProperties(resources: Resources | undefined, facts: Facts = EXPECTED): Property[] {
  if (resources === undefined) return [];
  const properties = new Map<string, Property>();
  for (const item of resourceItems(resources, withIoWeight(facts))) {
    if (!("file" in item)) continue;
    for (const property of PROPERTIES[item.file]?.(item.value) ?? []) properties.set(property[0], property);
  }
  return [...properties.values()];
}

const PREFIX = "org.systemd.property.";
const MICROSECONDS = 1_000_000;

/** Properties in seconds exist in unit files only; on the bus they end in USec. */
function inMicroseconds(name: string, value: ReturnType<typeof parseText>): Property {
  if (!/[a-z]Sec$/.test(name)) return [name, value];
  const { signature, value: seconds } = value;
  if (!"ynqiuxtd".includes(signature)) throw new SyntaxError("a time in seconds is a number");
  const microseconds =
    typeof seconds === "bigint"
      ? seconds * BigInt(MICROSECONDS)
      : BigInt(Math.trunc((seconds as number) * MICROSECONDS));
  if (microseconds < 0n) throw new RangeError("a time isn't negative");
  return [name.replace(/Sec$/, "USec"), variant("t", microseconds)];
}

/**
 * Annotations `org.systemd.property.NAME`, as runc reads them: the value in GVariant's text form.
 * @throws KontenaError CONFIG_INVALID
 */
export function annotationProperties({ annotations = {} }: Config): Property[] {
  return Object.entries(annotations).flatMap(([key, text]) => {
    if (!key.startsWith(PREFIX)) return [];
    const name = key.slice(PREFIX.length);
    const at = `annotations["${key}"]`;
    if (!/^[a-zA-Z]{3,}$/.test(name))
      throw new KontenaError("CONFIG_INVALID", `"${name}" is no name of a unit's property`, { at });
    try {
      return [inMicroseconds(name, parseText(text))];
    } catch (error) {
      throw new KontenaError("CONFIG_INVALID", `the value ${text}: ${(error as Error).message}`, {
        at,
        hint: "it is in GVariant's text form: true, 5, uint64 5, 'text', ['a', 'b']",
      });
    }
  });
}
