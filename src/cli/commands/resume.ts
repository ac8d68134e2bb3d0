import { resume } from "../../container/pause.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { ContainerArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: ContainerArguments): number {
  resume(openRuntime(context.runtime), args.id);
  return 0;
}
