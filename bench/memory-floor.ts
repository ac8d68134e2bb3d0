/**
 * bench/memory-floor: the smallest memory limit that a static program of a few hundred bytes runs under, by runtime, and how
 * each fails one step below. Run by the script of the same name.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { makeTries, type Outcome, type Tries, tryOnce } from "./floor-try.ts";
import { facts, printMachine, printTable, type RuntimeName } from "./report.ts";
import { type Config, findKontena, findRuntimes, type Runtime } from "./runtimes.ts";

const KIB = 1024;
/** Where the search begins, and what it goes up to, by doubling, when that isn't enough. */
const FIRST_KIB = 4096;
const MOST_KIB = 128 * 1024;
/** Near the floor a run can be lucky: what the kernel takes back in time, and on which CPU it is kept, differs. */
const RUNS = 10;

/** A namespace is the kernel's memory, charged to the cgroup of who makes it: here the largest one is left out. */
const CONFIGS: readonly { name: string; adapt: (config: Config) => void }[] = [
  { name: "the config of `kontena spec`", adapt: () => {} },
  {
    name: "without a network namespace",
    adapt({ linux }) {
      linux.namespaces = linux.namespaces.filter(({ type }) => type !== "network");
    },
  },
];

interface Floor {
  /** Of {@link CONFIGS}. */
  config: string;
  name: RuntimeName;
  /** In KiB; undefined when the program didn't run even under {@link MOST_KIB}. */
  floor: number | undefined;
  /** The most that was seen to be too little, in KiB, and how that ended. */
  below: number;
  failure: Outcome | undefined;
}

/** The first failure of {@link RUNS} runs under a limit; undefined when there is none. */
function firstFailure(tries: Tries, runtime: Runtime, limit: number): Outcome | undefined {
  for (let run = 1; run <= RUNS; run++) {
    const outcome = tryOnce(tries, runtime, limit * KIB);
    if (outcome.ran) continue;
    console.error(`${runtime.name}, ${limit} KiB: run ${run}: ${outcome.ended}; ${outcome.said}`);
    return outcome;
  }
  console.error(`${runtime.name}, ${limit} KiB: enough`);
  return undefined;
}

interface Bench {
  config: string;
  tries: Tries;
  step: number;
}

function findFloor({ config, tries, step }: Bench, runtime: Runtime): Floor {
  const { name } = runtime;
  let below = 0;
  let failure: Outcome | undefined;
  const isEnough = (limit: number): boolean => {
    const found = firstFailure(tries, runtime, limit);
    if (found !== undefined) [below, failure] = [limit, found];
    return found === undefined;
  };
  let floor = Math.ceil(FIRST_KIB / step) * step;
  while (!isEnough(floor)) {
    floor *= 2;
    if (floor > MOST_KIB) return { config, name, floor: undefined, below, failure };
  }
  while (floor - below > step) {
    const middle = below + Math.floor((floor - below) / 2 / step) * step;
    if (isEnough(middle)) floor = middle;
  }
  return { config, name, floor, below, failure };
}

const size = (kib: number) => `${kib} KiB`;

/** As a list: errors are long. */
function printFailures(floors: readonly Floor[]): void {
  for (const { name, below, failure } of floors) {
    if (failure === undefined) continue;
    const said = failure.said === "" ? "nothing is said" : failure.said;
    console.log(`- ${name} under ${size(below)}: ${failure.ended}; ${said}`);
  }
}

/** A line of the table: the floors under one config. */
function cells(config: string, all: readonly Floor[], names: readonly RuntimeName[]): string[] {
  const of = (name: RuntimeName) => all.find((each) => each.config === config && each.name === name);
  const value = (name: RuntimeName) => {
    const { floor, below = 0 } = of(name) ?? {};
    return floor === undefined ? `over ${size(below)}` : size(floor);
  };
  const ratio = (other: RuntimeName) => {
    const [own, others] = [of("kontena")?.floor, of(other)?.floor];
    return own === undefined || others === undefined
      ? "–"
      : (own / others).toFixed(own < others / 10 ? 3 : 2);
  };
  return [config, ...names.map(value), ratio("runc"), ratio("crun")];
}

function printFloors(floors: readonly Floor[], names: readonly RuntimeName[]): void {
  const [first = { name: "" }] = CONFIGS;
  printTable(
    ["", ...names, "× runc", "× crun"],
    CONFIGS.map(({ name }) => cells(name, floors, names)),
  );
  console.log("\nA step less, by the first config:\n");
  printFailures(floors.filter(({ config }) => config === first.name));
}

interface Arguments {
  step: number;
  seconds: number;
  json: string | undefined;
}

function readArguments(words: readonly string[]): Arguments {
  const found: Arguments = { step: 64, seconds: 30, json: undefined };
  for (let i = 0; i < words.length; i += 2) {
    const value = words[i + 1] ?? "";
    const isNumber = /^[1-9]\d{0,3}$/.test(value);
    if (words[i] === "-s" && isNumber && Number(value) % 4 === 0) found.step = Number(value);
    else if (words[i] === "-t" && isNumber) found.seconds = Number(value);
    else if (words[i] === "--json" && value !== "") found.json = value;
    else
      throw new Error("usage: bench/memory-floor [-s STEP_KIB, a multiple of 4] [-t SECONDS] [--json FILE]");
  }
  return found;
}

function main(): void {
  const { step, seconds, json } = readArguments(process.argv.slice(2));
  const kontena = findKontena();
  const states = mkdtempSync("/run/kontena-bench-");
  const files = mkdtempSync(join(tmpdir(), "kontena-bench-"));
  try {
    const { found, missing } = findRuntimes(states, kontena);
    const machine = facts(found);
    const benches = CONFIGS.map(({ name, adapt }, i) => {
      const directory = join(files, String(i));
      return { config: name, step, tries: makeTries(directory, { kontena, seconds, adapt }) };
    });
    const floors = benches.flatMap((bench) => found.map((runtime) => findFloor(bench, runtime)));
    printMachine(machine);
    for (const name of missing) console.log(`${name} isn't installed: not measured.`);
    console.log(
      `linux.resources.memory.limit in steps of ${size(step)}; a static program of ${benches[0]?.tries.programSize} bytes, in the page cache already; enough is what ${RUNS} runs in a row end well under.\n`,
    );
    printFloors(
      floors,
      found.map(({ name }) => name),
    );
    if (json === undefined) return;
    const file = resolve(process.env["BENCH_FROM"] ?? ".", json);
    writeFileSync(file, `${JSON.stringify({ machine, step, seconds, missing, floors }, null, 2)}\n`);
  } finally {
    rmSync(states, { recursive: true, force: true });
    rmSync(files, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error(`bench/memory-floor: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
