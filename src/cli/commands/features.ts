import { features } from "../../container/features.ts";
import type { CommandContext } from "../option.ts";
import { versions } from "../version.ts";

export function execute(context: CommandContext): number {
  const { version, revision, bun } = versions();
  const document = features({
    "dev.kontena.version": version,
    "dev.kontena.commit": revision,
    "dev.kontena.bun.version": bun,
  });
  context.write(`${JSON.stringify(document, null, 2)}\n`);
  return 0;
}
