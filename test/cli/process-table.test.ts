/** The table that ps(1) isn't needed for. */
import { expect, test } from "bun:test";
import { cpuTime, processTable, startTime, terminalName } from "../../src/cli/process-table.ts";

const NOW = new Date(2026, 10, 24, 9, 15, 30).getTime();
const HOUR = 3_600_000;

test("a start is a time today, a day in this year, or a year", () => {
  expect(startTime(NOW - 60_000, NOW)).toBe("09:14");
  expect(startTime(NOW - 12 * HOUR, NOW)).toBe("Nov23");
  expect(startTime(NOW - 24 * HOUR, NOW)).toBe("Nov23");
  expect(startTime(new Date(2026, 0, 5).getTime(), NOW)).toBe("Jan05");
  expect(startTime(new Date(2025, 11, 31).getTime(), NOW)).toBe("2025");
});

test("CPU time is a clock, with days in front", () => {
  expect(cpuTime(0)).toBe("00:00:00");
  expect(cpuTime(61_999)).toBe("00:01:01");
  expect(cpuTime(25 * HOUR)).toBe("1-01:00:00");
});

test("terminals have the names of devices.txt", () => {
  expect(terminalName(0)).toBe("?");
  expect(terminalName(34816)).toBe("pts/0");
  expect(terminalName(34816 + 7)).toBe("pts/7");
  expect(terminalName((4 << 8) | 1)).toBe("tty1");
  expect(terminalName((4 << 8) | 64)).toBe("ttyS0");
  expect(terminalName((5 << 8) | 1)).toBe("console");
  expect(terminalName((204 << 8) | 64)).toBe("204:64");
});

test("the table has the columns of ps -ef, and no line of a process can break it", () => {
  const one = {
    pid: 4711,
    ppid: 1,
    uid: 0,
    tty: 0,
    started: NOW - 60_000,
    cpu: 30_000,
    command: "sh -c\n\x1b[2J",
  };
  expect(processTable([one, { ...one, pid: 4712, cpu: 600_000 }], NOW)).toBe(
    [
      "UID          PID    PPID  C STIME TTY      TIME     CMD",
      "0           4711       1 50 09:14 ?        00:00:30 sh -c\\x0a\\x1b[2J",
      "0           4712       1 99 09:14 ?        00:10:00 sh -c\\x0a\\x1b[2J",
      "",
    ].join("\n"),
  );
  expect(processTable([], NOW).split("\n")).toHaveLength(2);
});
