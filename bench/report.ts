/** What the benches print: the machine, and a table of values and ratios. */
import { cpus, loadavg, release, totalmem, type } from "node:os";

export type RuntimeName = "kontena" | "runc" | "crun";
const NAMES = ["kontena", "runc", "crun"] as const;

/** What is to be reached: a multiple of another runtime's median, or a number. */
export interface Target {
  runc?: number;
  crun?: number;
  most?: number;
}

export interface Row {
  name: string;
  unit: string;
  samples: Partial<Record<RuntimeName, number[]>>;
  /** What the others' times are taken from, when they have none of their own here. */
  against?: Partial<Record<RuntimeName, number[]>>;
  target?: Target;
  /** A row of no runtime's: no ratios. */
  alone?: true;
}

export interface Machine {
  versions: string[];
  kernel: string;
  cpu: string;
  cpus: number;
  memoryMiB: number;
  load: number;
  cgroups: string;
}

export interface Report {
  machine: Machine;
  rounds: number;
  missing: RuntimeName[];
  rows: Row[];
}

export function median(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function versionOf(name: string, program: string): string {
  const lines = Bun.spawnSync([program, "--version"]).stdout.toString().trim().split("\n");
  const commit = name === "kontena" ? ` (${lines[1] ?? ""})` : "";
  return `${lines[0]?.replace(" version", "")}${commit}`;
}

export function facts(runtimes: readonly { name: RuntimeName; program: string }[]): Machine {
  const mounts = Bun.spawnSync(["findmnt", "-rno", "FSTYPE", "-t", "cgroup,cgroup2"])
    .stdout.toString()
    .trim();
  const kinds = mounts === "" ? [] : mounts.split("\n");
  const v1 = kinds.filter((kind) => kind === "cgroup").length;
  return {
    versions: [...runtimes.map((r) => versionOf(r.name, r.program)), `bun ${Bun.version}`],
    kernel: `${type()} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model ?? "unknown",
    cpus: cpus().length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    load: loadavg()[0] ?? 0,
    cgroups: v1 > 0 ? `v1, ${v1} hierarchies` : kinds.length > 0 ? "v2" : "none",
  };
}

const show = (value: number, unit: string) => (unit === "ms" ? value.toFixed(2) : String(value));

function valueCell(row: Row, name: RuntimeName): string {
  const list = row.samples[name];
  if (list === undefined || list.length === 0) return "–";
  const text = show(median(list), row.unit);
  return row.unit === "ms" ? `${text} (${show(Math.min(...list), row.unit)})` : `${text} ${row.unit}`.trim();
}

function ratio(row: Row, other: RuntimeName): number | undefined {
  const own = row.samples.kontena;
  const others = (row.against ?? row.samples)[other];
  if (row.alone || own === undefined || others === undefined) return undefined;
  return median(own) / median(others);
}

function ratioCell(row: Row, other: RuntimeName): string {
  const value = ratio(row, other);
  if (value === undefined) return "–";
  return value < 0.1 ? value.toFixed(3) : value.toFixed(2);
}

function targetCell(row: Row): string {
  const { target } = row;
  if (target === undefined) return "";
  if (target.most !== undefined) {
    const met = median(row.samples.kontena ?? []) <= target.most;
    return `≤ ${target.most} ${row.unit}`.trim() + (met ? ": met" : ": missed");
  }
  return (["runc", "crun"] as const)
    .flatMap((other) => {
      const most = target[other];
      const value = ratio(row, other);
      if (most === undefined) return [];
      return [`≤ ${most} × ${other}${value === undefined ? "" : value <= most ? ": met" : ": missed"}`];
    })
    .join(", ");
}

export function printMachine({ versions, kernel, cpu, cpus: count, memoryMiB, cgroups }: Machine): void {
  console.log(versions.join(", "));
  console.log(`${kernel}, ${count} × ${cpu}, ${memoryMiB} MiB, cgroups: ${cgroups}`);
}

export function printReport({ machine, rounds, missing, rows }: Report): void {
  const { cpus: count, load } = machine;
  printMachine(machine);
  if (load > count / 4)
    console.log(`The machine was busy (load ${load.toFixed(2)}): don't trust these times.`);
  for (const name of missing) console.log(`${name} isn't installed: not measured.`);
  console.log(
    `Medians of ${rounds} rounds in ms (in a row: blocks of the same time for all; at rest: a third), the least in parentheses; the runtimes took turns.\n`,
  );
  const head = ["", ...NAMES, "× runc", "× crun", "target"];
  const table = rows.map((row) => [
    row.name,
    ...NAMES.map((name) => valueCell(row, name)),
    ratioCell(row, "runc"),
    ratioCell(row, "crun"),
    targetCell(row),
  ]);
  printTable(head, table);
}

/** As Markdown that reads well as it is. */
export function printTable(head: readonly string[], table: readonly (readonly string[])[]): void {
  const widths = head.map((title, i) =>
    Math.max(...[head, ...table].map((line) => (line[i] ?? title).length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, i) => text.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  console.log(line(head));
  console.log(line(widths.map((width) => "-".repeat(width))));
  for (const cells of table) console.log(line(cells));
}
