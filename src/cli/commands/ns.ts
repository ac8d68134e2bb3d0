import { namespaces } from "../../container/ns.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { NsArguments } from "../arguments.ts";
import { columns } from "../columns.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: NsArguments): number {
  const found = namespaces(openRuntime(context.runtime), args.id);
  if (args.format === "json") {
    context.write(`${JSON.stringify(found, null, 2)}\n`);
    return 0;
  }
  const rows = found.map((ns) => [ns.type, String(ns.inode), ns.own ? "own" : "shared with the host"]);
  context.write(columns([["TYPE", "INODE", "OWN"], ...rows]));
  return 0;
}
