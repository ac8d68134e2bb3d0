/** How the write to a control file is taken back: values that bring what the file held before. Pure. */
import type { Write } from "./item.ts";

type Written = Pick<Write, "file" | "value">;

/** `key=value …` with the word for no limit in the place of each value. */
const allMax = (key: string, value: string) =>
  [key, ...(value.match(/[^\s=]+(?==)/g)?.map((name) => `${name}=max`) ?? [])].join(" ");

/** Files with a line for each device or resource, and what removes a line that wasn't there. */
const KEYED: readonly [RegExp, (key: string, value: string) => string][] = [
  [/^blkio\.throttle\./, (key) => `${key} 0`],
  [/^(blkio|io)\.(bfq\.)?(leaf_)?weight(_device)?$/, (key) => `${key} default`],
  [/^(io\.(max|latency)|rdma\.max)$/, allMax],
  [/^(misc|dmem)\.max$/, (key) => `${key} max`],
  [/^net_prio\.ifpriomap$/, (key) => `${key} 0`],
];

/** Files that aren't written as they are read. */
const OTHERS: Partial<Record<string, (value: string, before: string) => string[]>> = {
  // `oom_kill_disable 0`, and statistics.
  "memory.oom_control": (_, before) => before.match(/(?<=oom_kill_disable )\d/)?.slice(0, 1) ?? [],
  // `root invalid (…)`
  "cpuset.cpus.partition": (_, before) => before.split(" ").slice(0, 1),
  // Written with a sign before each name, and read without.
  "cgroup.subtree_control": (value, before) => {
    const had = before.split(" ");
    return [value.replace(/[+-](\S+)/g, (_all, name: string) => `${had.includes(name) ? "+" : "-"}${name}`)];
  },
};

/** A value without a device is the default of all. */
function keyOf(value: string): string {
  const [key = "", ...more] = value.split(/\s+/);
  return more.length === 0 ? "default" : key;
}

/**
 * @param before what the file held, trimmed
 * @param effective what came from above when it held nothing: a cpuset with processes is never made empty again
 * @returns values, a write for each; the kernel may refuse all but the first
 */
export function undoOf({ file, value }: Written, before: string, effective?: string): string[] {
  const other = OTHERS[file]?.(value, before);
  if (other !== undefined) return other;
  if (effective !== undefined) return [effective, "\n"];
  const lines = before.split("\n");
  const none = KEYED.find(([pattern]) => pattern.test(file))?.[1];
  // The kernel doesn't hear of a write of nothing.
  if (none === undefined) return lines.map((line) => (line === "" ? "\n" : line));
  const key = keyOf(value);
  const line = lines.find((text) => text.split(/\s/, 1)[0] === key);
  if (line !== undefined) return [line];
  // v1's blkio.bfq.weight is a number alone.
  return key === "default" ? lines.slice(0, 1) : [none(key, value)];
}
