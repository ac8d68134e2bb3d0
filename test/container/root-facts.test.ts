import { afterAll, beforeEach, expect, test } from "bun:test";
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mount } from "../../spec/mounts.ts";
import { sourceKinds } from "../../src/container/host.ts";
import { resolveInRoot } from "../../src/container/root-facts.ts";
import { lookupsOf } from "../../src/plan/lookups.ts";

let root: string;
const made: string[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "kontena-root-"));
  made.push(root);
});
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true });
});

function resolve(path: string): string | undefined {
  const fd = openSync(root, "r");
  try {
    return resolveInRoot(fd, path);
  } finally {
    closeSync(fd);
  }
}

const factsOf = (...mounts: Mount[]) => sourceKinds(lookupsOf({ ociVersion: "1.3.0", mounts }), root);

test.each([
  ["../run/systemd/resolve/stub-resolv.conf", "run/systemd/resolve/stub-resolv.conf"],
  ["/run/x", "run/x"],
  ["../../../../../etc/passwd", "etc/passwd"],
  ["/", ""],
  ["other/./there", "etc/other/there"],
])("a symlink that says %s leads to %s of the root", (target, place) => {
  mkdirSync(join(root, "etc"));
  symlinkSync(target, join(root, "etc/resolv.conf"));
  expect(resolve("etc/resolv.conf")).toBe(place);
});

test("symlinks on the way are followed as well, and a circle of them leads nowhere", () => {
  mkdirSync(join(root, "real"));
  symlinkSync("real", join(root, "one"));
  symlinkSync("one/deeper", join(root, "two"));
  expect(resolve("two/file")).toBe("real/deeper/file");
  symlinkSync("circle", join(root, "circle"));
  expect(resolve("circle/x")).toBeUndefined();
});

test("a path without symlinks is itself, there or not", () => {
  expect(resolve("a/b/c")).toBe("a/b/c");
});

test("only a destination that isn't there and has symlinks in its path has another place", () => {
  mkdirSync(join(root, "etc"));
  mkdirSync(join(root, "run"));
  symlinkSync("/run/missing", join(root, "etc/resolv.conf"));
  symlinkSync("/run", join(root, "there"));
  const bind = (destination: string, ...options: string[]) => ({
    destination,
    source: "/x",
    options: ["bind", ...options],
  });
  expect(factsOf(bind("/etc/resolv.conf"), bind("/there"), bind("/etc/missing"))).toEqual({
    "place of /etc/resolv.conf": "place run/missing",
  });
  expect(factsOf(bind("/etc/resolv.conf", "dest-nofollow"))).toEqual({});
  expect(factsOf({ destination: "/etc", type: "tmpfs" }, bind("/etc/resolv.conf"))).toEqual({
    "mode of /etc": expect.stringMatching(/^mode 7/),
  });
});

test("the mode of a directory that a tmpfs covers is told with all its bits", () => {
  mkdirSync(join(root, "tmp"));
  chmodSync(join(root, "tmp"), 0o1777);
  expect(factsOf({ destination: "/tmp", type: "tmpfs" })).toEqual({ "mode of /tmp": "mode 1777" });
  expect(factsOf({ destination: "/tmp", type: "tmpfs", options: ["mode=700"] })).toEqual({});
  expect(factsOf({ destination: "/none", type: "tmpfs" })).toEqual({});
});
