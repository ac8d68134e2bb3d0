/**
 * What the integration tests share: bundles made from busybox, the built executable run as a process, and a check after
 * each test that nothing of its containers is left.
 */
import { afterAll, afterEach, test as bunTest, expect, setDefaultTimeout } from "bun:test";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Subprocess } from "bun";
import type { Config } from "../../spec/config.ts";
import type { Process } from "../../spec/process.ts";
import type { State } from "../../spec/state.ts";
import { cgroupsNamed, controllerOf, isAlive, namesIn, processesOf, readOr } from "./leftovers.ts";

export { cgroupsNamed, controllerOf, isAlive, readOr };

/** The executable under test. */
export const KONTENA = resolve(process.env["KONTENA_BIN"] ?? join(import.meta.dir, "../../dist/kontena"));
if (!existsSync(KONTENA))
  throw new Error(
    `no executable to test at ${KONTENA}: scripts/build makes it, or KONTENA_BIN names another`,
  );

/** How many times slower than an ordinary machine this one is, for limits of time: an emulated one is. */
const SLOWNESS = Number(process.env["KONTENA_TEST_SLOWNESS"] ?? 1);
const HANGS_MS = 10_000 * SLOWNESS;

const BUSYBOX = "/bin/busybox";
const APPLETS =
  "sh cat echo env false hostname id ls mkdir mount pwd readlink sleep stat tail test touch true umask usleep wc";

/** What a machine may lack, and where it comes from. */
const REQUIREMENTS = {
  root: { there: () => process.geteuid?.() === 0, from: "the tests run as root" },
  busybox: { there: isStaticBusybox, from: "Debian's busybox-static" },
  setpriv: { there: () => Bun.which("setpriv") !== null, from: "Debian's util-linux" },
  python3: { there: () => Bun.which("python3") !== null, from: "Debian's python3" },
  iproute2: { there: () => Bun.which("ip") !== null, from: "Debian's iproute2" },
  podman: { there: () => Bun.which("podman") !== null, from: "Debian's podman; test/lab" },
  containerd: {
    there: () => Bun.which("containerd") !== null && Bun.which("ctr") !== null,
    from: "Debian's containerd",
  },
  docker: {
    there: () => Bun.which("dockerd") !== null && Bun.which("docker") !== null,
    from: "Debian's docker.io",
  },
  runc: { there: () => Bun.which("runc") !== null, from: "Debian's runc" },
  script: { there: () => Bun.which("script") !== null, from: "Debian's bsdutils" },
  ps: { there: () => Bun.which("ps") !== null, from: "Debian's procps" },
  systemd: { there: () => existsSync("/run/systemd/system"), from: "a host that systemd runs; test/lab" },
  "cgroup v2": {
    there: () => existsSync("/sys/fs/cgroup/cgroup.controllers"),
    from: "a host with cgroup v2 alone; test/lab",
  },
  "cgroup v1": { there: () => controllerOf("", "pids")?.version === 1, from: "a host with cgroup v1" },
  "a v2 hierarchy": {
    there: () =>
      /^0::/m.test(readOr("/proc/self/cgroup", "")) && / - cgroup2 /.test(readOr("/proc/self/mountinfo", "")),
    from: "a host with cgroup v2, alone or beside v1",
  },
  dpkg: { there: () => Bun.which("dpkg-deb") !== null, from: "Debian's dpkg" },
  strace: { there: () => Bun.which("strace") !== null, from: "Debian's strace" },
  uidmap: {
    there: () => Bun.which("newuidmap") !== null && existsSync("/etc/subuid"),
    from: "Debian's uidmap",
  },
  "user namespaces": {
    there: () => Number(readOr("/proc/sys/user/max_user_namespaces", "0")) > 0,
    from: "the kernel",
  },
} as const;
export type Requirement = keyof typeof REQUIREMENTS;

/** A dynamically linked one names its loader and finds none in the container. */
function isStaticBusybox(): boolean {
  return existsSync(BUSYBOX) && !readFileSync(BUSYBOX).subarray(0, 4096).includes("/ld-");
}

/** Whether the machine has all of these: for what is set up before tests that need them. */
export const isThere = (...names: Requirement[]): boolean =>
  names.every((name) => REQUIREMENTS[name].there());

const told = new Set<Requirement>();

/** `test`, skipped where the machine lacks something, which is told by name. */
export function testNeeding(...names: Requirement[]) {
  const missing = names.filter((name) => !REQUIREMENTS[name].there());
  for (const name of missing.filter((n) => !told.has(n))) {
    told.add(name);
    console.warn(`tests are skipped: ${name} is missing (${REQUIREMENTS[name].from})`);
  }
  return bunTest.skipIf(missing.length > 0);
}

export const test = testNeeding("root", "busybox");

