import { create } from "../../container/create.ts";
import { openRuntime } from "../../container/runtime.ts";
import type { CreateArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";
import { createOptions } from "./plan.ts";

/** Of the executable's build. */
declare const KONTENA_FRONT: boolean | undefined;
const hasFront = typeof KONTENA_FRONT !== "undefined" && KONTENA_FRONT;

export function execute(context: CommandContext, args: CreateArguments): number {
  create(openRuntime({ ...context.runtime, hasFront }), createOptions(args));
  return 0;
}
