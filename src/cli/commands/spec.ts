import { defaultConfig } from "../../container/spec.ts";
import { KontenaError } from "../../error.ts";
import { writeFileSync } from "../../kernel/fs.ts";
import { resolve } from "../../path.ts";
import type { SpecArguments } from "../arguments.ts";
import type { CommandContext } from "../option.ts";

export function execute(_context: CommandContext, args: SpecArguments): number {
  const path = resolve(args.bundle ?? ".", args.file ?? "config.json");
  const text = `${JSON.stringify(defaultConfig({ rootless: args.rootless }), null, 2)}\n`;
  try {
    writeFileSync(path, text, { flag: "wx" });
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
    const exists = errno === "EEXIST";
    throw new KontenaError(
      "BUNDLE_INVALID",
      exists ? `${path} exists already` : `can't write ${path}: ${errno}`,
      {
        errno,
        path,
        ...(exists && { hint: "remove it first, or write another file with --file" }),
      },
    );
  }
  return 0;
}