/** `test`, skipped unless the machine is of the kind that it is about. */
export const testWhen = (condition: boolean) => (condition ? test : bunTest.skip);

/** Whether this machine's root has a capability in its bounding set, by number. */
export function hasCapability(number: number): boolean {
  return ((boundingSet() >> BigInt(number)) & 1n) === 1n;
}

export function boundingSet(): bigint {
  return BigInt(`0x${/^CapBnd:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"}`);
}

/** The config that `kontena spec` writes, where these properties are always there. */
export type TestConfig = Config & {
  process: Process;
  root: NonNullable<Config["root"]>;
  mounts: NonNullable<Config["mounts"]>;
  linux: NonNullable<Config["linux"]>;
};

export interface BundleOptions {
  /** process.args; a string is a script for sh. */
  args?: string | string[];
  /** Changes the config of `kontena spec` before it is written. */
  patch?: (config: TestConfig, directory: string) => void;
  /** Puts more into the root file system. */
  fill?: (rootfs: string) => void;
}

export interface TestBundle {
  id: string;
  directory: string;
  rootfs: string;
  config: TestConfig;
}

export interface RunOptions {
  /** Exactly this environment; PATH alone unless given. */
  env?: Record<string, string>;
  cwd?: string;
  /** Text for the standard input; without it, /dev/null. */
  stdin?: string;
  /** Words before the program's name, for example `setpriv …`. */
  before?: string[];
  /** Global options instead of `--root` of this file. */
  globals?: string[];
  /** Another program in the place of the built executable. */
  program?: readonly string[];
}

export interface Finished {
  /** Exit status; 128+N when signal N ended it. */
  status: number;
  stdout: string;
  stderr: string;
  /** Standard output as it is now: a container goes on writing after `create` has ended. */
  output(): string;
}

export interface Running {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  exited: Promise<number>;
  /** Standard output and standard error so far. */
  output(): string;
  errors(): string;
}

export type Box = ReturnType<typeof openBox>;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

let specConfig: string | undefined;

function defaultConfig(): TestConfig {
  if (specConfig === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "kontena-spec-"));
    Bun.spawnSync([KONTENA, "spec", "--bundle", directory]);
    specConfig = readFileSync(join(directory, "config.json"), "utf8");
    rmSync(directory, { recursive: true });
  }
  return JSON.parse(specConfig) as TestConfig;
}

/**
 * One test file's place: a temporary directory with its own `--root`, ids that no other file has, and after each test the
 * removal of all its containers and the proof that nothing is left.
 */
