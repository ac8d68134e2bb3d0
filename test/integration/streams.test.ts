/** Standard streams of a program that isn't root's. */
import { describe, expect } from "bun:test";
import { chownSync, closeSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { openBox, test } from "./helpers.ts";

const box = openBox("streams");
const { bundle, outputOf, directory } = box;

const user = (uid: number) => (config: { process: { user?: object } }) => {
  config.process.user = { uid, gid: uid };
};

describe("a program of another user", () => {
  test("can open its standard output by name", () => {
    expect(outputOf({ args: "echo one; echo two >> /dev/stdout", patch: user(1000) })).toBe("one\ntwo\n");
  });

  test("gets the caller's file as its own, and the group stays", () => {
    const path = join(directory, "out");
    const fd = openSync(path, "w", 0o600);
    chownSync(path, 0, 7);
    const b = bundle({ args: "echo text >> /dev/stderr", patch: user(1234) });
    const script = 'exec "$@" 2>"$0"';
    const finished = box.kontena(["run", "--bundle", b.directory, b.id], {
      before: ["sh", "-c", script, path],
    });
    closeSync(fd);
    expect(finished.status).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("text\n");
    expect(statSync(path)).toMatchObject({ uid: 1234, gid: 7 });
  });

  test("doesn't get /dev/null", () => {
    const { uid } = statSync("/dev/null");
    outputOf({ args: "true", patch: user(uid + 1000) });
    expect(statSync("/dev/null").uid).toBe(uid);
  });
});

test("root's program leaves the caller's file as it is", () => {
  const path = join(directory, "kept");
  closeSync(openSync(path, "w", 0o600));
  chownSync(path, 5, 5);
  const b = bundle({ args: "echo text >&2" });
  const before = ["sh", "-c", 'exec "$@" 2>"$0"', path];
  expect(box.kontena(["run", "--bundle", b.directory, b.id], { before }).status).toBe(0);
  expect(statSync(path).uid).toBe(5);
});
