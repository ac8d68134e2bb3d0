import { remove } from "../../container/delete.ts";
import { forEachMatch } from "../../container/list.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { DeleteArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: DeleteArguments): number {
  const runtime = openRuntime(context.runtime);
  const each = (id: string) => remove(runtime, id, { force: args.force });
  if (args.regex) forEachMatch(runtime, args.id, each);
  else each(args.id);
  return 0;
}