export function openBox(name: string) {
  // Here and not above: it is the calling file's, and this file is loaded once for all.
  setDefaultTimeout(6 * HANGS_MS);
  const directory = mkdtempSync(join(tmpdir(), `kontena-${name}-`));
  // Users of other ids look in as well.
  chmodSync(directory, 0o755);
  const root = join(directory, "state");
  const prefix = `${name}-${process.pid}-`;
  let count = 0;
  const next = () => `${prefix}${++count}`;

  function bundle({ args = ["true"], patch, fill }: BundleOptions = {}): TestBundle {
    const id = next();
    const place = join(directory, id);
    const rootfs = join(place, "rootfs");
    mkdirSync(join(rootfs, "bin"), { recursive: true });
    const shared = join(directory, "busybox");
    if (!existsSync(shared)) copyFileSync(BUSYBOX, shared);
    linkSync(shared, join(rootfs, "bin/busybox"));
    for (const applet of APPLETS.split(" ")) symlinkSync("busybox", join(rootfs, "bin", applet));
    const config = defaultConfig();
    config.process.args = typeof args === "string" ? ["sh", "-c", args] : args;
    patch?.(config, place);
    fill?.(rootfs);
    writeFileSync(join(place, "config.json"), JSON.stringify(config));
    return { id, directory: place, rootfs, config };
  }

  function prepare(
    args: string[],
    { env, cwd, stdin, before = [], globals, program = [KONTENA] }: RunOptions,
  ) {
    const files = join(directory, `io-${++count}`);
    mkdirSync(files);
    if (stdin !== undefined) writeFileSync(join(files, "in"), stdin);
    const stdio = [
      openSync(stdin === undefined ? "/dev/null" : join(files, "in"), "r"),
      openSync(join(files, "out"), "a"),
      openSync(join(files, "err"), "a"),
    ] as [number, number, number];
    const output = () => readFileSync(join(files, "out"), "utf8");
    const errors = () => readFileSync(join(files, "err"), "utf8");
    const command = [...before, ...program, ...(globals ?? ["--root", root]), ...args];
    const options = { env: env ?? { PATH }, cwd: cwd ?? directory, stdio };
    const release = () => {
      for (const fd of stdio) closeSync(fd);
    };
    return { command, options, output, errors, release };
  }

  /** Runs kontena to its end. Its output goes to files: a pipe would stay open as long as the container holds it. */
  function kontena(args: string[], given: RunOptions = {}): Finished {
    const { command, options, output, errors, release } = prepare(args, given);
    // One that hangs is a failure, not the end of the tests.
    const { exitCode, signalCode } = Bun.spawnSync(command, {
      ...options,
      timeout: HANGS_MS,
      killSignal: "SIGKILL",
    });
    release();
    const status = signalCode ? 128 + (constants.signals[signalCode as NodeJS.Signals] ?? 0) : exitCode;
    return { status, stdout: output(), stderr: errors(), output };
  }

  const spawned = new Set<Subprocess>();

  /** Starts kontena and comes back at once. */
  function spawn(args: string[], given: RunOptions = {}): Running {
    const { command, options, output, errors, release } = prepare(args, given);
    const child = Bun.spawn(command, options);
    release();
    spawned.add(child);
    return { pid: child.pid, kill: (signal) => child.kill(signal), exited: child.exited, output, errors };
  }

  const create = (b: TestBundle, ...more: string[]) =>
    kontena(["create", "--bundle", b.directory, ...more, b.id]);
  const run = (b: TestBundle, ...more: string[]) => kontena(["run", "--bundle", b.directory, ...more, b.id]);

  function state(id: string): State {
    const { status, stdout, stderr } = kontena(["state", id]);
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as State;
  }

  /** Standard output of a program that has to run well, with `run`. */
  function outputOf(options: BundleOptions): string {
    const finished = run(bundle(options));
    expect(finished).toMatchObject({ status: 0, stderr: "" });
    return finished.stdout;
  }

  /** What is left of containers; what the runtime remembers of plans is none. */
  const ids = () => namesIn(root).filter((name) => !name.startsWith("@"));

  function removeContainers(): void {
    for (const child of spawned) child.kill("SIGKILL");
    spawned.clear();
    for (const id of ids()) {
      const { status, stderr } = kontena(["delete", "--force", id]);
      // What is left is a failure of the test; this is its reason.
      if (status !== 0) console.error(`delete --force ${id}: ${stderr}`);
    }
  }

  const leftovers = () => ({
    states: ids(),
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(directory)),
    cgroups: cgroupsNamed(`kontena-${prefix}`),
    processes: processesOf(directory, `kontena-${prefix}`),
  });

  afterEach(async () => {
    removeContainers();
    // A killed process may need a moment to disappear.
    for (let i = 0; i < 20 && leftovers().processes.length > 0; i++) await Bun.sleep(10);
    expect(leftovers()).toEqual({ states: [], mounts: [], cgroups: [], processes: [] });
  });
  afterAll(() => {
    removeContainers();
    rmSync(directory, { recursive: true, force: true });
  });
  return { directory, root, ids, next, bundle, kontena, spawn, create, run, state, outputOf, leftovers };
}

/** Waits until something is so, looking every few milliseconds. */
export async function until(what: string, condition: () => boolean, milliseconds = 5000): Promise<void> {
  const end = Date.now() + milliseconds * SLOWNESS;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not so after ${milliseconds} ms: ${what}`);
    await Bun.sleep(5);
  }
}

/** Lines of /proc/PID/status as an object. */
export function statusFields(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line.includes(":\t"))
      .map((line) => line.split(":\t", 2) as [string, string]),
  );
}

/** An id that no process of the machine has; Debian's nobody. */
export const NOBODY = 65534;

/** How that user calls kontena: with a state root of its own, and a bundle that it owns. */
export function asNobody(box: Box, b: TestBundle): RunOptions {
  const runtime = join(box.directory, `runtime-${b.id}`);
  mkdirSync(runtime, { mode: 0o700 });
  Bun.spawnSync(["chown", "-R", `${NOBODY}:${NOBODY}`, runtime, b.directory]);
  return {
    before: ["setpriv", "--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups", "--"],
    env: { PATH, XDG_RUNTIME_DIR: runtime },
    globals: [],
    cwd: b.directory,
  };
}

/** What `kontena spec --rootless` has for that user, in the place of the default config's. */
export function rootless(config: TestConfig): void {
  const own = [{ containerID: 0, hostID: NOBODY, size: 1 }];
  config.linux.namespaces = (config.linux.namespaces ?? []).filter(({ type }) => type !== "cgroup");
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = own;
  config.linux.gidMappings = own;
  delete config.linux.resources;
  config.mounts = config.mounts
    .filter(({ type }) => type !== "cgroup")
    .map((m) => ({
      ...m,
      ...(m.options ? { options: m.options.filter((o) => !o.startsWith("gid=")) } : {}),
    }));
}
