import { kill } from "../../container/kill.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { KillArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { parseSignal } from "../signals.ts";

export function execute(context: CommandContext, args: KillArguments): number {
  const signal = parseSignal(args.signal ?? "TERM");
  kill(openRuntime(context.runtime), args.id, signal, { all: args.all });
  return 0;
}
