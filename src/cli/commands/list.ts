import { list, userName } from "../../container/list.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { ContainerState } from "../../container/state.ts";
import type { ListArguments } from "../arguments.ts";
import { columns } from "../columns.ts";
import type { CommandContext } from "../option.ts";

/** The table of `runc list`: same columns, same order. */
export function listTable(containers: readonly ContainerState[]): string {
  const rows = containers.map((c) => [c.id, String(c.pid), c.status, c.bundle, c.created, c.owner]);
  return columns([["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], ...rows]);
}

/** Their owners by name, as runc has them in both forms; `state` has the number. */
function withNames(containers: readonly ContainerState[]): ContainerState[] {
  const users = new Map(containers.map(({ owner }) => [owner, userName(Number(owner))]));
  return containers.map((c) => ({ ...c, owner: users.get(c.owner) ?? c.owner }));
}

export function execute(context: CommandContext, args: ListArguments): number {
  const containers = withNames(list(openRuntime(context.runtime)));
  if (args.quiet) context.write(containers.map((c) => `${c.id}\n`).join(""));
  else if (args.format === "json") context.write(`${JSON.stringify(containers)}\n`);
  else context.write(listTable(containers));
  return 0;
}
