/**
 * The forms that cgroup files have (cgroup-v2.rst, "Interface Files"; cgroup-v1/*.rst), text in, numbers out. Counters are
 * bigint: nanoseconds of many processors outgrow the 53 bits of a number in weeks, and v1 writes "no limit" as 2^63 - 4096.
 */

/** What v2 calls `max`, as runc tells it: all bits set. */
export const UNLIMITED = 0xffffffffffffffffn;

/** A single value; `max` is UNLIMITED, −1 as v1 writes it as well. 0 for a text that is none. */
export function parseValue(text: string): bigint {
  const word = text.trim();
  if (word === "max" || word === "-1") return UNLIMITED;
  return /^\d+$/.test(word) ? BigInt(word) : 0n;
}

/** Lines of `key value`; others are left out. */
export function parseFlat(text: string): Map<string, bigint> {
  const values = new Map<string, bigint>();
  for (const line of text.split("\n")) {
    const at = line.indexOf(" ");
    if (at > 0) values.set(line.slice(0, at), parseValue(line.slice(at + 1)));
  }
  return values;
}

/** Numbers between blanks: one for each CPU. */
export function parseNumbers(text: string): bigint[] {
  return text.split(/\s+/).filter(Boolean).map(parseValue);
}

/** `0-3,8` → 0 1 2 3 8 (cpuset(7), "List format"). */
export function parseRanges(text: string): number[] {
  const numbers: number[] = [];
  for (const part of text.trim().split(",").filter(Boolean)) {
    const [from, to] = part.split("-").map(Number) as [number, number | undefined];
    for (let n = from; n <= (to ?? from); n++) numbers.push(n);
  }
  return numbers;
}

/** One counter of a block device. */
export interface BlockEntry {
  major: bigint;
  minor: bigint;
  /** `Read`, `Write`, `Sync` …; empty for a counter without. */
  op: string;
  value: bigint;
}

/** v1: lines of `8:0 Read 4096`, or `8:0 4096`; the line `Total 4096` is no device's. */
export function parseBlkio(text: string): BlockEntry[] {
  const entries: BlockEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line.trim());
    if (match === null) continue;
    const [, major = "0", minor = "0", op = "", value = "0"] = match;
    entries.push({ major: BigInt(major), minor: BigInt(minor), op, value: BigInt(value) });
  }
  return entries;
}

/** v2: lines of `8:0 rbytes=4096 wbytes=0 …`, as device and counters. */
export function parseIoStat(text: string): { major: bigint; minor: bigint; values: Map<string, bigint> }[] {
  const devices: { major: bigint; minor: bigint; values: Map<string, bigint> }[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+)((?: \S+=\S+)+)\s*$/.exec(line);
    if (match === null) continue;
    const [, major = "0", minor = "0", rest = ""] = match;
    const values = rest
      .trim()
      .split(" ")
      .map((pair) => pair.split("=") as [string, string]);
    devices.push({
      major: BigInt(major),
      minor: BigInt(minor),
      values: new Map(values.map(([key, value]) => [key, parseValue(value)])),
    });
  }
  return devices;
}

/** Share of time in percent over the last 10, 60 and 300 seconds, and the sum in microseconds (psi.rst). */
export interface PressureLine {
  avg10: number;
  avg60: number;
  avg300: number;
  total: bigint;
}

export interface Pressure {
  /** Some task waited. */
  some: PressureLine;
  /** All tasks waited. */
  full: PressureLine;
}

const NO_PRESSURE: PressureLine = { avg10: 0, avg60: 0, avg300: 0, total: 0n };

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`, which `cpu.pressure` of old kernels lacks. */
export function parsePressure(text: string): Pressure | undefined {
  const lines = new Map<string, PressureLine>();
  for (const line of text.split("\n")) {
    const match = /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/.exec(line.trim());
    if (match === null) continue;
    const [, kind = "", avg10, avg60, avg300, total = "0"] = match;
    lines.set(kind, {
      avg10: Number(avg10),
      avg60: Number(avg60),
      avg300: Number(avg300),
      total: BigInt(total),
    });
  }
  if (lines.size === 0) return undefined;
  return { some: lines.get("some") ?? NO_PRESSURE, full: lines.get("full") ?? NO_PRESSURE };
}
