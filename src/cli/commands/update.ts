import type { IntelRdt } from "../../../spec/linux.ts";
import type { Resources } from "../../../spec/resources.ts";
import { openRuntime } from "../../container/runtime.ts";
import { readChange, update, updateRdt } from "../../container/update.ts";
import { KontenaError } from "../../error.ts";
import { parseBytes, parseWhole } from "../amounts.ts";
import type { CommandContext } from "../option.ts";
import type { UpdateArguments } from "../update-arguments.ts";

type Options = Omit<UpdateArguments, "id" | "resources">;
type Reader = (text: string, shown: string) => number | bigint | string;

const count: Reader = (text, shown) => parseWhole(text, shown);
const orNone: Reader = (text, shown) => parseWhole(text, shown, -1);
const bytes: Reader = parseBytes;
const list: Reader = (text) => text;

/** Option, group and property of the resources, and how the value is read. */
const ROWS: readonly (readonly [keyof Options, keyof Resources, string, Reader])[] = [
  ["blkio-weight", "blockIO", "weight", count],
  ["cpu-period", "cpu", "period", count],
  ["cpu-quota", "cpu", "quota", orNone],
  ["cpu-burst", "cpu", "burst", count],
  ["cpu-share", "cpu", "shares", count],
  ["cpu-rt-period", "cpu", "realtimePeriod", count],
  ["cpu-rt-runtime", "cpu", "realtimeRuntime", orNone],
  ["cpu-idle", "cpu", "idle", count],
  ["cpuset-cpus", "cpu", "cpus", list],
  ["cpuset-mems", "cpu", "mems", list],
  ["memory", "memory", "limit", bytes],
  ["memory-reservation", "memory", "reservation", bytes],
  ["memory-swap", "memory", "swap", bytes],
  ["kernel-memory", "memory", "kernel", bytes],
  ["kernel-memory-tcp", "memory", "kernelTCP", bytes],
  ["pids-limit", "pids", "limit", orNone],
];

/** The change that the options ask for. Throws USAGE. */
export function changeOf(options: Partial<Options>): Resources {
  const change: Record<string, Record<string, unknown>> = {};
  for (const [option, group, property, read] of ROWS) {
    const text = options[option];
    if (text === undefined) continue;
    change[group] = { ...change[group], [property]: read(text, `update: --${option}`) };
  }
  return change as Resources;
}

type RdtChange = Pick<IntelRdt, "l3CacheSchema" | "memBwSchema">;

/** The same for the resctrl file system; none when nothing is asked of it. Throws USAGE. */
function rdtChangeOf(options: Partial<Options>): RdtChange | undefined {
  const l3CacheSchema = options["l3-cache-schema"];
  const memBwSchema = options["mem-bw-schema"];
  if (memBwSchema !== undefined && !/^MB:[^\n]*$/.test(memBwSchema))
    throw new KontenaError("USAGE", "update: --mem-bw-schema is one line that begins with MB:");
  if (l3CacheSchema === undefined && memBwSchema === undefined) return undefined;
  return {
    ...(l3CacheSchema === undefined ? {} : { l3CacheSchema }),
    ...(memBwSchema === undefined ? {} : { memBwSchema }),
  };
}

export function execute(context: CommandContext, args: UpdateArguments): number {
  const runtime = openRuntime(context.runtime);
  const change = changeOf(args);
  const rdt = rdtChangeOf(args);
  const given = Object.keys(change).length > 0;
  if (args.resources === undefined && !given && rdt === undefined)
    throw new KontenaError("USAGE", "update: nothing to change", {
      hint: "name a limit, as in `kontena update --memory 64m ID`",
    });
  if (args.resources !== undefined && given)
    throw new KontenaError("USAGE", "update: --resources has all limits, none goes beside it");
  if (args.resources !== undefined) update(runtime, args.id, readChange(args.resources, runtime.warn));
  else if (given) update(runtime, args.id, change);
  if (rdt !== undefined) updateRdt(runtime, args.id, rdt);
  return 0;
}
