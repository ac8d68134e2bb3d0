/** What a case works with: bundles, the runtime's commands, and a look at the container from inside and outside. */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { baseConfig, type Changes, change, type Draft } from "./base.ts";
import { Broken, holds, Skipped } from "./case.ts";
import { type CallOptions, call, type Finished, type Runtime } from "./runtime.ts";

/** Mounts something for the case to work with; it goes with the lab. */
export function mount(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["mount", ...args]);
  if (exitCode !== 0) throw new Error(`mount ${args.join(" ")}: ${stderr}`);
}

const APPLETS =
  "sh cat chmod chown chroot cp cut date dd echo env expr false find free grep head hostname id ionice ip kill ln ls mkdir mkfifo mknod mount mv nproc ps pwd readlink renice rm sed sleep sort stat stty sync tail taskset test touch true tty umask umount uname uptime wc which";

export interface Bundle {
  id: string;
  directory: string;
  rootfs: string;
  config: Draft;
}

export interface BundleOptions {
  changes?: Changes;
  /** Puts more into the bundle before `create`. */
  fill?: (bundle: Bundle) => void;
  /** The text of config.json, when JSON.stringify doesn't do. */
  text?: (config: Draft) => string | Uint8Array;
}

export interface State {
  ociVersion: string;
  id: string;
  status: string;
  pid?: number;
  bundle: string;
  annotations?: Record<string, string>;
}

export type Lab = ReturnType<typeof openLab>;

/** A script for the container's sh, or its args. */
export type Program = string | string[];

/**
 * @param directory the lab's own, empty
 * @param prefix of all container ids
 */
export function openLab(runtime: Runtime, directory: string, prefix: string) {
  const root = join(directory, "state");
  const shared = join(directory, "../busybox");
  let count = 0;
  const ids: string[] = [];

  /** A bundle of its own with a container id of its own. */
  function bundle(program: Program = ["true"], { changes = {}, fill, text }: BundleOptions = {}): Bundle {
    const id = `${prefix}-${++count}`;
    ids.push(id);
    const place = join(directory, id);
    const rootfs = join(place, "rootfs");
    mkdirSync(join(rootfs, "bin"), { recursive: true });
    for (const name of ["proc", "sys", "dev", "tmp"]) mkdirSync(join(rootfs, name));
    if (!existsSync(shared)) copyFileSync("/bin/busybox", shared);
    linkSync(shared, join(rootfs, "bin/busybox"));
    for (const applet of APPLETS.split(" ")) symlinkSync("busybox", join(rootfs, "bin", applet));
    const args = typeof program === "string" ? ["sh", "-c", program] : program;
    const config = change(change(baseConfig(), { "process.args": args }), changes);
    const made = { id, directory: place, rootfs, config };
    fill?.(made);
    writeFileSync(join(place, "config.json"), text ? text(config) : JSON.stringify(config));
    return made;
  }

  const command = (args: string[], options: CallOptions = {}) =>
    call(
      [...(options.before ?? []), runtime.path, "--root", root, ...(options.globals ?? []), ...args],
      join(directory, `io-${++count}`),
      options,
    );

  const create = (b: Bundle, more: string[] = [], options?: CallOptions) =>
    command(["create", "--bundle", b.directory, ...more, b.id], options);
  const start = (b: Bundle) => command(["start", b.id]);
  const kill = (b: Bundle, signal: string) => command(["kill", b.id, signal]);
  const remove = (b: Bundle, more: string[] = []) => command(["delete", ...more, b.id]);
  const run = (b: Bundle, more: string[] = [], options?: CallOptions) =>
    command(["run", "--bundle", b.directory, ...more, b.id], options);

  async function state(b: Bundle): Promise<State> {
    const { stdout } = done(await command(["state", b.id]), "state");
    return JSON.parse(stdout) as State;
  }

  const isThere = async (b: Bundle) => (await command(["state", b.id])).status === 0;

  /** A container whose program waits to be started. */
  async function created(program: Program = ["sleep", "60"], options: BundleOptions = {}) {
    const b = bundle(program, options);
    const finished = done(await create(b), "create");
    const { pid } = await state(b);
    if (!pid) throw new Broken("state of a created container has no pid");
    return Object.assign(b, { pid, output: finished.output });
  }

  async function started(program: Program = ["sleep", "60"], options: BundleOptions = {}) {
    const b = await created(program, options);
    done(await start(b), "start");
    return b;
  }

  /** Waits for a status, up to ten seconds. */
  async function reaches(b: Bundle, status: string): Promise<State> {
    let last = await state(b);
    for (let i = 0; last.status !== status; i++) {
      if (i > 200) throw new Broken(`status is ${last.status}, not ${status}, after ten seconds`);
      await Bun.sleep(i < 10 ? 5 : 50);
      last = await state(b);
    }
    return last;
  }

  /** create, start, the program's end; what it has written. */
  async function lived(program: Program, options: BundleOptions = {}) {
    const b = await started(program, options);
    const last = await reaches(b, "stopped");
    return { ...b, last, text: b.output() };
  }

  /** Standard output of a program that runs well with `run`. */
  async function inside(program: Program, changes: Changes = {}, options: BundleOptions = {}) {
    const finished = await run(bundle(program, { ...options, changes }));
    return done(finished, "run").stdout;
  }

  /**
   * The runtime doesn't make such a container, and says so: `create` fails and no container is left. What concerns only
   * the program may also be told by `start`.
   */
  async function refused(changes: Changes, options: BundleOptions & { by?: "create" | "start" } = {}) {
    const b = bundle(["touch", "/ran"], { ...options, changes });
    const made = await create(b);
    if (made.status !== 0) {
      holds(!(await isThere(b)), "create failed, but the container is there");
      holds(made.stderr.trim() !== "" || made.stdout.trim() !== "", "create failed without a word");
      return made;
    }
    if (options.by !== "start") throw new Broken("create succeeded");
    const begun = await start(b);
    holds(begun.status !== 0, "create and start succeeded");
    holds(!existsSync(join(b.rootfs, "ran")), "the program ran");
    return begun;
  }

  let named = false;
  /** A name that nothing else has, for a cgroup. */
  function nextName(): string {
    named = true;
    return `${prefix}-cg${++count}`;
  }

  /** Removes all containers; what can't be removed is told by the caller's look at what is left. */
  async function close(): Promise<void> {
    if (existsSync(root)) for (const id of ids) await command(["delete", "--force", id]);
    unmountBelow(directory);
    if (named) removeCgroups(`${prefix}-cg`);
    rmSync(directory, { recursive: true, force: true });
  }

  return {
    runtime,
    directory,
    root,
    bundle,
    command,
    create,
    start,
    kill,
    remove,
    run,
    state,
    isThere,
    created,
    started,
    reaches,
    lived,
    inside,
    refused,
    close,
    nextName,
    removeCgroups,
  };
}

