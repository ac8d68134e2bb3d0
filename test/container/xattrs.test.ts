import { afterAll, test as bunTest, expect } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyXattrs } from "../../src/container/xattrs.ts";
import { rawSyscall } from "../../src/kernel/libc.ts";

const directory = mkdtempSync(join(tmpdir(), "kontena-xattrs-"));
afterAll(() => rmSync(directory, { recursive: true }));
const test = bunTest.skipIf(process.geteuid?.() !== 0);

const set = (fd: number, name: string, value: string) => {
  const bytes = new TextEncoder().encode(value);
  return rawSyscall("fsetxattr", fd, name, bytes, bytes.length, 0);
};
const get = (fd: number, name: string) => {
  const bytes = new Uint8Array(100);
  const size = rawSyscall("fgetxattr", fd, name, bytes, bytes.length);
  return size < 0 ? undefined : new TextDecoder().decode(bytes.subarray(0, size));
};

test("attributes are copied, but for a label and what overlay keeps for itself", () => {
  const [from, to] = ["from", "to"].map((name) => openSync(join(directory, name), "w+")) as [number, number];
  expect(set(from, "trusted.mine", "value")).toBe(0);
  expect(set(from, "trusted.overlay.opaque", "y")).toBe(0);
  copyXattrs(from, to);
  expect(get(to, "trusted.mine")).toBe("value");
  expect(get(to, "trusted.overlay.opaque")).toBeUndefined();
  closeSync(from);
  closeSync(to);
});

test("a file without any is no problem", () => {
  const [from, to] = ["none", "other"].map((name) => openSync(join(directory, name), "w+")) as [
    number,
    number,
  ];
  expect(() => copyXattrs(from, to)).not.toThrow();
  closeSync(from);
  closeSync(to);
});
