import { expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import type { Step } from "../../src/init/step.ts";
import { copyUps } from "../../src/plan/copy-up.ts";
import { mountProblems } from "../../src/plan/mount-checks.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { takesMode } from "../../src/plan/source.ts";
import { callsIn, inputOf, withNamespaces } from "./helpers.ts";

const TMPFS: Mount = { destination: "/run", type: "tmpfs", options: ["tmpcopyup"] };
const flat = (steps: readonly Step[]): Step[] =>
  steps.flatMap((step) => ("block" in step ? flat(step.block) : [step]));

test("init waits between opening the destination and attaching the tmpfs", () => {
  const input = inputOf({ mounts: [TMPFS], linux: withNamespaces("mount") });
  const steps = flat(mounts(input));
  const at = steps.findIndex((step) => "pause" in step);
  expect(steps[at]).toMatchObject({ pause: "copy up mounts[0]" });
  const before = callsIn(steps.slice(0, at)).map(({ save }) => save);
  const [one] = copyUps(input);
  expect(before).toContain(one?.destinationCell as string);
  expect(before).toContain(one?.mountCell as string);
  expect(callsIn(steps.slice(at)).map(({ call }) => call)).toContain("move_mount");
});

test("only tmpcopyup makes it wait", () => {
  const input = inputOf({ mounts: [{ ...TMPFS, options: [] }], linux: withNamespaces("mount") });
  expect(flat(mounts(input)).some((step) => "pause" in step)).toBe(false);
  expect(copyUps(input)).toEqual([]);
});

test("the owner of the tmpfs's top is the options', if they have one", () => {
  const owns = (...options: string[]) =>
    copyUps(inputOf({ mounts: [{ ...TMPFS, options: ["tmpcopyup", ...options] }] })).map((c) => c.ownsTop);
  expect(owns("size=1m")).toEqual([true]);
  expect(owns("uid=5")).toEqual([false]);
  expect(owns("size=1m,gid=5")).toEqual([false]);
});

test("where it can't be had it is refused", () => {
  const problems = (mount: Mount) => mountProblems({ ociVersion: "1.3.0", mounts: [mount] }).map((p) => p.at);
  expect(problems(TMPFS)).toEqual([]);
  for (const mount of [
    { ...TMPFS, type: "proc", destination: "/x" },
    { ...TMPFS, source: "/x", options: ["tmpcopyup", "bind"] },
    { ...TMPFS, options: ["tmpcopyup", "silent"] },
    { ...TMPFS, options: ["tmpcopyup", "remount"] },
  ])
    expect(problems(mount), JSON.stringify(mount)).toEqual(["mounts[0].options[0]"]);
});

test("a tmpfs has the mode of what it covers: without one of its own, and not on another mount", () => {
  const list: Mount[] = [
    { destination: "/dev", type: "tmpfs" },
    { destination: "/dev/shm", type: "tmpfs" },
    { destination: "/data", type: "tmpfs", options: ["size=1m,mode=700"] },
    { destination: "/devices", type: "tmpfs", options: ["size=1m"] },
    { destination: "/proc", type: "proc" },
    { destination: "/devices", options: ["remount"], type: "tmpfs" },
  ];
  expect(list.map((_, i) => takesMode(list, i))).toEqual([true, false, false, true, false, false]);
});

test("the mode is an option of its own, before those of the config", () => {
  const sources = { "mode of /run": "mode 1777" } as const;
  const input = inputOf({ mounts: [{ ...TMPFS, options: ["size=1m"] }] }, { host: { sources } });
  const options = callsIn(mounts(input)).filter((c) => c.call === "fsconfig" && c.args[1] === 1);
  expect(options.map((c) => [c.args[2], c.args[3]])).toEqual([
    ["source", "tmpfs"],
    ["mode", "1777"],
    ["size", "1m"],
  ]);
});
