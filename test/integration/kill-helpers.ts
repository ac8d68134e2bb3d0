/**
 * Death at a chosen system call: strace stops a process before it, and SIGKILL meets it there. The calls come from a run
 * that is only watched, so that new ones are covered as soon as they are there.
 */
import { test as bunTest, expect } from "bun:test";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Box,
  cgroupsNamed,
  isAlive,
  KONTENA,
  readOr,
  type TestBundle,
  testNeeding,
  until,
} from "./helpers.ts";

const HAS_STRACE = Bun.which("strace") !== null;
if (!HAS_STRACE) console.warn("tests are skipped: strace is missing (Debian's strace)");
export const test = HAS_STRACE ? testNeeding("root", "busybox") : bunTest.skip;

export const HANGS_MS = 10_000;

/** How many containers die at a time. */
const PARALLEL = 3;

/** A system call of a run, in a form that is the same in every run. */
export interface TracedCall {
  name: string;
  /** Name and arguments, without what the kernel writes, numbers that differ and the container's id. */
  text: string;
  /** How many calls of the same text there were before. */
  before: number;
  /** The file that it is about, with ID for the container's id; strace then looks at calls on that file only. */
  path: string | undefined;
  /** How many calls of this name there were, this one included. */
  ofName: number;
  /** The same for those on this file. */
  onFile: number;
  /** A signal came, and the kernel made the same call again. */
  interrupted: boolean;
}

export const labelOf = ({ text, before }: TracedCall) =>
  `${text}${before > 0 ? ` (time ${before + 1})` : ""}`;

/** Calls whose arguments are printed when they return: only the first one is known before. */
const FILLED_BY_KERNEL = new Set(
  (
    "clone3 read pread64 socketpair wait4 waitid ppoll getdents64 statx newfstatat fstatfs rt_sigprocmask " +
    "epoll_pwait epoll_pwait2 sendto recvfrom flistxattr fgetxattr"
  ).split(" "),
);

/** Reads the output of `strace -y`. */
export function readTrace(file: string, id: string): TracedCall[] {
  const texts = new Map<string, number>();
  const names = new Map<string, number>();
  const next = (map: Map<string, number>, key: string) => {
    const before = map.get(key) ?? 0;
    map.set(key, before + 1);
    return before;
  };
  return readOr(file, "")
    .split("\n")
    .flatMap((line): TracedCall[] => {
      const found = /^(\w+)\((.*)$/.exec(line);
      if (found === null) return [];
      const name = found[1] as string;
      const text = `${name}(${argumentsOf(name, found[2] as string, id)})`;
      const interrupted = line.includes("ERESTART");
      const path = pathOf((found[2] as string).replaceAll(id, "ID"));
      const ofName = next(names, name) + 1;
      const onFile = next(names, `${name} ${path}`) + 1;
      const before = interrupted ? (texts.get(text) ?? 0) : next(texts, text);
      return [{ name, text, before, path, ofName, onFile, interrupted }];
    });
}

/** The path of the descriptor that is the first argument, or else an absolute path among them. */
function pathOf(args: string): string | undefined {
  const path = /^\d+</.test(args) ? /^\d+<(\/[^>]*)>(?!\()/.exec(args)?.[1] : /"(\/[^"]*)"/.exec(args)?.[1];
  // A temporary file has its maker's pid in its name.
  return path === undefined || /^\/(proc\/|memfd:)|\.\d+\.new$/.test(path) ? undefined : path;
}