/** Mounts that the case has made or a runtime has left; they are in the suite's own mount namespace. */
function unmountBelow(directory: string): void {
  const left = parseMounts(readFileSync("/proc/self/mountinfo", "utf8")).reverse();
  for (const { destination } of left)
    if (destination.startsWith(`${directory}/`)) Bun.spawnSync(["umount", "-l", destination]);
}

/** Removes empty cgroups of a name, and those below, wherever a hierarchy has them. */
export function removeCgroups(name: string): void {
  const found = Bun.spawnSync(["find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", `*/${name}*`]);
  for (const path of found.stdout.toString().split("\n").filter(Boolean))
    if (existsSync(path)) Bun.spawnSync(["rmdir", path]);
}

/** Insists on success. */
export function done(finished: Finished, what: string): Finished {
  if (finished.status !== 0)
    throw new Broken(
      `${what} failed (${finished.status}): ${(finished.errors() || finished.output()).trim()}`,
    );
  return finished;
}

export function skip(reason: string): never {
  throw new Skipped(reason);
}

/** A line of /proc/PID/mountinfo. */
export interface Mount {
  id: string;
  parent: string;
  root: string;
  destination: string;
  options: string[];
  /** shared:N, master:N, unbindable */
  propagation: string[];
  type: string;
  source: string;
  superOptions: string[];
}

export function parseMounts(text: string): Mount[] {
  return text
    .split("\n")
    .filter((line) => line.includes(" - "))
    .map((line) => {
      const [left = "", right = ""] = line.split(" - ");
      const [id = "", parent = "", , root = "", destination = "", options = "", ...propagation] =
        left.split(" ");
      const [type = "", source = "", superOptions = ""] = right.split(" ");
      return {
        id,
        parent,
        root,
        destination,
        options: options.split(","),
        propagation,
        type,
        source,
        superOptions: superOptions.split(","),
      };
    });
}

/** The uppermost mount at a place. */
export function mountAt(text: string, destination: string): Mount {
  const found = parseMounts(text).findLast((mount) => mount.destination === destination);
  if (!found) throw new Broken(`nothing is mounted on ${destination}`);
  return found;
}

/** A field of /proc/PID/status. */
export function field(status: string, name: string): string {
  const value = new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1];
  if (value === undefined) throw new Broken(`/proc/PID/status has no ${name}`);
  return value.trim();
}

export function processFile(pid: number, name: string): string {
  return readFileSync(`/proc/${pid}/${name}`, "utf8");
}
