import { remove } from "../../container/delete.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { DeleteArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: DeleteArguments): number {
  remove(openRuntime(context.runtime), args.id, { force: args.force });
  return 0;
}
