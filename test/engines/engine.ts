/**
 * What the tests of real engines share: a scratch directory with all that an engine keeps, an image of busybox, and kontena as its
 * runtime, with a state root of its own. KONTENA_TEST_RUNTIME names another runtime, runc say: the tests are of what engines
 * need, so they have to pass with that one too.
 */
import { afterAll, afterEach, expect, setDefaultTimeout } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { KONTENA, until } from "../integration/helpers.ts";
import { makeImage } from "../integration/image.ts";
import { isAlive, namesIn, processesOf, readOr } from "../integration/leftovers.ts";

const RUNTIME = process.env["KONTENA_TEST_RUNTIME"] ?? KONTENA;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Answer {
  status: number;
  stdout: string;
  stderr: string;
}

/** One test file's engine. `clear` removes all its containers, for a test that failed before it did. */
export function openEngine(name: string, clear: () => void) {
  setDefaultTimeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), `kontena-${name}-`));
  const states = join(directory, "states");
  const env: Record<string, string> = { PATH, HOME: directory };
  const daemons: Subprocess[] = [];

  /** Runs a command of the engine to its end. */
  function command(...words: string[]): Answer {
    const { exitCode, stdout, stderr } = Bun.spawnSync(words, { env, stdin: "ignore", cwd: directory });
    return { status: exitCode, stdout: stdout.toString().trimEnd(), stderr: stderr.toString().trimEnd() };
  }

  /** The same of one that has to succeed; its standard output. */
  function output(...words: string[]): string {
    const answer = command(...words);
    if (answer.status !== 0)
      throw new Error(`${words.join(" ")} ended with ${answer.status}: ${answer.stderr}`);
    return answer.stdout;
  }

  /** The first line that a command shows on a terminal, which script(1) gives it; its own input has ended, which shows as ^@. */
  function onTerminal(...words: string[]): string {
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    return (
      command("script", "-qec", quoted, "/dev/null").stdout.replace("^@", "").split("\n")[0]?.trimEnd() ?? ""
    );
  }

  function write(file: string, text: string, mode = 0o644): string {
    const path = join(directory, file);
    writeFileSync(path, text, { mode });
    return path;
  }

  /** Starts the engine's daemon, and waits until it answers. */
  async function startDaemon(words: string[], answers: () => Answer): Promise<void> {
    const log = Bun.file(join(directory, "daemon.log"));
    const daemon = Bun.spawn(words, { env, stdio: ["ignore", log, log], cwd: directory });
    daemons.push(daemon);
    await until(
      `${words[0]} answers`,
      () => {
        if (daemon.exitCode !== null) throw new Error(readFileSync(join(directory, "daemon.log"), "utf8"));
        return answers().status === 0;
      },
      30_000,
    );
  }

  const mounted = () =>
    readOr("/proc/self/mountinfo", "")
      .split("\n")
      .flatMap((line) => line.split(" ")[4] ?? [])
      .filter((path) => path.startsWith(directory))
      .toReversed();

  afterEach(clear);
  afterAll(async () => {
    // Docker has a root of its own for its runtime.
    const left = [states, join(directory, "exec/runtime-runc")].flatMap(statesIn);
    // The last one first: it may need the one before to end.
    for (const daemon of daemons.toReversed()) {
      daemon.kill();
      await daemon.exited;
    }
    const helpers = helpersIn(directory);
    for (const { pid } of helpers) process.kill(pid, "SIGKILL");
    for (const path of mounted()) command("umount", "-l", path);
    rmSync(directory, { recursive: true, force: true });
    // What the engine has removed is removed.
    expect({ left, helpers, processes: processesOf(directory, directory) }).toEqual({
      left: [],
      helpers: [],
      processes: [],
    });
  });
  mkdirSync(states);
  return {
    directory,
    states,
    env,
    command,
    output,
    onTerminal,
    write,
    startDaemon,
    image: () => makeImage(directory),
  };
}

/** Processes that an engine has left beside its containers: they are told of its directory. */
function helpersIn(directory: string): { pid: number; command: string }[] {
  return namesIn("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && isAlive(Number(name)))
    .map((name) => ({
      pid: Number(name),
      command: readOr(`/proc/${name}/cmdline`, "").replaceAll("\0", " "),
    }))
    .filter(({ command }) => command.includes(directory));
}

/** Ids of containers in a root, or in one of the roots below it: an engine has one for each of its namespaces. */
function statesIn(root: string): string[] {
  return namesIn(root).flatMap((name) => {
    if (name.startsWith("@")) return [];
    const below = join(root, name);
    return namesIn(below).includes("state.json") ? [below] : statesIn(below);
  });
}

export type Engine = ReturnType<typeof openEngine>;

/** Starts a containerd with all that it keeps in the engine's directory. @returns its socket */
export async function startContainerd({ directory, command, write, startDaemon }: Engine): Promise<string> {
  const socket = join(directory, "c.sock");
  const config = write(
    "config.toml",
    `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`,
  );
  await startDaemon(["containerd", "-c", config], () => command("ctr", "-a", socket, "version"));
  return socket;
}

/** The executable that an engine is told of. It finds hardly any environment, so all its paths are absolute. */
export function runtimeWith(directory: string, ...globals: string[]): string {
  const path = join(directory, "runtime");
  writeFileSync(path, `#!/bin/sh\nexec ${[RUNTIME, ...globals].join(" ")} "$@"\n`, { mode: 0o755 });
  return path;
}

/** The last words before a terminal's end may be lost: the kernel hangs it up when its first process ends. */
export const TTY = "tty; sleep 0.3";

/** The image as an OCI image (image-spec, "Image Layout"), in an archive. */
export function ociImage(directory: string, name: string): string {
  const layout = join(directory, "oci");
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string) => {
    const hash = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hash), bytes);
    return {
      mediaType: `application/vnd.oci.image.${mediaType}`,
      digest: `sha256:${hash}`,
      size: bytes.length,
    };
  };
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const layer = put(readFileSync(makeImage(directory)), "layer.v1.tar");
  const config = put(
    json({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: { Env: ["PATH=/bin"], Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    }),
    "config.v1+json",
  );
  const manifest = put(json({ schemaVersion: 2, config, layers: [layer] }), "manifest.v1+json");
  const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name };
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(
    join(layout, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  const archive = join(directory, "oci.tar");
  Bun.spawnSync(["tar", "-C", layout, "-cf", archive, ...readdirSync(layout)]);
  return archive;
}

/** What `run` of a command line like Docker's tells its caller. */
export function runTests(
  test: (name: string, body: () => void) => void,
  run: (...words: string[]) => Answer,
): void {
  test("run gives the program's output and exit status", () => {
    expect(run("bb:1", "sh", "-c", "echo hello; echo there >&2; exit 7")).toEqual({
      status: 7,
      stdout: "hello",
      stderr: "there",
    });
  });

  test("HOME is that of the program's user, whether the engine says it or leaves it to its runtime", () => {
    expect(run("bb:1", "sh", "-c", "echo $HOME").stdout).toBe("/root");
    expect(run("--user", "user", "bb:1", "sh", "-c", "echo $HOME").stdout).toBe("/home/user");
  });

  test("a program that isn't there is 127, one that isn't executable 126", () => {
    const missing = run("bb:1", "nosuch");
    expect(missing.status).toBe(127);
    expect(missing.stderr).toMatch(/executable file .*not found in \$PATH/);
    const refused = run("bb:1", "/bin/data");
    expect(refused.status).toBe(126);
    expect(refused.stderr).toMatch(/permission denied/i);
  });
}
