import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DT_DIR, entriesOf } from "../../src/kernel/dents.ts";

const directory = mkdtempSync(join(tmpdir(), "kontena-dents-"));
afterAll(() => rmSync(directory, { recursive: true }));

function namesIn(path: string): Map<string, { type: number; inode: number }> {
  const fd = openSync(path, "r");
  const entries = entriesOf(fd).map(({ name, ...rest }) => [Buffer.from(name).toString("latin1"), rest]);
  closeSync(fd);
  return new Map(entries as [string, { type: number; inode: number }][]);
}

test("names are the bytes that they are, with a NUL behind; . and .. are left out, and nothing that begins so", () => {
  const names = ["a\xffb", ".x", "..x", "...", "x".repeat(255)];
  for (const name of names)
    writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name, "latin1")]), "");
  expect([...namesIn(directory).keys()].sort()).toEqual(names.map((name) => `${name}\0`).sort());
});

test("more than one call gives is read to its end, with types and inodes", () => {
  const many = join(directory, "many");
  mkdirSync(join(many, "below"), { recursive: true });
  for (let i = 0; i < 3000; i++) writeFileSync(join(many, `${"x".repeat(40)}${i}`), "");
  const entries = namesIn(many);
  expect(entries.size).toBe(3001);
  expect(entries.get("below\0")).toEqual({ type: DT_DIR, inode: statSync(join(many, "below")).ino });
});
