/** The shape of the project (docs/architecture.md): what may import what, what is where, and that documents and code agree. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { ERROR_CODES } from "../src/error.ts";
import { planContainer } from "../src/plan/order.ts";
import { inputOf } from "./plan/helpers.ts";

const TOP = join(import.meta.dir, "..");
const read = (path: string) => readFileSync(join(TOP, path), "utf8");
const filesIn = (folder: string, ending = ".ts"): string[] =>
  (readdirSync(join(TOP, folder), { recursive: true }) as string[])
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();

const SOURCES = [...filesIn("src"), ...filesIn("spec")];

/** Source text without comments: these may name what the code must not use. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
}

const withoutStrings = (text: string) => text.replace(/"(?:[^"\\\n]|\\.)*"/g, '""');

/** Everything that a file imports, at any time: static, dynamic, by require, and types. */
function importsOf(path: string): string[] {
  const text = withoutComments(read(path));
  const found = text.matchAll(/(?:\bfrom|\bimport\(|\brequire\(|^import)\s*"([\w@./:-]+)"/gm);
  return [...found].map(([, name]) => name as string);
}

/** Of the kernel's folder, what stands in for a module of Bun's: anyone may use it. */
const AS_BUN = ["src/kernel/fs.ts", "src/kernel/exit.ts", "src/kernel/environ.ts"];

/** A file's layer: its folder in src/, or the file itself for those on top of it; `spec`; or a package. */
function layerOf(path: string): string {
  const [top, second] = path.split("/") as [string, string | undefined];
  if (top === "spec") return top;
  return top === "src" && second !== undefined ? second : path;
}

function targetOf(path: string, name: string): string {
  if (!name.startsWith(".")) return name;
  const target = relative(TOP, resolve(TOP, dirname(path), name));
  return AS_BUN.includes(target) ? "as Bun" : layerOf(target);
}

/** What each layer may import of the project, beside itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  spec: [],
  "error.ts": [],
  "lists.ts": [],
  "path.ts": [],
  kernel: ["error.ts", "lists.ts", "path.ts"],
  init: ["error.ts", "lists.ts", "kernel"],
  plan: ["error.ts", "lists.ts", "path.ts", "spec", "kernel", "init"],
  // Beside plan: it shares its words for the host's hierarchies.
  cgroup: ["error.ts", "lists.ts", "path.ts", "spec", "kernel", "plan"],
  // Beside plan too: a profile becomes a program before the planner sees it.
  seccomp: ["error.ts", "lists.ts", "path.ts", "spec", "kernel", "plan"],
  container: ["error.ts", "lists.ts", "path.ts", "spec", "kernel", "init", "plan", "cgroup", "seccomp"],
  // No system calls: the command line knows the lifecycle, and the names of options and properties.
  cli: ["error.ts", "lists.ts", "path.ts", "spec", "container", "package.json"],
  "index.ts": ["error.ts", "container"],
};

describe("imports go one way:", () => {
  test("every file of src/ and spec/ belongs to a layer", () => {
    for (const path of SOURCES) expect(Object.keys(MAY_IMPORT), path).toContain(layerOf(path));
  });

  test.each(Object.keys(MAY_IMPORT))("%s", (layer) => {
    const files = SOURCES.filter((path) => layerOf(path) === layer);
    expect(files.length).toBeGreaterThan(0);
    const wrong = files.flatMap((path) =>
      importsOf(path)
        .filter((name) => name.startsWith("."))
        .map((name) => targetOf(path, name))
        .filter((target) => target !== layer && target !== "as Bun" && !MAY_IMPORT[layer]?.includes(target))
        .map((target) => `${path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test("every import of a file names one that is there, with its ending", () => {
    for (const path of SOURCES)
      for (const name of importsOf(path).filter((n) => n.startsWith(".")))
        expect(existsSync(resolve(TOP, dirname(path), name)), `${path}: ${name}`).toBe(true);
  });

  test("only the kernel folder knows bun:ffi", () => {
    const users = SOURCES.filter((path) => importsOf(path).some((name) => name.startsWith("bun:ffi")));
    expect(users.length).toBeGreaterThan(0);
    for (const path of users) expect(path).toStartWith("src/kernel/");
  });

  test("no module of node's is used by what a plain command loads: node:fs alone takes 0.7 ms, node:path 0.3", () => {
    const users = SOURCES.filter((path) => importsOf(path).some((name) => name.startsWith("node:")));
    // Names of files that are no text are node's alone.
    expect(users).toEqual(["src/container/copy-up.ts", "src/container/remove-tree.ts"]);
  });

  test("packages are those of package.json, each in its place", () => {
    const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
    const places: Record<string, RegExp> = {
      valibot: /^spec\//,
      "jsonc-parser": /^spec\//,
      yargs: /^src\/cli\//,
    };
    expect(Object.keys(dependencies).sort()).toEqual(Object.keys(places).sort());
    for (const path of SOURCES)
      for (const name of importsOf(path)) {
        if (name.startsWith(".") || name.startsWith("node:") || name.startsWith("bun")) continue;
        expect(path, name).toMatch(places[name.split("/")[0] as string] ?? /^$/);
      }
  });

  test("planning is pure: it reads no file, no clock, no environment", () => {
    for (const path of filesIn("src/plan")) {
      const text = withoutStrings(withoutComments(read(path)));
      expect(
        importsOf(path).filter((name) => name.startsWith("node:")),
        path,
      ).toEqual([]);
      expect(text, path).not.toMatch(
        /\bprocess\.(env|pid|cwd|get)|\bDate\b|\bMath\.random\b|\bBun\.|\bsyscall\(|rawSyscall/,
      );
    }
  });
});

describe("the rules that Bun forces:", () => {
  // yargs looks at process.stdout while it is imported; slow.ts gives it a stand-in instead.
  const STAND_IN = "src/cli/slow.ts";

  test("no process.stdin, stdout or stderr, which cost milliseconds and make descriptors non-blocking", () => {
    for (const path of SOURCES) {
      if (path === STAND_IN) continue;
      expect(withoutComments(read(path)), path).not.toMatch(
        /\bprocess\.std(in|out|err)\b|\bconsole\.|\bBun\.std/,
      );
    }
    expect(withoutComments(read(STAND_IN)).match(/\.std(in|out|err)\b.*/g)).toEqual([
      ".stdout = { columns };",
    ]);
  });

  test("no class but errors, no default export, no any", () => {
    for (const path of SOURCES) {
      const text = withoutComments(read(path));
      for (const [line] of text.matchAll(/^.*\bclass \w+.*$/gm))
        expect(line, path).toMatch(/extends Error\b/);
      expect(text, path).not.toMatch(/^export default\b/m);
      expect(text, path).not.toMatch(/[:<]\s*any\b|\bas any\b/);
    }
  });
});

