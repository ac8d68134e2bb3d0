import { run } from "../../container/run.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { RunArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { createOptions } from "./plan.ts";

export function execute(context: CommandContext, args: RunArguments): number | Promise<number> {
  return run(openRuntime(context.runtime), {
    ...createOptions(args),
    detach: args.detach,
    keep: args.keep,
    noSubreaper: args["no-subreaper"],
  });
}
