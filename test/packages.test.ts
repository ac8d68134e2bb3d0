/** The packages of scripts/package, used as their users do: the library by a Bun program, the executable in a Debian system. */
import { beforeAll, expect, setDefaultTimeout } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isThere, openBox, test, testNeeding } from "./integration/helpers.ts";

const box = openBox("packages");
setDefaultTimeout(300_000);
const debianTest = testNeeding("root", "busybox", "dpkg");
const TOP = join(import.meta.dir, "..");
const PACKAGES = join(TOP, "dist/packages");
const { version } = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8")) as { version: string };
const consumer = join(box.directory, "consumer");
const installed = join(consumer, "node_modules/kontena");
const system = join(box.directory, "system");

function command(words: string[], cwd = TOP): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(words, { cwd });
  if (exitCode !== 0) throw new Error(`${words.join(" ")} ended with ${exitCode}:\n${stdout}${stderr}`);
  return stdout.toString();
}

const debianPackage = () =>
  join(PACKAGES, `kontena_${version}_${process.arch === "arm64" ? "arm64" : "amd64"}.deb`);

beforeAll(() => {
  if (!isThere("root", "busybox")) return;
  const hasDpkg = isThere("dpkg");
  command(["scripts/package", "npm", ...(hasDpkg ? ["deb"] : [])]);
  mkdirSync(installed, { recursive: true });
  command(["tar", "-xzf", join(PACKAGES, `kontena-${version}.tgz`), "--strip-components=1", "-C", installed]);
  // What npm would bring: the declarations name its types.
  symlinkSync(join(TOP, "node_modules/valibot"), join(consumer, "node_modules/valibot"));
  if (hasDpkg) command(["dpkg-deb", "--extract", debianPackage(), system]);
});

const PROGRAM = `import { type Exit, KontenaError, open } from "kontena";

const [root = "", bundle = ""] = process.argv.slice(2);
const kontena = open({ root });
try {
  kontena.create({ id: "no/id", bundle });
} catch (error) {
  if (!(error instanceof KontenaError)) throw error;
  console.log(error.code);
}
const container = kontena.create({ id: process.argv[4] ?? "", bundle });
container.start();
const exit: Exit = await container.wait();
container.delete();
console.log(exit.code);
`;

test("a Bun program imports the library from the npm package, and makes a container", () => {
  const program = join(consumer, "program.ts");
  writeFileSync(program, PROGRAM);
  const b = box.bundle({ args: "exit 3" });
  const plans = () =>
    readdirSync(join(box.root, "@plans")).filter((name) => /^[0-9a-f]{16}$/.test(name)).length;
  // The second program keeps the plan, the third goes by it.
  for (const kept of [0, 1, 1]) {
    expect(command([process.execPath, program, box.root, b.directory, b.id])).toBe("ID_INVALID\n3\n");
    expect(plans()).toBe(kept);
  }
});

test("the declarations of the npm package are whole, and hold a program to them", () => {
  writeFileSync(join(consumer, "typed.ts"), PROGRAM);
  writeFileSync(join(consumer, "wrong.ts"), 'import { open } from "kontena";\nopen({ root: 1 });\n');
  const compilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, module: "ESNext", target: "ESNext" },
    ...{ moduleResolution: "bundler", types: ["bun-types"], typeRoots: [join(TOP, "node_modules")] },
  };
  const check = (...files: string[]) => {
    writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const { stdout } = Bun.spawnSync([join(TOP, "node_modules/.bin/tsc"), "-p", consumer]);
    return stdout.toString();
  };
  expect(check("typed.ts")).toBe("");
  expect(check("wrong.ts")).toContain("Type 'number' is not assignable to type 'string'");
  // Every declaration that is named is in the package: none is silently \`any\`.
  compilerOptions.skipLibCheck = false;
  expect(
    check("typed.ts")
      .split("\n")
      .filter((line) => line.includes("node_modules/kontena")),
  ).toEqual([]);
});

test("the npm package's command runs containers under Bun", () => {
  const program = [process.execPath, join(installed, "cli/main.js")];
  expect(box.kontena(["--version"], { program, globals: [] }).stdout).toContain(
    `kontena version ${version}\n`,
  );
  const b = box.bundle({ args: "hostname; exit 4" });
  expect(box.kontena(["run", "--bundle", b.directory, b.id], { program })).toMatchObject({
    status: 4,
    stdout: "kontena\n",
  });
  expect(box.kontena(["run", "--nosuch"], { program }).stderr).toContain("nosuch");
});

test("no file of the npm package names this machine's directories, and everybody may read each", () => {
  const files = (readdirSync(installed, { recursive: true }) as string[])
    .map((name) => join(installed, name))
    .filter((path) => statSync(path).isFile());
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((path) => readFileSync(path).includes(TOP))).toEqual([]);
  expect(files.filter((path) => (statSync(path).mode & 0o444) !== 0o444)).toEqual([]);
});

test("a root that a program has removed stays removed", () => {
  const program = join(consumer, "removing.ts");
  const { directory, id } = box.bundle();
  const root = join(box.directory, "removed");
  const text = `import { rmSync } from "node:fs";
import { open } from "kontena";
const container = open({ root: ${JSON.stringify(root)} }).create(${JSON.stringify({ id, bundle: directory })});
container.start();
container.waitSync();
container.delete();
rmSync(${JSON.stringify(root)}, { recursive: true });
`;
  writeFileSync(program, text);
  command([process.execPath, program]);
  expect(existsSync(root)).toBe(false);
});

debianTest("the Debian package has the executable, its manual page and its completions", () => {
  const program = [join(system, "usr/bin/kontena")];
  const b = box.bundle({ args: "exit 5" });
  expect(box.kontena(["run", "--bundle", b.directory, b.id], { program }).status).toBe(5);
  const share = (path: string) => readFileSync(join(system, "usr/share", path));
  expect(Bun.gunzipSync(share("man/man8/kontena.8.gz"))).toEqual(
    new Uint8Array(readFileSync(join(TOP, "docs/man/kontena.8"))),
  );
  const { stdout } = box.kontena(["completion", "bash"], { program, globals: [] });
  expect(share("bash-completion/completions/kontena").toString()).toBe(stdout);
});

debianTest("the Debian package is installed and removed, and leaves nothing", () => {
  const root = join(box.directory, "debian");
  for (const name of ["updates", "info"]) mkdirSync(join(root, "var/lib/dpkg", name), { recursive: true });
  writeFileSync(join(root, "var/lib/dpkg/status"), "");
  const dpkg = (...words: string[]) =>
    command([
      "dpkg",
      `--root=${root}`,
      "--force-depends",
      "--force-script-chrootless",
      "--log=/dev/null",
      ...words,
    ]);
  dpkg("--install", debianPackage());
  expect(command(["dpkg", `--root=${root}`, "--status", "kontena"])).toContain(
    "Status: install ok installed",
  );
  expect(command(["dpkg", `--root=${root}`, "--verify", "kontena"])).toBe("");
  dpkg("--purge", "kontena");
  expect(existsSync(join(root, "usr"))).toBe(false);
});
