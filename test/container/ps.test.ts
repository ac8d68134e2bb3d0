/** What /proc says of a process, and which lines of ps(1) are a container's. */
import { expect, test } from "bun:test";
import { describeProcesses, filterLines, parseProcess } from "../../src/container/ps.ts";

/** Of a shell with a name that means mischief; 6.18, x86-64. */
const STAT =
  "4711 (a) b (c) S 4700 4711 4711 34816 4711 4194304 787 0 0 0 9501 23 0 0 20 0 1 0 360000 4378624 176 18446744073709551615 1 1 0 0 0 0 0 0 65536 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";

test("a process is told by its stat and its command line, whatever its name is", () => {
  expect(parseProcess(4711, 1000, 1_000_000, STAT, "sh\0-c\0sleep 5\0")).toEqual({
    pid: 4711,
    ppid: 4700,
    uid: 1000,
    tty: 34816,
    started: 1_000_000 + 3_600_000,
    cpu: 95_240,
    command: "sh -c sleep 5",
  });
});

test("a process without a command line is told by its name, a dead one by that it is dead", () => {
  expect(parseProcess(4711, 0, 0, STAT, "").command).toBe("[a) b (c]");
  expect(parseProcess(4711, 0, 0, STAT.replace(") S ", ") Z "), "").command).toBe("[a) b (c] <defunct>");
});

test("this process is found, one that isn't there is left out", () => {
  const [own, ...others] = describeProcesses([process.pid, 4_194_304]);
  expect(others).toEqual([]);
  expect(own).toMatchObject({ pid: process.pid, ppid: process.ppid, uid: process.geteuid?.() });
  expect(own?.command).toContain("test");
  expect(own?.started).toBeLessThan(Date.now());
});

test("of ps(1) the head stays, and the rows of the processes, wherever the column PID is", () => {
  const lines = [
    "UID        PID  PPID CMD",
    "root         1     0 init",
    "root        17     1 cat 1",
    "0 171 1 x",
  ];
  expect(filterLines(lines, [17])).toEqual([lines[0] as string, lines[2] as string]);
  expect(filterLines(["  PID", "    1", "   17"], [1, 17])).toEqual(["  PID", "    1", "   17"]);
  expect(filterLines(lines, [])).toEqual([lines[0] as string]);
});

test("a table of ps(1) without a column PID is refused in runc's words", () => {
  expect(() => filterLines(["CMD", "init"], [1])).toThrow("couldn't find PID field in ps output");
  expect(() => filterLines([], [1])).toThrow("couldn't find PID field in ps output");
});
