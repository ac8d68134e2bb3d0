/**
 * bench/lifecycle: the whole life of a container by command line and by library, and what a parked one holds. Run by the
 * script of the same name. Once in a row, and once at rest; which of the two a machine is in differs by more than any runtime.
 *
 * The program is busybox's true. What it costs itself is no runtime's work, and is added to each: where CPUID leads out of a
 * virtual machine that is more than half a millisecond. So a program that only ends, by one system call, has rows of its own.
 */
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openPidfd, poll } from "../src/container/wait.ts";
import { type Kontena, open } from "../src/index.ts";
import { facts, median, printReport, type Report, type Row, type RuntimeName } from "./report.ts";
import { findKontena, findRuntimes, makeBundle, makeProgram, type Runtime } from "./runtimes.ts";

const BUSYBOX = "/bin/busybox";
const PARKED_ROUNDS = 3;

interface Bench {
  /** Its program is busybox's true. */
  bundle: string;
  /** Its program only ends. */
  endsBundle: string;
  /** That program, to be run by itself. */
  program: string;
  pidFile: string;
  /** Gets the standard error of every command. */
  errors: number;
  errorFile: string;
  runtimes: Runtime[];
  library: Kontena;
}

/** Runs a program to its end; a failure ends the measurement. */
function call(bench: Bench, command: string[]): void {
  const { exitCode } = Bun.spawnSync(command, { stdio: ["ignore", "ignore", bench.errors] });
  if (exitCode === 0) return;
  const said = readFileSync(bench.errorFile, "utf8").trim();
  throw new Error(`${command.join(" ")} ended with ${exitCode}: ${said}`);
}

const runtimeCall = (bench: Bench, { program, root }: Runtime, ...words: string[]) =>
  call(bench, [program, "--root", root, ...words]);

/** Milliseconds that `action` takes. */
function time(action: () => void): number {
  const begin = Bun.nanoseconds();
  action();
  return (Bun.nanoseconds() - begin) / 1e6;
}

const ID = "bench";

function runOnce(bench: Bench, runtime: Runtime, bundle = bench.bundle): number {
  return time(() => runtimeCall(bench, runtime, "run", "--bundle", bundle, ID));
}

/** create, start, the program's end, delete: three commands, as an engine gives them. */
function lifeOnce(bench: Bench, runtime: Runtime): number {
  return time(() => {
    const pidfd = openPidfd(createOnce(bench, runtime));
    runtimeCall(bench, runtime, "start", ID);
    poll([pidfd], -1);
    closeSync(pidfd);
    runtimeCall(bench, runtime, "delete", ID);
  });
}

/** @returns init's pid */
function createOnce(bench: Bench, runtime: Runtime): number {
  const { bundle, pidFile } = bench;
  runtimeCall(bench, runtime, "create", "--bundle", bundle, "--pid-file", pidFile, ID);
  return Number(readFileSync(pidFile, "utf8"));
}

interface LibraryTimes {
  ended: number;
  deleted: number;
}

/** The same life in this process, through the library. */
function libraryOnce({ library }: Bench, bundle: string): LibraryTimes {
  const begin = Bun.nanoseconds();
  const container = library.create({ id: ID, bundle });
  container.start();
  const { code } = container.waitSync();
  const ended = (Bun.nanoseconds() - begin) / 1e6;
  container.delete();
  if (code !== 0) throw new Error(`the library's container ended with ${code}`);
  return { ended, deleted: (Bun.nanoseconds() - begin) / 1e6 };
}

interface Parked {
  /** VmRSS in kB. */
  memory: number;
  threads: number;
}

/** What init holds between create and start (proc(5), /proc/PID/status). */
function parkedOnce(bench: Bench, runtime: Runtime): Parked {
  const pid = createOnce(bench, runtime);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? Number.NaN);
  const parked = { memory: field("VmRSS"), threads: field("Threads") };
  runtimeCall(bench, runtime, "delete", "--force", ID);
  return parked;
}

/** One list of samples for each runtime. */
type Samples = Partial<Record<RuntimeName, number[]>>;

function add(samples: Samples, name: RuntimeName, value: number): void {
  const list = samples[name] ?? [];
  list.push(value);
  samples[name] = list;
}

type Who = Runtime | "library";

interface Times {
  run: Samples;
  life: Samples;
  ended: Samples;
  deleted: Samples;
  /** Of the program that only ends. */
  endsRun: Samples;
  endsEnded: Samples;
}

