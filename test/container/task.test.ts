import { expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, liveStat, readStat } from "../../src/container/task.ts";

test("this process has a name, a state and a start time", () => {
  const stat = readStat(process.pid);
  expect(stat?.state).toMatch(/^[RSD]$/);
  expect(stat?.startTime).toMatch(/^\d+$/);
  expect(stat?.name).toBe(readFileSync("/proc/self/comm", "utf8").trim());
});

test("a name with blanks and parentheses doesn't shift the fields", async () => {
  const directory = mkdtempSync(join(tmpdir(), "kontena-task-"));
  const program = join(directory, "a) S 1 (b) Z");
  copyFileSync("/bin/sleep", program);
  const plain = Bun.spawn(["/bin/sleep", "60"]);
  const odd = Bun.spawn([program, "60"]);
  const stat = readStat(odd.pid);
  expect(stat?.name).toBe("a) S 1 (b) Z");
  expect(stat?.state).toMatch(/^[RSD]$/);
  const ticks = (pid: number) => Number(readStat(pid)?.startTime);
  expect(Math.abs(ticks(odd.pid) - ticks(plain.pid))).toBeLessThan(500);
  expect(isAlive(odd.pid, stat?.startTime ?? "")).toBe(true);
  for (const child of [plain, odd]) child.kill("SIGKILL");
  await Promise.all([plain.exited, odd.exited]);
  rmSync(directory, { recursive: true });
});

test("a process is known by its number and its start time", () => {
  const { startTime } = readStat(process.pid) ?? { startTime: "" };
  expect(isAlive(process.pid, startTime)).toBe(true);
  expect(isAlive(process.pid, String(Number(startTime) + 1))).toBe(false);
  expect(isAlive(process.pid, "")).toBe(false);
  expect(liveStat(process.pid, startTime)?.name).not.toBe("");
});

test("no process has the number 0, a negative one, or one beyond the kernel's", () => {
  for (const pid of [0, -1, 2 ** 30]) {
    expect(readStat(pid) === undefined || !isAlive(pid, "0")).toBe(true);
    expect(isAlive(pid, "")).toBe(false);
  }
});

test("a zombie has ended", async () => {
  // When the child ends, its parent is a program that doesn't wait for it.
  const parent = Bun.spawn(["sh", "-c", "sleep 0.05 & echo $!; exec sleep 60"], { stdout: "pipe" });
  const { value } = await parent.stdout.getReader().read();
  const pid = Number(new TextDecoder().decode(value));
  const end = Date.now() + 2000;
  while (readStat(pid)?.state !== "Z" && Date.now() < end) await Bun.sleep(2);
  const stat = readStat(pid);
  expect(stat?.state).toBe("Z");
  expect(isAlive(pid, stat?.startTime ?? "")).toBe(false);
  parent.kill("SIGKILL");
  await parent.exited;
});
