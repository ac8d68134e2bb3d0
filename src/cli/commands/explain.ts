import { explain } from "../../container/explain.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { ExplainArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { planOptions } from "./plan.ts";

export function execute(context: CommandContext, args: ExplainArguments): number {
  const { text, json } = explain(openRuntime(context.runtime), planOptions(args.id ?? "example", args));
  context.write(args.format === "json" ? `${JSON.stringify(json, null, 2)}\n` : `${text.trimEnd()}\n`);
  return 0;
}