const noTimes = (): Times => ({
  run: {},
  life: {},
  ended: {},
  deleted: {},
  endsRun: {},
  endsEnded: {},
});

/** A program's first containers find code that no compiler has seen. */
const FIRST = 10;
/** As many more until the compilers are done with it, for a program that makes many. */
const WARM_UP = 500;

function measureFirst(bench: Bench): Samples {
  const first: Samples = {};
  for (let i = 0; i < FIRST + WARM_UP; i++) {
    const { ended } = libraryOnce(bench, bench.bundle);
    if (i < FIRST) add(first, "kontena", ended);
  }
  return first;
}

/**
 * In a row: as often as fits in BLOCK_MS, behind a pause, since what the kernel has still to do for the runtime before (it frees
 * network namespaces and cgroups behind one's back) is nothing of this one's, and behind a run-up that doesn't count, so that it
 * is the row's own state that is measured. The runtimes take turns by blocks, so that whatever else the machine does meets them
 * all.
 */
const SETTLE_MS = 50;
const RUN_UP_MS = 30;
const BLOCK_MS = 150;
/** One block of each for so many rounds. */
const ROUNDS_A_BLOCK = 10;

function measureInARow(bench: Bench, rounds: number, times: Times): void {
  const repeat = (action: (keep: boolean) => void) => {
    const during = (milliseconds: number, keep: boolean) => {
      const end = Bun.nanoseconds() + milliseconds * 1e6;
      while (Bun.nanoseconds() < end) action(keep);
    };
    Bun.sleepSync(SETTLE_MS);
    during(RUN_UP_MS, false);
    during(BLOCK_MS, true);
  };
  for (let round = 0; round < rounds; round += ROUNDS_A_BLOCK) {
    for (const runtime of bench.runtimes) {
      repeat((keep) => keepOne(times.run, runtime.name, runOnce(bench, runtime), keep));
      repeat((keep) => keepOne(times.life, runtime.name, lifeOnce(bench, runtime), keep));
      repeat((keep) => keepOne(times.endsRun, runtime.name, runOnce(bench, runtime, bench.endsBundle), keep));
    }
    repeat((keep) => keepLibrary(times, libraryOnce(bench, bench.bundle), keep));
    repeat((keep) => keepOne(times.endsEnded, "kontena", libraryOnce(bench, bench.endsBundle).ended, keep));
  }
}

/**
 * At rest: as when somebody gives a command now and then. What the kernel delays for a while after a use, as it does with the
 * lock by which a process is moved to another cgroup, is paid for anew.
 */
const REST_MS = 50;

function measureAtRest(bench: Bench, rounds: number, times: Times): void {
  const everybody: Who[] = [...bench.runtimes, "library"];
  for (let round = 0; round < rounds; round++)
    for (const who of everybody) {
      Bun.sleepSync(REST_MS);
      if (who === "library") keepLibrary(times, libraryOnce(bench, bench.bundle), true);
      else keepOne(times.run, who.name, runOnce(bench, who), true);
    }
}

function keepOne(samples: Samples, name: RuntimeName, value: number, keep: boolean): void {
  if (keep) add(samples, name, value);
}

function keepLibrary(times: Times, { ended, deleted }: LibraryTimes, keep: boolean): void {
  keepOne(times.ended, "kontena", ended, keep);
  keepOne(times.deleted, "kontena", deleted, keep);
}

function measure(bench: Bench, rounds: number): Row[] {
  const first = measureFirst(bench);
  const [busybox, ends]: [Samples, Samples] = [{}, {}];
  for (let i = 0; i < rounds; i++) {
    add(
      ends,
      "kontena",
      time(() => call(bench, [bench.program])),
    );
    add(
      busybox,
      "kontena",
      time(() => call(bench, [BUSYBOX, "true"])),
    );
  }
  const [row, rest] = [noTimes(), noTimes()];
  measureInARow(bench, rounds, row);
  measureAtRest(bench, Math.ceil(rounds / 3), rest);
  const unit = "ms";
  return [
    { name: "`run`, in a row", unit, samples: row.run, target: { runc: 0.7, crun: 1.8 } },
    { name: "`create` + `start` + `delete`, in a row", unit, samples: row.life },
    {
      name: "create, start, wait in a Bun program, in a row",
      unit,
      samples: row.ended,
      against: row.run,
      target: { crun: 0.4 },
    },
    { name: "the same, and delete", unit, samples: row.deleted, against: row.run },
    { name: "`run`, at rest", unit, samples: rest.run },
    {
      name: "create, start, wait in a Bun program, at rest",
      unit,
      samples: rest.ended,
      against: rest.run,
    },
    {
      name: "create, start, wait: the first ten of a Bun program",
      unit,
      samples: first,
      against: row.run,
    },
    { name: "`run` of a program that only ends, in a row", unit, samples: row.endsRun },
    {
      name: "create, start, wait of that one, in a row",
      unit,
      samples: row.endsEnded,
      against: row.endsRun,
    },
    { name: "for comparison: busybox's true alone", unit, samples: busybox, alone: true },
    { name: "for comparison: the one that only ends", unit, samples: ends, alone: true },
  ];
}