describe("files", () => {
  /** Longer than the rule, each for a reason that is said here. */
  const LONGER: Record<string, string> = {
    "src/init/encode.ts": "linking, layout and encoding of one format, which share its words",
  };
  const MOST = 330;

  test(`have ${MOST} lines at most, or a reason`, () => {
    const long = SOURCES.filter((path) => read(path).split("\n").length > MOST);
    expect(long.filter((path) => LONGER[path] === undefined)).toEqual([]);
  });

  test("commands are short", () => {
    for (const path of filesIn("src/cli/commands"))
      expect(read(path).split("\n").length, path).toBeLessThan(150);
  });

  test("name no path of the machine that they were written on", () => {
    for (const path of [...SOURCES, ...filesIn("test"), ...filesIn("docs", ".md"), "package.json"])
      expect(read(path).includes(`${resolve(TOP)}/`), path).toBe(false);
  });
});

describe("documents", () => {
  test("explain every error code, in its order, and no other", () => {
    const rows = [...read("docs/errors.md").matchAll(/^\|\s*`?([A-Z][A-Z_]+)`?\s*\|/gm)].map(
      ([, code]) => code,
    );
    expect(rows).toEqual(Object.keys(ERROR_CODES));
  });

  test("link to files that are there", () => {
    const documents = [...filesIn("docs", ".md"), "README.md", "CONTRIBUTING.md"].filter((d) =>
      existsSync(join(TOP, d)),
    );
    for (const path of documents)
      for (const [, link = ""] of read(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(link)) continue;
        expect(existsSync(resolve(TOP, dirname(path), link)), `${path}: ${link}`).toBe(true);
      }
  });

  test("of the architecture name every folder of src/", () => {
    const text = read("docs/architecture.md");
    for (const entry of readdirSync(join(TOP, "src"), { withFileTypes: true }))
      if (entry.isDirectory()) expect(text).toContain(`${entry.name}/`);
  });

  test("of the architecture have each phase of a plan, in its order", () => {
    const { create, start } = planContainer(inputOf({}));
    const text = read("docs/architecture.md");
    for (const [heading, phases] of [
      ["\ncreate:\n", create],
      ["\nstart:\n", start],
    ] as const) {
      const table =
        text
          .slice(text.indexOf(heading) + heading.length)
          .trimStart()
          .split("\n\n")[0] ?? "";
      const rows = table.split("\n").map((row) => row.split("|")[1]?.trim());
      expect(rows.slice(2)).toEqual(phases.map(({ phase }) => phase));
    }
  });

  test("every error code is thrown somewhere", () => {
    const text = SOURCES.map((path) => (path === "src/error.ts" ? "" : read(path))).join("\n");
    for (const code of Object.keys(ERROR_CODES)) expect(text, code).toContain(`"${code}"`);
  });
});

describe("dependencies", () => {
  const manifest = JSON.parse(read("package.json")) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
    packageManager: string;
    engines: { bun: string };
    license: string;
  };
  const all = { ...manifest.dependencies, ...manifest.devDependencies };

  test("have exact versions, in package.json and in the lock file", () => {
    for (const [name, version] of Object.entries(all)) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect(read("bun.lock"), name).toContain(`["${name}@${version}"`);
    }
  });

  test("have a Bun of one version, which is the one that runs here", () => {
    const version = manifest.packageManager.replace("bun@", "");
    expect(manifest.engines.bun).toBe(`>=${version}`);
    expect(all["bun-types"]).toBe(version);
    expect(Bun.version).toBe(version);
  });

  test("are few", () => {
    expect(Object.keys(manifest.dependencies).length).toBeLessThanOrEqual(3);
  });
});
