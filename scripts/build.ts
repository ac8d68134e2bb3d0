/** Called by scripts/build: `build.ts OUTFILE [TARGET BUN]` makes one executable, out of another Bun for another target. */
import { readFileSync, writeFileSync } from "node:fs";
import { withFront } from "./front/front.ts";
import { defines, MAIN, reachLife } from "./life.ts";

async function main([outfile, target, executablePath]: string[]): Promise<void> {
  if (outfile === undefined) throw new Error("usage: build.ts OUTFILE [TARGET BUN]");
  const hasFront = target === undefined ? process.arch === "x64" : target.includes("x64");
  await Bun.build({
    entrypoints: [MAIN],
    target: "bun",
    define: { ...defines(), KONTENA_FRONT: String(hasFront) },
    // Bytecode halves the start-up of a program with yargs and valibot in it.
    ...{ format: "esm", splitting: true, minify: true, bytecode: true },
    compile: {
      outfile,
      ...(target !== undefined && { target: target as Bun.Build.CompileTarget }),
      ...(executablePath !== undefined && { executablePath }),
      // Hardly anything of a command is done often enough to be worth a compiler's time.
      jitPolicy: 1000,
      ...{ autoloadDotenv: false, autoloadBunfig: false },
    },
    plugins: [reachLife],
  });
  const executable = readFileSync(outfile);
  // In place, so that it stays executable.
  if (hasFront) writeFileSync(outfile, withFront(executable));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const problems: unknown[] = error instanceof AggregateError ? error.errors : [error];
  for (const problem of problems) console.error(Bun.inspect(problem));
  process.exitCode = 1;
}
