/**
 * How the command line is cut into chunks. Splitting keeps what a command doesn't use out of memory: 3 ms of one that only reads a
 * state. But a bundler makes a chunk of what is reached from the same places, so whatever a few commands share gets one of its
 * own, and `run` would load 53 of them. So all that is loaded later is made to reach LIFE: then all that LIFE needs is one chunk,
 * and `run` takes 4 % less.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const TOP = join(import.meta.dir, "..");
export const MAIN = join(TOP, "src/cli/main.ts");
/** With all that it needs at once it is loaded by every command, in one piece. */
const LIFE = join(TOP, "src/cli/commands/run.ts");

const transpiler = new Bun.Transpiler({ loader: "ts" });

function importsOf(path: string): Bun.Import[] {
  try {
    return transpiler.scanImports(readFileSync(path, "utf8"));
  } catch {
    // The build itself will say what is wrong with it, and where.
    return [];
  }
}

/** The project's own modules that `path` names: those loaded with it by import statements, and those that it loads later. */
function namedBy(path: string): { atOnce: string[]; later: string[] } {
  const named = { atOnce: [] as string[], later: [] as string[] };
  for (const { path: name, kind } of importsOf(path)) {
    if (!/^\..*\.ts$/.test(name)) continue;
    named[kind === "import-statement" ? "atOnce" : "later"].push(resolve(dirname(path), name));
  }
  return named;
}

/** `path` and all that is loaded with it. */
function closure(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const next of namedBy(path).atOnce) closure(next, found);
  return found;
}

/** The modules that some module loads when they are used. */
function loadedLater(): Set<string> {
  const sources = ["src", "spec"].flatMap((directory) =>
    (readdirSync(join(TOP, directory), { recursive: true }) as string[])
      .filter((name) => name.endsWith(".ts"))
      .map((name) => join(TOP, directory, name)),
  );
  return new Set(sources.flatMap((path) => namedBy(path).later));
}

export const reachLife: Bun.BunPlugin = {
  name: "one chunk for the life of a container",
  setup(build) {
    const [life, later] = [closure(LIFE), loadedLater()];
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const reaches = path === MAIN || (later.has(path) && !life.has(path));
      const contents = readFileSync(path, "utf8") + (reaches ? `\nimport ${JSON.stringify(LIFE)};\n` : "");
      return { contents, loader: "ts" };
    });
  },
};

/** What the sources expect to be told, from the environment. */
export const defines = (): Record<string, string> =>
  Object.fromEntries(
    ["KONTENA_BUILD", "KONTENA_REVISION"].map((name) => [name, JSON.stringify(process.env[name] ?? "")]),
  );
