/** The table and the JSON of stats, and how a terminal shows them. */
import { expect, test } from "bun:test";
import { stringifyJson } from "../../spec/json.ts";
import { bytes, fit, redraw, statsLines, statsObjects } from "../../src/cli/stats-table.ts";
import type { ContainerStats } from "../../src/container/stats.ts";

const MIB = 1n << 20n;
const full: ContainerStats = {
  id: "web1",
  status: "running",
  pid: 4711,
  cpu: 9_007_199_254_740_993n,
  cpuPercent: 12.345,
  memory: { usage: 20n * MIB, used: 12n * MIB, limit: 64n * MIB },
  pids: { current: 3n, limit: 100n },
  io: { read: 4096n, write: 0n },
  pressure: { cpu: 3.83, memory: 0, io: 0.19 },
};
const bare: ContainerStats = { id: "a-longer-name", status: "stopped", pid: 0 };

test.each([
  [0n, "0B"],
  [999n, "999B"],
  [1000n, "0.98KiB"],
  [1024n, "1.00KiB"],
  [10n * 1024n, "10.0KiB"],
  [172n * 1024n, "172KiB"],
  [1023n * 1024n, "1.00MiB"],
  [1536n * MIB, "1.50GiB"],
  [1n << 63n, "8.00EiB"],
] as const)("%p bytes are %s", (value, text) => {
  expect(bytes(value)).toBe(text);
});

test("the table has what is counted, and dashes for what isn't", () => {
  expect(statsLines([full, bare])).toEqual([
    "ID             STATUS     CPU   MEMORY    LIMIT  PIDS  LIMIT     READ  WRITTEN  WAITS:CPU  MEMORY    IO",
    "web1           running  12.3%  12.0MiB  64.0MiB     3    100  4.00KiB       0B       3.8%    0.0%  0.2%",
    "a-longer-name  stopped      -        -        -     -      -        -        -          -       -     -",
  ]);
});

test("without pressure its columns aren't there", () => {
  expect(statsLines([bare])[0]).toBe(
    "ID             STATUS   CPU  MEMORY  LIMIT  PIDS  LIMIT  READ  WRITTEN",
  );
  expect(statsLines([])).toHaveLength(1);
});

test("the JSON has null for what isn't counted, and counters of any size", () => {
  const time = new Date("2026-11-24T09:15:30Z");
  const text = stringifyJson(statsObjects([full, bare], time));
  expect(text).toContain('"usage":9007199254740993}');
  expect(JSON.parse(text)).toEqual([
    {
      id: "web1",
      status: "running",
      pid: 4711,
      time: "2026-11-24T09:15:30.000Z",
      cpu: { percent: 12.35, usage: 9007199254740992 },
      memory: { usage: 20971520, used: 12582912, limit: 67108864 },
      pids: { current: 3, limit: 100 },
      io: { read: 4096, write: 0 },
      pressure: { cpu: 3.83, memory: 0, io: 0.19 },
    },
    {
      id: "a-longer-name",
      status: "stopped",
      pid: 0,
      time: "2026-11-24T09:15:30.000Z",
      cpu: null,
      memory: null,
      pids: null,
      io: null,
      pressure: null,
    },
  ]);
});

test("lines are cut to the screen, and the last one says how many there aren't", () => {
  const lines = ["head", "1", "2", "3", "4"];
  expect(fit(lines, { rows: 6, columns: 80 })).toEqual(lines);
  expect(fit(lines, { rows: 5, columns: 80 })).toEqual(["head", "1", "2", "… 2 more"]);
  expect(fit(lines, { rows: 1, columns: 80 })).toEqual(["head", "… 4 more"]);
  expect(fit(["a long line"], { rows: 5, columns: 6 })).toEqual(["a long"]);
});

test("a table is drawn over the last one, whatever is longer", () => {
  expect(redraw(["a", "b"], 0)).toBe("\x1b[?25la\x1b[K\nb\x1b[K\n\x1b[J");
  expect(redraw(["a"], 2)).toBe("\x1b[2A\ra\x1b[K\n\x1b[J");
});