function argumentsOf(name: string, rest: string, id: string): string {
  const all = rest.replace(/( <unfinished \.\.\.>|)\)?(\s+= (-?\d|\?|0x).*|)$/, "");
  if (name === "getcwd" || name === "pipe2") return "";
  if (name === "prlimit64")
    return all
      .split(", ", 2)
      .join(", ")
      .replace(/\d{3,}/, "N");
  // What is said to the kernel has the container's number in it, and its length with that.
  if (name === "write" && /^\d+<socket:/.test(all))
    return all
      .slice(0, all.indexOf(","))
      .replace(/^\d+/, "")
      .replace(/\d{3,}/g, "N");
  const known = FILLED_BY_KERNEL.has(name) ? (all.split(", ")[0] as string) : all;
  return known
    .replace(/(, NULL)?(, 8?)?$/, "")
    .replaceAll(id, "ID")
    .replace(/ \/\* .*? \*\//g, "")
    .replace(/\.\d+\.new\b/g, ".N.new")
    .replace(/"\d{3,}"/g, '"N"')
    .replace(/0x[0-9a-f]+/g, "0x…")
    .replace(/"(\\.|[^"\\])*"\.\.\./g, '"…"')
    .replace(/(?<=[{, [(:/=]|^)\d{3,}/g, "N")
    .replace(/^\d+(?=<)/, "");
}

/** These change nothing outside of the process and wait for nobody. */
const INWARD = new Set(
  (
    "futex mmap munmap mprotect madvise mremap brk rt_sigprocmask rt_sigaction sched_getaffinity " +
    "sched_yield statx newfstatat fstat getdents64 lseek pread64 getpid access faccessat2 readlinkat " +
    "gettid clock_gettime clock_nanosleep getrandom epoll_ctl epoll_create1 eventfd2 timerfd_create " +
    "timerfd_settime prctl readlink"
  ).split(" "),
);

/** Whether the world after the call may differ from the one before, or the call waits for another process. */
export function isStep({ name, text, interrupted }: TracedCall): boolean {
  if (INWARD.has(name) || text.includes("CLONE_THREAD") || interrupted) return false;
  const readsOnly = !/O_WRONLY|O_RDWR|O_CREAT|exec\.fifo/.test(text);
  if (name === "openat" && readsOnly) return false;
  // Reading a file and closing it changes nothing; sockets and the FIFO are others' as well, the state directory is the lock.
  if (name === "read") return !text.startsWith("read(</") || text.includes("exec.fifo");
  if (name === "close") return !/^close\(<(\/(proc|sys)\/|anon_inode:)/.test(text);
  return true;
}

/** Runs a command to its end and gives its exit status; one that hangs is killed and counts as 137. */
export async function finish(command: string[], errors: string): Promise<number> {
  const fd = openSync(errors, "a");
  try {
    const child = Bun.spawn(command, {
      stdio: ["ignore", "ignore", fd],
      env: { PATH: process.env["PATH"] ?? "" },
      timeout: HANGS_MS,
      killSignal: "SIGKILL",
    });
    await child.exited;
    return child.exitCode ?? 137;
  } finally {
    closeSync(fd);
  }
}

export interface Files {
  trace: string;
  errors: string;
}

/** Files for one container's death; they are read when it went wrong. */
export function filesOf(box: Box, id: string): Files {
  return { trace: join(box.directory, `${id}.trace`), errors: join(box.directory, `${id}.err`) };
}

export const command = (box: Box, ...words: string[]) => [KONTENA, "--root", box.root, ...words];

/** create, with a cgroup two levels deep: the upper one is made for this container too, and has to go with it. */
export function createCommand(box: Box, { directory, config }: TestBundle, id: string): string[] {
  const file = join(box.directory, `${id}.json`);
  const cgroupsPath = `/kontena-${id}-above/kontena-${id}`;
  writeFileSync(file, JSON.stringify({ ...config, linux: { ...config.linux, cgroupsPath } }));
  return command(box, "create", "--bundle", directory, "--config", file, id);
}

const STRACE = ["strace", "-qq", "-y", "-s", "200"];
export const watching = (file: string, words: string[]) => [...STRACE, "-o", file, ...words];
export const killing = (
  file: string,
  { name, path }: TracedCall,
  count: number,
  id: string,
  words: string[],
) => [
  ...STRACE,
  ...["-e", `trace=${name}`, "-e", `inject=${name}:signal=SIGKILL:when=${count}`, "-o", file],
  ...(path === undefined ? [] : ["-P", path.replaceAll("ID", id)]),
  ...words,
];

/** What strace counts when it looks for this call. */
const countOf = ({ path, ofName, onFile }: TracedCall) => (path === undefined ? ofName : onFile);

/** The call's number may differ by a few from run to run: what strace saw tells by how much. */
export function correctedCount(
  target: TracedCall,
  seen: readonly TracedCall[],
  baseline: readonly TracedCall[],
): number {
  const same = (a: TracedCall) => (b: TracedCall) => a.text === b.text && a.before === b.before;
  const found = seen.findIndex(same(target));
  if (found >= 0) return found + 1;
  const last = seen.at(-1);
  const known = last && baseline.find(same(last));
  const count = countOf(target);
  return Math.max(
    1,
    known === undefined ? count : seen.length + count - countOf({ ...known, path: target.path }),
  );
}

export function wasLast(target: TracedCall, seen: readonly TracedCall[]): boolean {
  const last = seen.at(-1);
  return last !== undefined && last.text === target.text && last.before === target.before;
}

/** What is left of a container; all empty when nothing is. */
export function leftoversOf(box: Box, id: string) {
  return {
    directory: existsSync(join(box.root, id)) ? readdirSync(join(box.root, id)) : [],
    cgroups: cgroupsNamed(`kontena-${id}`),
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(`/${id}`)),
    processes: processesOf(box, id),
  };
}

export const NOTHING = { directory: [], cgroups: [], mounts: [], processes: [] };

/** Processes in the container's cgroups, and inits that have its plan in their memory. */
function processesOf(box: Box, id: string): string[] {
  const plan = join(box.root, id, "plan");
  const cgroup = new RegExp(`/kontena-${id}(?!\\d)`);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isAlive(Number(name)))
    .filter((pid) => {
      if (cgroup.test(readOr(`/proc/${pid}/cgroup`, ""))) return true;
      return (
        readOr(`/proc/${pid}/cmdline`, "").startsWith("kontena-init") &&
        readOr(`/proc/${pid}/maps`, "").includes(plan)
      );
    });
}

/** An init whose birth isn't in the state ends by itself when it reads the end of its conversation: a moment later. */
export async function expectNothingLeft(box: Box, id: string): Promise<void> {
  for (let i = 0; i < 100 && leftoversOf(box, id).processes.length > 0; i++) await Bun.sleep(5);
  expect(leftoversOf(box, id)).toEqual(NOTHING);
}

/** `delete --force` ends well, says nothing, and leaves nothing. */
export async function expectRemovable(box: Box, id: string): Promise<void> {
  const errors = join(box.directory, `${id}.delete`);
  const status = await finish(command(box, "delete", "--force", id), errors);
  expect({ status, errors: readFileSync(errors, "utf8") }).toEqual({ status: 0, errors: "" });
  await expectNothingLeft(box, id);
}

/** Takes every item, several at a time; all failures are told together, each with its label. */
export async function forEach<T>(
  items: readonly T[],
  label: (item: T) => string,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  const rest = items[Symbol.iterator]();
  const work = async () => {
    for (const item of rest)
      try {
        await action(item);
      } catch (error) {
        failures.push(`${label(item)}: ${error instanceof Error ? error.message : String(error)}`);
      }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${items.length} failed:\n${failures.join("\n")}`);
}

const TRIES = 8;

/**
 * Does `attempt` with the target's number until the process died there and nowhere else; what a wrong try has left is
 * removed, by the same means.
 */
export async function dieAt(
  target: TracedCall,
  baseline: readonly TracedCall[],
  attempt: (count: number) => Promise<{ id: string; seen: TracedCall[] }>,
  box: Box,
): Promise<string> {
  let count = countOf(target);
  const tried: string[] = [];
  for (let i = 0; i < TRIES; i++) {
    const { id, seen } = await attempt(count);
    if (wasLast(target, seen)) return id;
    tried.push(`${count}: ${seen.at(-1)?.text ?? "nothing"}`);
    count = correctedCount(target, seen, baseline);
    await expectRemovable(box, id);
  }
  throw new Error(`not met in ${TRIES} runs, which died at\n  ${tried.join("\n  ")}`);
}

export async function mustSucceed(box: Box, words: string[], id: string): Promise<void> {
  const { errors } = filesOf(box, id);
  const status = await finish(words, errors);
  expect({ status, errors: readFileSync(errors, "utf8") }).toEqual({ status: 0, errors: "" });
}

export interface KilledCommand {
  /** Brings the container to where the command begins. */
  before: (id: string) => Promise<void>;
  words: (id: string) => string[];
  /** What has to be possible afterwards. */
  after: (id: string) => Promise<void>;
  /** How often a call is tried again differs from run to run: only its first time counts. */
  retries?: boolean;
  /** The last word of the path that it touches first; the container's directory unless given. */
  touches?: string;
  /** One of so many steps is taken, and each that makes a process or a file that another command reads. */
  oneOf?: number;
}

const ALWAYS = /^(clone3|pidfd_open|wait4|kill|pidfd_send_signal)\(|\/ID\/(config|start|state)\.json/;

/** Watches the command once, then kills it at each of its steps; gives their number. */
export async function killEverywhere(box: Box, killed: KilledCommand): Promise<number> {
  const { before, words, after, retries, touches = "ID", oneOf = 1 } = killed;
  const begin = async () => {
    const id = box.next();
    await before(id);
    return id;
  };
  // The first command of a state root keeps a kit there, and no other one does: what is left of that is nobody's container.
  const first = await begin();
  await mustSucceed(box, words(first), first);
  await expectRemovable(box, first);
  const id = await begin();
  await mustSucceed(box, watching(filesOf(box, id).trace, words(id)), id);
  const all = readTrace(filesOf(box, id).trace, id);
  await expectRemovable(box, id);

  // What comes before has touched nothing of the container.
  const touched = (text: string) => text.includes(`/${touches}"`) || text.includes(`>, "${touches}"`);
  const begun = all.findIndex(({ text }) => touched(text));
  expect(begun).toBeGreaterThan(0);
  const steps = all.slice(begun).filter((call) => isStep(call) && !(retries && call.before > 0));
  expect(steps.at(-1)?.name).toBe("exit_group");
  const taken = steps.filter((call, i) => i % oneOf === 0 || ALWAYS.test(call.text));
  await forEach(taken, labelOf, async (step) => {
    const attempt = async (count: number) => {
      const id = await begin();
      const { trace, errors } = filesOf(box, id);
      await finish(killing(trace, step, count, id, words(id)), errors);
      return { id, seen: readTrace(trace, id) };
    };
    await after(await dieAt(step, all, attempt, box));
  });
  return taken.length;
}

export interface Stored {
  pid: number;
  status: string;
}

export function storedState(box: Box, id: string): Stored | undefined {
  const text = readOr(join(box.root, id, "state.json"), "");
  return text === "" ? undefined : (JSON.parse(text) as Stored);
}

/** Waits until a process has a tracer, or is gone. */
export async function traced(pid: number): Promise<void> {
  await until(
    "strace has attached",
    () => !isAlive(pid) || !/^TracerPid:\t0$/m.test(readOr(`/proc/${pid}/status`, "TracerPid:\t0")),
  );
}

/** The process that a strace runs. */
export function tracee(strace: number): number {
  return Number(readOr(`/proc/${strace}/task/${strace}/children`, "0").split(" ")[0]);
}
