import { openRuntime } from "../../container/runtime.ts";
import { state } from "../../container/state.ts";
import type { ContainerArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: ContainerArguments): number {
  context.write(`${JSON.stringify(state(openRuntime(context.runtime), args.id), null, 2)}\n`);
  return 0;
}
