import { expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepProgram, readProgram } from "../../src/seccomp/cache.ts";

const NAME = "0123456789abcdef".repeat(4);
const nameOf = (index: number) => index.toString(16).padStart(64, "0");
const program = new Uint8Array([6, 0, 0, 0, 0, 0, 255, 127]);

function inStore(action: (directory: string) => void): void {
  const top = mkdtempSync(join(tmpdir(), "kontena-cache-"));
  try {
    action(join(top, "@seccomp"));
  } finally {
    rmSync(top, { recursive: true });
  }
}

test("what was kept is read again, and nothing else is there", () => {
  inStore((directory) => {
    expect(readProgram(directory, NAME)).toBeUndefined();
    keepProgram(directory, NAME, program);
    expect(readProgram(directory, NAME)).toEqual(Buffer.from(program));
    expect(readdirSync(directory)).toEqual([NAME]);
  });
});

test("a file that is cut off, changed, empty or no file is none", () => {
  inStore((directory) => {
    keepProgram(directory, NAME, program);
    const path = join(directory, NAME);
    const whole = readFileSync(path);
    for (const content of [
      whole.subarray(0, -1),
      Buffer.from(whole).fill(1, 0, 1),
      Buffer.alloc(0),
      Buffer.alloc(31),
    ]) {
      writeFileSync(path, content);
      expect(readProgram(directory, NAME)).toBeUndefined();
    }
    rmSync(path);
    writeFileSync(join(directory, "other"), whole);
    symlinkSync("other", path);
    expect(readProgram(directory, NAME)).toBeUndefined();
    rmSync(path);
    mkdirSync(path);
    expect(readProgram(directory, NAME)).toBeUndefined();
  });
});

test("a file or a directory that others may write to isn't believed, nor filled", () => {
  inStore((directory) => {
    keepProgram(directory, NAME, program);
    chmodSync(join(directory, NAME), 0o622);
    expect(readProgram(directory, NAME)).toBeUndefined();
    chmodSync(join(directory, NAME), 0o600);
    chmodSync(directory, 0o770);
    expect(readProgram(directory, NAME)).toBeUndefined();
    keepProgram(directory, nameOf(1), program);
    expect(readdirSync(directory)).toEqual([NAME]);
  });
});

test("the oldest make room, and so does what a killed process has left", () => {
  inStore((directory) => {
    keepProgram(directory, NAME, program);
    utimesSync(join(directory, NAME), 1, 1);
    writeFileSync(join(directory, `${NAME}.17.new`), "");
    utimesSync(join(directory, `${NAME}.17.new`), 1, 1);
    writeFileSync(join(directory, `${NAME}.18.new`), "");
    for (let i = 0; i < 40; i++) keepProgram(directory, nameOf(i), program);
    const names = readdirSync(directory);
    expect(names.length).toBe(33);
    expect(names).toContain(nameOf(39));
    // Somebody may be writing this one.
    expect(names).toContain(`${NAME}.18.new`);
    expect(names).not.toContain(NAME);
  });
});
