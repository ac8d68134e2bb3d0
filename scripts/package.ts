/**
 * Called by scripts/package. What a package holds is put together in a directory under dist/packages, and packed from there. The
 * same sources give the same bytes: times and modes aren't those of the working copy.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defines, MAIN, reachLife } from "./life.ts";

const TOP = join(import.meta.dir, "..");
const OUT = join(TOP, "dist/packages");
const manifest = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8"));
const { version, description } = manifest;

/** Runs a command of the top directory; its failure is this program's. */
function run(command: string[], options: { cwd?: string; env?: Record<string, string> } = {}): string {
  const { cwd = TOP, env = {} } = options;
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, env: { ...process.env, ...env } });
  if (exitCode === 0) return stdout.toString();
  console.error(`${command.join(" ")} ended with ${exitCode}:\n${stdout}${stderr}`);
  process.exit(1);
}

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

const filesIn = (directory: string): string[] =>
  (readdirSync(directory, { recursive: true }) as string[])
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();

/** Everybody may read what is packed, whatever the umask was. */
const makeReadable = (stage: string) => run(["find", stage, "-exec", "chmod", "u=rwX,go=rX", "{}", "+"]);

/** When the sources were made, in seconds: as the caller says, or of the commit; without either, of no time. */
function epoch(): string {
  const asked = process.env["SOURCE_DATE_EPOCH"];
  if (asked !== undefined) return asked;
  const { exitCode, stdout } = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { cwd: TOP });
  return exitCode === 0 ? stdout.toString().trim() : "0";
}

/** `src/index.ts`'s declarations and all that they name, with the extension that resolves to a declaration everywhere. */
function declarations(stage: string): void {
  const all = `${stage}-declarations`;
  const project = `${stage}-tsconfig.json`;
  const config = {
    extends: join(TOP, "tsconfig.json"),
    compilerOptions: {
      ...{ noEmit: false, declaration: true, emitDeclarationOnly: true, rootDir: TOP, outDir: all },
      typeRoots: [join(TOP, "node_modules")],
    },
    include: [],
    files: [join(TOP, "src/index.ts")],
  };
  write(project, JSON.stringify(config));
  run(["node_modules/.bin/tsc", "-p", project]);
  const wanted = [join(all, "src/index.d.ts")];
  // Grows as files are found.
  for (const path of wanted) {
    const text = readFileSync(path, "utf8").replace(/(from "\.[^"]*|import\("\.[^"]*)\.ts"/g, '$1.js"');
    write(join(stage, "types", path.slice(all.length + 1)), text);
    for (const [, name = ""] of text.matchAll(/(?:from |import\()"(\.[^"]*)\.js"/g)) {
      const found = `${resolve(dirname(path), name)}.d.ts`;
      if (!wanted.includes(found)) wanted.push(found);
    }
  }
  rmSync(all, { recursive: true });
  rmSync(project);
}

