import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { MAIN, reachLife } from "../scripts/life.ts";

/** The files that are loaded with `name`. */
function loadedWith(directory: string, name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found;
  found.add(name);
  const text = readFileSync(join(directory, name), "utf8");
  for (const [, next = ""] of text.matchAll(/^(?:import|\} from) .*?"\.\/([^"]+)";$/gm))
    loadedWith(directory, next, found);
  return found;
}

async function chunksOf(plugins: Bun.BunPlugin[]): Promise<{ files: number; text: string }> {
  const outdir = mkdtempSync(join(tmpdir(), "kontena-life-"));
  try {
    await Bun.build({ entrypoints: [MAIN], outdir, target: "bun", format: "esm", splitting: true, plugins });
    const names = [...loadedWith(outdir, basename(MAIN).replace(".ts", ".js"))];
    return {
      files: names.length,
      text: names.map((name) => readFileSync(join(outdir, name), "utf8")).join("\n"),
    };
  } finally {
    rmSync(outdir, { recursive: true });
  }
}

const RUN = "// src/cli/commands/run.ts";
const BIRTH = "// src/container/birth.ts";
/** Of what a plain command doesn't use. */
const LATER = ["// src/cli/slow.ts", "// src/container/prepare.ts", "// spec/parse.ts", "node_modules/"];

test("the life of a container is loaded in a few chunks, and what is used later is in none of them", async () => {
  const { files, text } = await chunksOf([reachLife]);
  expect(files).toBeLessThan(12);
  for (const module of [RUN, BIRTH]) expect(text).toContain(module);
  for (const module of LATER) expect(text).not.toContain(module);
  // So that a bundler that does it by itself is noticed.
  expect((await chunksOf([])).text).not.toContain(BIRTH);
});
