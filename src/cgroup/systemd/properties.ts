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

const UNLIMITED = 0xffff_ffff_ffff_ffffn;
const amount = (text: string) => (text === "max" ? UNLIMITED : BigInt(text));
const limit = (name: string) => (value: string) => [[name, variant("t", amount(value))] as Property];

/** `1-3,7` as a bit for each. */
function bitsOf(list: string): number[] {
  const bytes: number[] = [];
  for (const part of list.split(",").filter((text) => text.trim() !== "")) {
    const [first = 0, last = first] = part.trim().split("-").map(Number);
    for (let bit = first; bit <= last; bit++) {
      while (bytes.length <= bit >> 3) bytes.push(0);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
    }
  }
  return bytes;
}

const DEFAULT_PERIOD = 100_000n;
/** systemd rounds a quota of a second to ten milliseconds; up, so that none becomes 0. */
const QUOTA_STEP = 10_000n;

function bandwidth(value: string): Property[] {
  const [quota = "max", period] = value.split(" ");
  const periodUSec = period === undefined ? DEFAULT_PERIOD : BigInt(period);
  const perSecond = quota === "max" ? UNLIMITED : (BigInt(quota) * 1_000_000n) / periodUSec;
  const rounded = quota === "max" ? UNLIMITED : ((perSecond + QUOTA_STEP - 1n) / QUOTA_STEP) * QUOTA_STEP;
  return [
    ["CPUQuotaPerSecUSec", variant("t", rounded)],
    ...(period === undefined ? [] : [["CPUQuotaPeriodUSec", variant("t", periodUSec)] as Property]),
  ];
}

/** Control files of v2 that systemd has a property for. */
const PROPERTIES: Record<string, (value: string) => Property[]> = {
  "memory.max": limit("MemoryMax"),
  "memory.high": limit("MemoryHigh"),
  "memory.low": limit("MemoryLow"),
  "memory.min": limit("MemoryMin"),
  "memory.swap.max": limit("MemorySwapMax"),
  "pids.max": limit("TasksMax"),
  "cpu.weight": limit("CPUWeight"),
  // The weight 0 means idle, and the greatest number that none is set.
  "cpu.idle": (value) => [["CPUWeight", variant("t", value === "1" ? 0n : UNLIMITED)]],
  "cpu.max": bandwidth,
  "cpuset.cpus": (value) => [["AllowedCPUs", variant("ay", bitsOf(value))]],
  "cpuset.mems": (value) => [["AllowedMemoryNodes", variant("ay", bitsOf(value))]],
  "io.weight": (value) => {
    const [, weight] = /^(?:default )?(\d+)$/.exec(value) ?? [];
    return weight === undefined ? [] : limit("IOWeight")(weight);
  },
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
