import { stringifyJson } from "../../../spec/json.ts";
import { type ContainerEvent, events, statsOnce } from "../../container/events.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { EventsArguments } from "../arguments.ts";
import { parseDuration } from "../duration.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: EventsArguments): number {
  const runtime = openRuntime(context.runtime);
  const interval = parseDuration(args.interval ?? "5s", "events: --interval");
  const tell = (event: ContainerEvent) => context.write(`${stringifyJson(event)}\n`);
  if (args.stats) tell(statsOnce(runtime, args.id));
  else events(runtime, args.id, interval, tell);
  return 0;
}
