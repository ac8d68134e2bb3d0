/** The table and the JSON of `kontena stats`, and how a terminal shows the next one in the place of the last. */
import type { ContainerStats } from "../container/stats.ts";
import { printable } from "./columns.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** Three digits and a unit: `0B`, `12.3MiB`, `512MiB`. */
export function bytes(value: bigint): string {
  let amount = Number(value);
  let unit = 0;
  for (; amount >= 999.5 && unit < UNITS.length - 1; unit++) amount /= 1024;
  const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${amount.toFixed(digits)}${UNITS[unit]}`;
}

const NONE = "-";
const percent = (value: number | undefined) => (value === undefined ? NONE : `${value.toFixed(1)}%`);
const size = (value: bigint | undefined) => (value === undefined ? NONE : bytes(value));
const count = (value: bigint | undefined) => (value === undefined ? NONE : String(value));

type Column = readonly [head: string, cell: (row: ContainerStats) => string];

const COLUMNS: readonly Column[] = [
  ["CPU", (r) => percent(r.cpuPercent)],
  ["MEMORY", (r) => size(r.memory?.used)],
  ["LIMIT", (r) => size(r.memory?.limit)],
  ["PIDS", (r) => count(r.pids?.current)],
  ["LIMIT", (r) => count(r.pids?.limit)],
  ["READ", (r) => size(r.io?.read)],
  ["WRITTEN", (r) => size(r.io?.write)],
];

const PRESSURE: readonly Column[] = [
  ["WAITS:CPU", (r) => percent(r.pressure?.cpu)],
  ["MEMORY", (r) => percent(r.pressure?.memory)],
  ["IO", (r) => percent(r.pressure?.io)],
];

/** Lines of the table, the head first; pressure has its columns where the kernel counts it. */
export function statsLines(rows: readonly ContainerStats[]): string[] {
  const columns = rows.some((r) => r.pressure) ? [...COLUMNS, ...PRESSURE] : COLUMNS;
  const cells = [
    ["ID", "STATUS", ...columns.map(([head]) => head)],
    ...rows.map((r) => [printable(r.id), r.status, ...columns.map(([, cell]) => cell(r))]),
  ];
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** One line of JSON for a sample: an array with an object for each container. What isn't counted is null. */
export function statsObjects(rows: readonly ContainerStats[], time: Date): unknown[] {
  const round = (value: number) => Math.round(value * 100) / 100;
  return rows.map((r) => ({
    id: r.id,
    status: r.status,
    pid: r.pid,
    time: time.toISOString(),
    cpu: r.cpu === undefined ? null : { percent: round(r.cpuPercent ?? 0), usage: r.cpu },
    memory:
      r.memory === undefined
        ? null
        : { usage: r.memory.usage, used: r.memory.used, limit: r.memory.limit ?? null },
    pids: r.pids === undefined ? null : { current: r.pids.current, limit: r.pids.limit ?? null },
    io: r.io ?? null,
    pressure: r.pressure ?? null,
  }));
}

export interface Screen {
  rows: number;
  columns: number;
}

/** What fits on a screen; the last line says how many containers don't. */
export function fit(lines: readonly string[], { rows, columns }: Screen): string[] {
  // The cursor stands on a line of its own.
  const room = Math.max(2, rows - 1);
  const shown =
    lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more`];
  return shown.map((line) => line.slice(0, columns));
}

const HIDE_CURSOR = "\x1b[?25l";
export const SHOW_CURSOR = "\x1b[?25h";

/** Text that draws the lines over `before` lines that are there; each is cleared behind its end, and so is what is below. */
export function redraw(lines: readonly string[], before: number): string {
  const up = before > 0 ? `\x1b[${before}A\r` : HIDE_CURSOR;
  return `${up}${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`;
}
