import { kill } from "../../container/kill.ts";
import { forEachMatch } from "../../container/list.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { KillArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { parseSignal } from "../signals.ts";

export function execute(context: CommandContext, args: KillArguments): number {
  const signal = parseSignal(args.signal ?? "TERM");
  const runtime = openRuntime(context.runtime);
  const each = (id: string) => kill(runtime, id, signal, { all: args.all });
  if (args.regex) forEachMatch(runtime, args.id, each);
  else each(args.id);
  return 0;
}
