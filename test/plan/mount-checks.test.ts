import { describe, expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { mountProblems, mountWarnings } from "../../src/plan/mount-checks.ts";

const configOf = (...mounts: Mount[]) => ({ ociVersion: "1.3.0", mounts });
const problems = (...mounts: Mount[]) => mountProblems(configOf(...mounts)).map(({ at }) => at);

const TMPFS: Mount = { destination: "/a", type: "tmpfs" };
const BIND: Mount = { destination: "/a", source: "/b", options: ["bind"] };

test("sensible mounts are no problem", () => {
  expect(problems(TMPFS, BIND, { destination: "/proc", type: "proc" })).toEqual([]);
  expect(problems({ destination: "/a", options: ["remount", "ro"] })).toEqual([]);
});

test.each([undefined, "none"])("a mount of type %s is none, unless it binds or changes another", (type) => {
  expect(problems({ destination: "/a", ...(type === undefined ? {} : { type }) })).toEqual([
    "mounts[0].type",
  ]);
});

test.each([undefined, ""])("a bind mount without a source (%j) is refused", (source) => {
  const mount = { destination: "/a", options: ["rbind"], ...(source === undefined ? {} : { source }) };
  expect(problems(mount)).toEqual(["mounts[0].source"]);
});

test("data that mount(2) would cut off is refused with its size", () => {
  const layers = `lowerdir=${"/layer:".repeat(600)}`;
  const [problem] = mountProblems(configOf({ destination: "/a", type: "overlay", options: [layers] }));
  expect(problem).toMatchObject({ at: "mounts[0].options" });
  expect(problem?.message).toContain("at most 4095 bytes of options, these are 4209");
});

test("many options of ordinary length have no such limit: each is a call of its own", () => {
  const options = Array.from({ length: 100 }, (_, i) => `option${i}=${"x".repeat(100)}`);
  expect(problems({ ...TMPFS, options })).toEqual([]);
});

test("what a remount can't change is refused by place", () => {
  expect(problems({ destination: "/a", options: ["remount", "ro", "iversion"] })).toEqual([
    "mounts[0].options[2]",
  ]);
});

test("options for symlinks are for bind mounts, and one way to treat a symlink excludes the other", () => {
  expect(problems({ ...TMPFS, options: ["src-nofollow"] })).toEqual(["mounts[0].options"]);
  expect(problems({ ...BIND, options: ["bind", "copy-symlink", "dest-nofollow"] })).toEqual([
    "mounts[0].options[1]",
  ]);
});

test("a cgroup mount takes no data: it would be lost", () => {
  const mount = { destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro", "nsdelegate"] };
  expect(problems(mount)).toEqual(["mounts[0].options[1]"]);
});

describe("on a bind mount, an option of the file system", () => {
  const options = ["rbind", "sync", "ro", "lazytime", "iversion"];

  test("has no effect, which is said", () => {
    const warnings = mountWarnings(configOf({ ...BIND, options }));
    expect(warnings.map(({ at }) => at)).toEqual([1, 3, 4].map((i) => `mounts[0].options[${i}]`));
    expect(warnings[0]?.message).toContain("sync is an option of a file system");
  });

  test("is nothing to be said of elsewhere", () => {
    expect(mountWarnings(configOf({ ...TMPFS, options: ["sync", "iversion"] }))).toEqual([]);
  });
});
