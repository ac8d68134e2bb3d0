import { test as bunTest, expect } from "bun:test";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { inNewUserNamespace } from "../../src/init/holder.ts";

const test = bunTest.skipIf(process.geteuid?.() !== 0);
const own = readlinkSync("/proc/self/ns/user");

test("the process is in a user namespace of its own, and gone afterwards", () => {
  const [pid, namespace] = inNewUserNamespace((pid) => [pid, readlinkSync(`/proc/${pid}/ns/user`)] as const);
  expect(namespace).toMatch(/^user:\[\d+\]$/);
  expect(namespace).not.toBe(own);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test("an error of what is done with it leaves no process and no descriptor", () => {
  const descriptors = () => readFileSync("/proc/self/status", "utf8").match(/FDSize:\s*(\d+)/)?.[1];
  const before = descriptors();
  let seen = 0;
  for (let i = 0; i < 300; i++)
    expect(() =>
      inNewUserNamespace((pid) => {
        seen = pid;
        throw new Error("no");
      }),
    ).toThrow("no");
  expect(existsSync(`/proc/${seen}`)).toBe(false);
  expect(descriptors()).toBe(before as string);
});

test("this process stays where it was", () => {
  inNewUserNamespace(() => undefined);
  expect(readlinkSync("/proc/self/ns/user")).toBe(own);
});
