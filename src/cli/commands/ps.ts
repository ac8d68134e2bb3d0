import { describeProcesses, processes, psLines } from "../../container/ps.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { PsArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { processTable } from "../process-table.ts";

export function execute(context: CommandContext, args: PsArguments): number {
  const pids = processes(openRuntime(context.runtime), args.id);
  if (args.format === "json") context.write(`${JSON.stringify(pids)}\n`);
  else if (args.options.length > 0) context.write(`${psLines(pids, args.options).join("\n")}\n`);
  else context.write(processTable(describeProcesses(pids), Date.now()));
  return 0;
}
