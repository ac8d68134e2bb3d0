import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readText } from "../../src/kernel/files.ts";

test("files of any length are read whole, one after the other", () => {
  const directory = mkdtempSync(join(tmpdir(), "kontena-files-"));
  for (const length of [0, 1, 65535, 65536, 65537, 300_000, 3]) {
    const text = "é".repeat(Math.floor(length / 2)) + "x".repeat(length % 2);
    writeFileSync(join(directory, "file"), text);
    expect(readText(join(directory, "file"))).toBe(text);
  }
  rmSync(directory, { recursive: true });
});

test("files of /proc, which say that they are empty, are read whole", () => {
  expect(readText("/proc/self/mountinfo")).toBe(readFileSync("/proc/self/mountinfo", "utf8"));
  expect(readText("/proc/sys/kernel/cap_last_cap")).toMatch(/^\d+\n$/);
});

test("a file of /proc/sys can be read after a long one", () => {
  const directory = mkdtempSync(join(tmpdir(), "kontena-files-"));
  writeFileSync(join(directory, "file"), "x".repeat(5_000_000));
  expect(readText(join(directory, "file")).length).toBe(5_000_000);
  expect(readText("/proc/sys/kernel/cap_last_cap")).toMatch(/^\d+\n$/);
  rmSync(directory, { recursive: true });
});

test("a missing file throws as node:fs does, and no descriptor stays open", () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  expect(() => readText("/nowhere")).toThrow("ENOENT");
  expect(() => readText("/")).toThrow("EISDIR");
  expect(open()).toBe(before);
});
