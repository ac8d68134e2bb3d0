/** The scripts that a newcomer runs: whole, executable, and the same by their npm names. */
import { describe, expect, test } from "bun:test";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TOP = join(import.meta.dir, "..");
const SCRIPTS = ["scripts", "bench", ".ci"].flatMap((folder) =>
  readdirSync(join(TOP, folder), { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".ts"))
    .map((entry) => join(folder, entry.name)),
);
const read = (path: string) => readFileSync(join(TOP, path), "utf8");
const isShell = (path: string) => path.endsWith(".sh") || read(path).startsWith("#!/usr/bin/env bash");

describe.each(SCRIPTS.filter(isShell))("%s", (path) => {
  test("is shell that bash can read", () => {
    const { exitCode, stderr } = Bun.spawnSync(["bash", "-n", path], { cwd: TOP });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  });

  test("stops at the first error, by itself or by what it sources, and can be run unless it is sourced", () => {
    expect(read(path)).toMatch(/set -euo pipefail|bun\.sh"$/m);
    if (!path.endsWith(".sh")) expect(() => accessSync(join(TOP, path), constants.X_OK)).not.toThrow();
  });
});

const manifest = JSON.parse(read("package.json")) as {
  scripts: Record<string, string>;
  packageManager: string;
  bin: Record<string, string>;
};

test("package.json has the scripts by name", () => {
  for (const [name, command] of Object.entries(manifest.scripts)) {
    const [program = ""] = command.split(" ");
    const place = program.includes("/") ? program : `node_modules/.bin/${program}`;
    expect(existsSync(join(TOP, place)), name).toBe(true);
  }
  expect(Object.keys(manifest.scripts)).toContain("build");
  expect(Object.keys(manifest.scripts)).toContain("test");
  expect(manifest.bin["kontena"]).toBe("dist/kontena");
});

/** A tree of the project's scripts with a Bun that only says its version, and a PATH with nothing else of the kind. */
function withFakeBun<T>(version: string, use: (directory: string, env: Record<string, string>) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "kontena-scripts-"));
  try {
    for (const folder of ["scripts", "bin", "node_modules"]) mkdirSync(join(directory, folder));
    for (const file of ["scripts/bun.sh", "package.json", "bun.lock"])
      writeFileSync(join(directory, file), read(file));
    writeFileSync(join(directory, "node_modules/.kontena-lock"), read("bun.lock"));
    writeFileSync(join(directory, "bin/bun"), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
    writeFileSync(join(directory, "bin/npm"), '#!/bin/sh\necho "npm $*"\nexit 3\n', { mode: 0o755 });
    return use(directory, { PATH: `${join(directory, "bin")}:/usr/bin:/bin` });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const OUTPUT = `bun test v1

test/a.test.ts:
(pass) one [1.00ms]
what the second one says
error: it is so
(fail) two [2.00ms]
what the third one says
(skip) three (this machine lacks it)

1 tests failed:
(fail) two [2.00ms]

 1 pass
 1 skip
 1 fail
Ran 3 tests across 1 file. [9.00ms]
`;

test("scripts/test tells last what has failed, with what was printed before it, and then the counts", () => {
  const wanted = manifest.packageManager.replace("bun@", "");
  withFakeBun(wanted, (directory, env) => {
    writeFileSync(join(directory, "scripts/test"), read("scripts/test"));
    writeFileSync(join(directory, "output"), OUTPUT);
    const bun = `#!/bin/sh\n[ "$1" != test ] || exec cat output\necho ${wanted}\n`;
    writeFileSync(join(directory, "bin/bun"), bun, { mode: 0o755 });
    mkdirSync(join(directory, "node_modules/.bin"));
    for (const name of ["node_modules/.bin/tsc", "node_modules/.bin/biome", "scripts/build"])
      writeFileSync(join(directory, name), "#!/bin/sh\n", { mode: 0o755 });
    const { exitCode, stdout } = Bun.spawnSync(["bash", "scripts/test"], { cwd: directory, env });
    expect(stdout.toString().split("\n").slice(-8)).toEqual([
      "skipped:",
      "(skip) three (this machine lacks it)",
      "failed:",
      "  what the second one says",
      "  error: it is so",
      "(fail) two [2.00ms]",
      "1 passed, 1 failed, 1 skipped",
      "",
    ]);
    expect(exitCode).toBe(1);
  });
});

describe("scripts/bun.sh", () => {
  const wanted = manifest.packageManager.replace("bun@", "");
  const source = (directory: string, env: Record<string, string>) =>
    Bun.spawnSync(["bash", "-c", '. scripts/bun.sh; echo "ready: $(command -v bun)"'], {
      cwd: directory,
      env,
    });

  test("takes the machine's Bun when it has the pinned version", () => {
    withFakeBun(wanted, (directory, env) => {
      const { exitCode, stdout } = source(directory, env);
      expect([exitCode, stdout.toString()]).toEqual([0, `ready: ${directory}/bin/bun\n`]);
    });
  });

  test("gets exactly that version from npm otherwise, without running the package's scripts, and stops when it can't", () => {
    withFakeBun("0.0.1", (directory, env) => {
      const { exitCode, stdout, stderr } = source(directory, env);
      const said = `${stdout}${stderr}`;
      expect(exitCode).not.toBe(0);
      expect(said).not.toContain("ready");
      expect(said).toMatch(
        new RegExp(
          `npm install .*--ignore-scripts.* @oven/bun-linux-[\\w-]+@${wanted.replaceAll(".", "\\.")}`,
        ),
      );
    });
  });
});
