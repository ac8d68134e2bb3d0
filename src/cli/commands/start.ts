import { openRuntime } from "../../container/runtime.ts";
import { start } from "../../container/start.ts";
import type { ContainerArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { notifySocket } from "../service.ts";

export function execute(context: CommandContext, args: ContainerArguments): number {
  start(openRuntime(context.runtime), args.id, notifySocket(process.env));
  return 0;
}