/** For npm: the library as one file with its bytecode, the command line as modules that are loaded when they are used. */
async function packNpm(): Promise<string> {
  const stage = join(OUT, "npm");
  const common = { target: "bun", minify: true, define: defines() } as const;
  const library = join(TOP, "src/index.ts");
  await Bun.build({
    ...common,
    ...{ entrypoints: [library], format: "cjs", bytecode: true, outdir: join(stage, "library") },
  });
  await Bun.build({
    ...common,
    ...{ entrypoints: [MAIN], format: "esm", splitting: true, plugins: [reachLife] },
    outdir: join(stage, "cli"),
  });
  const main = join(stage, "cli/main.js");
  writeFileSync(main, `#!/usr/bin/env bun\n${readFileSync(main, "utf8").replace(/^#!.*\n/, "")}`, {
    mode: 0o755,
  });
  declarations(stage);
  const { name, license, os, cpu, engines, dependencies } = manifest;
  // Nothing is needed at run time; the declarations name types of valibot's.
  const published = {
    ...{ name, version, description, license, os, cpu, engines },
    bin: { kontena: "cli/main.js" },
    exports: { ".": { types: "./types/src/index.d.ts", default: "./library/index.js" } },
    dependencies: { valibot: dependencies.valibot },
  };
  write(join(stage, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
  for (const file of ["README.md", "CHANGELOG.md", "LICENSE", "config.json.example"])
    cpSync(join(TOP, file), join(stage, file));
  makeReadable(stage);
  run(["bun", "pm", "pack", "--quiet", "--destination", OUT], { cwd: stage });
  return `${name}-${version}.tgz`;
}

const DEBIAN_ARCHITECTURE: Partial<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

const control = (architecture: string, kilobytes: number): string => `Package: kontena
Version: ${version}
Architecture: ${architecture}
Maintainer: The kontena developers <kontena@localhost>
Installed-Size: ${kilobytes}
Depends: libc6
Recommends: libseccomp2
Suggests: uidmap, podman, containerd, docker.io
Section: admin
Priority: optional
Description: OCI container runtime in TypeScript
 kontena creates and runs containers on Linux from OCI bundles. Its commands
 and options are those of runc and crun, so Podman, containerd and Docker can
 use it in their place. It turns a config.json into a plan of system calls,
 which can be looked at before anything is done, and which a tiny init executes.
`;

/** For Debian: the executable, its manual page and completions. */
function packDebian(): string {
  const architecture = DEBIAN_ARCHITECTURE[process.arch];
  if (architecture === undefined) throw new Error(`no Debian architecture for ${process.arch}`);
  const stage = join(OUT, "deb");
  run(["scripts/build"], { env: { KONTENA_QUIET: "1" } });
  const executable = join(stage, "usr/bin/kontena");
  mkdirSync(dirname(executable), { recursive: true });
  cpSync(join(TOP, "dist/kontena"), executable);
  const completion = (shell: string) => run([executable, "completion", shell]);
  const share = join(stage, "usr/share");
  write(join(share, "bash-completion/completions/kontena"), completion("bash"));
  write(join(share, "zsh/vendor-completions/_kontena"), completion("zsh"));
  write(join(share, "fish/vendor_completions.d/kontena.fish"), completion("fish"));
  const compressed = (file: string) => gzipSync(readFileSync(join(TOP, file)), { level: 9 });
  write(join(share, "man/man8/kontena.8.gz"), compressed("docs/man/kontena.8"));
  const documents = join(share, "doc/kontena");
  write(join(documents, "changelog.gz"), compressed("CHANGELOG.md"));
  write(join(documents, "copyright"), readFileSync(join(TOP, "LICENSE")));
  for (const file of ["README.md", "config.json.example"])
    write(join(documents, file), readFileSync(join(TOP, file)));
  const files = filesIn(stage);
  const kilobytes = files.reduce((sum, name) => sum + Math.ceil(statSync(join(stage, name)).size / 1024), 0);
  const sum = (name: string) =>
    new Bun.CryptoHasher("md5").update(readFileSync(join(stage, name))).digest("hex");
  write(join(stage, "DEBIAN/md5sums"), files.map((name) => `${sum(name)}  ${name}\n`).join(""));
  write(join(stage, "DEBIAN/control"), control(architecture, kilobytes));
  makeReadable(stage);
  const name = `kontena_${version}_${architecture}.deb`;
  // The best compression of 113 MB takes half a minute for a tenth less.
  run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z2", "--build", stage, join(OUT, name)], {
    env: { SOURCE_DATE_EPOCH: epoch() },
  });
  return name;
}

/** What makes a package, and the program that it takes, with its Debian package. */
const MAKERS: Record<string, { make: () => string | Promise<string>; needs?: string }> = {
  npm: { make: packNpm },
  deb: { make: packDebian, needs: "dpkg-deb" },
};

function stop(message: string): never {
  console.error(`scripts/package: ${message}`);
  process.exit(1);
}

const names = process.argv.slice(2);
const makers = names.map((name) => {
  const maker = MAKERS[name] ?? stop(`it makes ${Object.keys(MAKERS).join(" and ")}, not ${name}`);
  if (maker.needs !== undefined && Bun.which(maker.needs) === null)
    stop(`${name} takes ${maker.needs}, from Debian's dpkg; \`scripts/package npm\` does without it`);
  return { name, make: maker.make };
});
mkdirSync(OUT, { recursive: true });
for (const { name, make } of makers) {
  rmSync(join(OUT, name), { recursive: true, force: true });
  console.log(join("dist/packages", await make()));
}