function measureParked(bench: Bench): Row[] {
  const memory: Samples = {};
  const threads: Samples = {};
  for (let round = 0; round < PARKED_ROUNDS; round++)
    for (const runtime of bench.runtimes) {
      const parked = parkedOnce(bench, runtime);
      add(memory, runtime.name, parked.memory);
      add(threads, runtime.name, parked.threads);
    }
  return [
    { name: "parked init: resident memory", unit: "kB", samples: memory, target: { most: 64 } },
    { name: "parked init: threads", unit: "", samples: threads, target: { most: 1 } },
  ];
}

function makeBundles(files: string, kontena: string): Pick<Bench, "bundle" | "endsBundle" | "program"> {
  const make = (name: string) => {
    const directory = join(files, name);
    mkdirSync(directory);
    return makeBundle(directory, kontena, (config) => {
      config.process.args = ["/bin/true"];
    });
  };
  const [bundle, endsBundle] = [make("busybox"), make("ends")];
  cpSync(BUSYBOX, join(bundle, "rootfs/bin/busybox"));
  symlinkSync("busybox", join(bundle, "rootfs/bin/true"));
  const program = join(endsBundle, "rootfs/bin/true");
  writeFileSync(program, makeProgram(0), { mode: 0o755 });
  return { bundle, endsBundle, program };
}

function withBench<T>(kontena: string, action: (bench: Bench, missing: RuntimeName[]) => T): T {
  // States belong on /run, where every runtime has them.
  const directory = mkdtempSync("/run/kontena-bench-");
  const files = mkdtempSync(join(tmpdir(), "kontena-bench-"));
  const { found, missing } = findRuntimes(directory, kontena);
  const errorFile = join(files, "stderr");
  const bench: Bench = {
    ...makeBundles(files, kontena),
    pidFile: join(files, "pid"),
    errorFile,
    errors: openSync(errorFile, "a"),
    runtimes: found,
    library: open({ root: join(directory, "library") }),
  };
  try {
    return action(bench, missing);
  } finally {
    for (const { program, root } of [...found, { program: kontena, root: join(directory, "library") }])
      Bun.spawnSync([program, "--root", root, "delete", "--force", ID], {
        stdio: ["ignore", "ignore", "ignore"],
      });
    rmSync(directory, { recursive: true, force: true });
    rmSync(files, { recursive: true, force: true });
  }
}

interface Arguments {
  rounds: number;
  json: string | undefined;
}

function readArguments(words: readonly string[]): Arguments {
  const found: Arguments = { rounds: 40, json: undefined };
  for (let i = 0; i < words.length; i += 2) {
    const value = words[i + 1];
    if (words[i] === "-n" && /^[1-9]\d{0,3}$/.test(value ?? "")) found.rounds = Number(value);
    else if (words[i] === "--json" && value !== undefined) found.json = value;
    else throw new Error("usage: bench/lifecycle [-n ROUNDS] [--json FILE]");
  }
  return found;
}

function main(): void {
  const { rounds, json } = readArguments(process.argv.slice(2));
  const kontena = findKontena();
  if (!existsSync(BUSYBOX)) throw new Error(`no ${BUSYBOX}: install busybox-static`);
  withBench(kontena, (bench, missing) => {
    const machine = facts(bench.runtimes);
    const rows = [...measure(bench, rounds), ...measureParked(bench)];
    const report: Report = { machine, rounds, missing, rows };
    printReport(report);
    if (json === undefined) return;
    const medians = rows.map((row) => ({
      ...row,
      medians: Object.fromEntries(Object.entries(row.samples).map(([name, list]) => [name, median(list)])),
    }));
    const file = resolve(process.env["BENCH_FROM"] ?? ".", json);
    writeFileSync(file, `${JSON.stringify({ ...report, rows: medians }, null, 2)}\n`);
  });
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error(`bench/lifecycle: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
