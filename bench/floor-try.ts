/** One container under a memory limit: whether its program ran, how it failed, and nothing of it afterwards. */
import { closeSync, openSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { adaptConfig, type Config, makeBundle, makeProgram, type Runtime } from "./runtimes.ts";

/** The program's exit status: no runtime has it for a failure of its own. */
const STATUS = 42;
const PROGRAM = "/bin/program";
const ID = "floor";

export interface Tries {
  bundle: string;
  /** Every container has this cgroup below the root of each hierarchy, so that what a failed one leaves is found. */
  cgroup: string;
  /** The size of the program's file in bytes. */
  programSize: number;
  seconds: number;
}

export interface Outcome {
  ran: boolean;
  /** The exit status of `run`, or what happened instead. */
  ended: string;
  /** The first line on standard error that says why. */
  said: string;
}

export interface Asked {
  kontena: string;
  seconds: number;
  /** What the config differs in from `kontena spec`'s. */
  adapt: (config: Config) => void;
}

export function makeTries(directory: string, { kontena, seconds, adapt }: Asked): Tries {
  const cgroup = `/kontena-floor-${process.pid}`;
  const bundle = makeBundle(directory, kontena, (config) => {
    config.process.args = [PROGRAM];
    config.linux.cgroupsPath = cgroup;
    adapt(config);
  });
  const program = makeProgram(STATUS);
  writeFileSync(join(bundle, "rootfs", PROGRAM), program, { mode: 0o755 });
  return { bundle, cgroup, programSize: program.length, seconds };
}

/** The container's cgroup in each hierarchy that is mounted (proc(5), /proc/PID/mounts). */
function cgroupDirectories(cgroup: string): string[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , type]) => type === "cgroup" || type === "cgroup2")
    .map(([, at]) => join(at as string, cgroup));
}

function pidsIn(directory: string): number[] {
  try {
    return readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function removeTree(directory: string): boolean {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(directory, entry.name));
    rmdirSync(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

/** A runtime that was killed in the middle has no state that `delete` could go by: ends what is in the cgroup. */
function cleanUp({ cgroup }: Tries, { program, root }: Runtime): void {
  Bun.spawnSync([program, "--root", root, "delete", "--force", ID], {
    stdio: ["ignore", "ignore", "ignore"],
    timeout: 10_000,
    killSignal: "SIGKILL",
  });
  const deadline = performance.now() + 20_000;
  for (const directory of cgroupDirectories(cgroup))
    while (!removeTree(directory)) {
      for (const pid of pidsIn(directory)) killOne(pid);
      if (performance.now() > deadline) throw new Error(`${directory} can't be removed`);
      Bun.sleepSync(20);
    }
}

function killOne(pid: number): void {
  try {
    if (pid > 0) process.kill(pid, "SIGKILL");
  } catch {
    // Gone meanwhile.
  }
}

/** Without the time, the level and the program's name that some write before it. */
function firstLine(stderr: string): string {
  const line = stderr.split("\n").find((text) => text.trim() !== "") ?? "";
  return line
    .replace(/^time="[^"]*" level=\w+ msg="(.*)"$/, "$1")
    .replace(/^\d{4}-\d\d-\d\dT\S+ /, "")
    .replace(/^(kontena|runc|crun): /, "")
    .trim();
}

export function tryOnce(tries: Tries, runtime: Runtime, limit: number): Outcome {
  const { bundle, seconds } = tries;
  adaptConfig(bundle, ({ linux }) => {
    linux.resources = { ...linux.resources, memory: { limit } };
  });
  // The program's pages are in the page cache, and charged to this process.
  readFileSync(join(bundle, "rootfs", PROGRAM));
  const { program, root } = runtime;
  // No pipe: a process of the container that outlives the runtime would keep it open.
  const errorFile = join(bundle, "stderr");
  const errors = openSync(errorFile, "w");
  const { exitCode, signalCode, exitedDueToTimeout } = Bun.spawnSync(
    [program, "--root", root, "run", "--bundle", bundle, ID],
    { stdio: ["ignore", "ignore", errors], timeout: seconds * 1000, killSignal: "SIGKILL" },
  );
  closeSync(errors);
  cleanUp(tries, runtime);
  const said = firstLine(readFileSync(errorFile, "utf8"));
  if (exitedDueToTimeout) return { ran: false, ended: `no end within ${seconds} s`, said };
  const ended = signalCode === undefined ? `exit status ${exitCode}` : `killed by ${signalCode}`;
  return { ran: exitCode === STATUS, ended, said };
}
