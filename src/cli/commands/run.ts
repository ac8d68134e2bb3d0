import { run } from "../../container/run.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { RunArguments } from "../arguments.ts";
import { hasFront } from "../front.ts";
import type { CommandContext } from "../option.ts";
import { createOptions } from "./plan.ts";

export function execute(context: CommandContext, args: RunArguments): number | Promise<number> {
  // Who waits for the program removes the container too.
  return run(openRuntime({ ...context.runtime, hasFront: args.detach && hasFront() }), {
    ...createOptions(args),
    detach: args.detach,
    keep: args.keep,
    noSubreaper: args["no-subreaper"],
  });
}
