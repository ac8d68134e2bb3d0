import { didYouMean } from "../../../spec/nearest.ts";
import { KontenaError } from "../../error.ts";
import type { CompletionArguments } from "../arguments.ts";
import { completionScript, SHELLS } from "../completion.ts";
import type { CommandContext } from "../option.ts";

export function execute(context: CommandContext, args: CompletionArguments): number {
  const shell = SHELLS.find((name) => name === args.shell);
  if (shell === undefined) {
    throw new KontenaError("USAGE", `completion: no script for "${args.shell}"`, {
      hint: `legal are ${SHELLS.join(", ")}`,
      ...didYouMean(args.shell, SHELLS),
    });
  }
  context.write(completionScript(shell));
  return 0;
}
