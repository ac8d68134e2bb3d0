import { create } from "../../container/create.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { CreateArguments } from "../arguments.ts";
import { hasFront } from "../front.ts";
import type { CommandContext } from "../option.ts";
import { createOptions } from "./plan.ts";

export function execute(context: CommandContext, args: CreateArguments): number {
  create(openRuntime({ ...context.runtime, hasFront: hasFront() }), createOptions(args));
  return 0;
}
