import type { Resources } from "../../../spec/resources.ts";
import { openRuntime } from "../../container/runtime.ts";
import { readChange, update } from "../../container/update.ts";
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

export function execute(context: CommandContext, args: UpdateArguments): number {
  const runtime = openRuntime(context.runtime);
  const change = changeOf(args);
  const given = Object.keys(change).length > 0;
  if (args.resources === undefined && !given)
    throw new KontenaError("USAGE", "update: nothing to change", {
      hint: "name a limit, as in `kontena update --memory 64m ID`",
    });
  if (args.resources !== undefined && given)
    throw new KontenaError("USAGE", "update: --resources has all limits, none goes beside it");
  update(runtime, args.id, args.resources === undefined ? change : readChange(args.resources, runtime.warn));
  return 0;
}
