/** What the driver makes and removes, in real cgroups, and what it leaves to others. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { askedOf } from "../../src/cgroup/asked.ts";
import { type Cgroup, type CgroupRequest, driverOf, removeCgroup } from "../../src/cgroup/cgroup.ts";
import { killAndRemove } from "../../src/cgroup/directories.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import { inputOf } from "../plan/helpers.ts";

const hierarchies = process.geteuid?.() === 0 ? readHierarchies() : [];
const real = test.skipIf(hierarchies.length === 0);
const skipped = hierarchies.length === 0 ? " (skipped: not root, or no cgroup hierarchy)" : "";
const driver = driverOf("cgroupfs");

let count = 0;
const tops: string[] = [];
/** A path that nobody has yet. */
function name(): string {
  const path = `/kontena-cgroupfs-${process.pid}-${++count}`;
  tops.push(...hierarchies.map((h) => join(h.mountpoint, path)));
  return path;
}
const sleepers = new Set<ReturnType<typeof Bun.spawn>>();
afterEach(async () => {
  for (const child of sleepers) child.kill("SIGKILL");
  await Promise.all([...sleepers].map(({ exited }) => exited));
  sleepers.clear();
  killAndRemove(tops.splice(0), () => {});
});

const directoriesOf = (path: string) => hierarchies.map((h) => join(h.mountpoint, path));
const allThere = (path: string) => new Set(directoriesOf(path).map((directory) => existsSync(directory)));
const make = (path: string) => {
  for (const directory of directoriesOf(path)) mkdirSync(directory, { recursive: true });
};
/** Into a hierarchy that doesn't ask for CPUs first. */
const place = hierarchies.findIndex((h) => !h.options.includes("cpuset"));
function sleeperIn(path: string) {
  const child = Bun.spawn(["sleep", "60"]);
  sleepers.add(child);
  writeFileSync(join(directoriesOf(path)[place] as string, "cgroup.procs"), String(child.pid));
  return child;
}

/** A create, as far as its cgroup: what was made is what its own cleanup knows. */
function create(path: string) {
  const made: string[] = [];
  const request: CgroupRequest = {
    id: "c1",
    input: inputOf({ linux: {} }, { host: { hierarchies }, cgroupPath: path }),
    asked: askedOf({ linux: {} }),
    isMade: (directory) => made.push(directory),
    warn: () => {},
  };
  const cgroup = driver.plan(request);
  return {
    cgroup,
    make() {
      driver.make(request, cgroup);
      driver.adopt(request, cgroup, process.pid);
    },
    undo: () => removeCgroup({ ...cgroup, made }, false),
  };
}

real(`a cgroup that was there stays, without what the container has in it${skipped}`, async () => {
  const path = name();
  make(path);
  // In one hierarchy: devices of v1 takes no rules where there is a cgroup below.
  const before = directoriesOf(`${path}/before`)[place] as string;
  mkdirSync(before);
  const { cgroup, make: makeCgroup } = create(path);
  makeCgroup();
  make(`${path}/since/lower`);
  mkdirSync(join(before, "since"));
  const inside = [path, `${path}/since/lower`, `${path}/before`].map(sleeperIn);
  // As the state has it.
  removeCgroup(JSON.parse(JSON.stringify(cgroup)) as Cgroup, true);
  const statuses = await Promise.all(inside.map(({ exited }) => exited));
  expect(statuses.filter((status) => status < 128)).toEqual([]);
  expect([allThere(path), existsSync(before)]).toEqual([new Set([true]), true]);
  expect([allThere(`${path}/since`), existsSync(join(before, "since"))]).toEqual([new Set([false]), false]);
});

real(`one that was there in some hierarchies stays in those${skipped}`, () => {
  const path = name();
  const [first = "", ...others] = directoriesOf(path);
  mkdirSync(first);
  const { cgroup, make: makeCgroup } = create(path);
  makeCgroup();
  removeCgroup(cgroup, true);
  expect(existsSync(first)).toBe(true);
  expect(others.filter((directory) => existsSync(directory))).toEqual([]);
});

real(
  `a state that doesn't say what was there before is of a container whose own is all below${skipped}`,
  () => {
    const path = name();
    make(`${path}/below`);
    const { found: _, ...cgroup } = create(path).cgroup;
    removeCgroup(cgroup, true);
    expect([path, `${path}/below`].map(allThere)).toEqual([new Set([true]), new Set([false])]);
  },
);

real(`a create that fails leaves a cgroup that was there as it is${skipped}`, () => {
  const path = name();
  make(path);
  const { make: makeCgroup, undo } = create(path);
  makeCgroup();
  make(`${path}/below`);
  const other = sleeperIn(`${path}/below`);
  undo();
  expect(allThere(`${path}/below`)).toEqual(new Set([true]));
  expect(other.killed).toBe(false);
  expect(() => process.kill(other.pid, 0)).not.toThrow();
});

real(`of two creates at once one fails, and its cleanup leaves all to the other${skipped}`, () => {
  const path = `${name()}/above/own`;
  const [first, second, third] = [create(path), create(path), create(`${dirname(path)}/other`)];
  first.make();
  const sleeper = sleeperIn(path);
  expect(second.make).toThrow(/cgroup \/.*\/above\/own has just been made by somebody else/);
  second.undo();
  expect(allThere(path)).toEqual(new Set([true]));
  expect(() => process.kill(sleeper.pid, 0)).not.toThrow();
  // The directories above may be anybody's.
  third.make();
  removeCgroup(third.cgroup, true);
  removeCgroup(first.cgroup, true);
  expect(allThere(dirname(path))).toEqual(new Set([false]));
});

real(`a create that fails before it made anything leaves what another has made meanwhile${skipped}`, () => {
  const path = name();
  const [first, second] = [create(path), create(path)];
  first.make();
  second.undo();
  expect(allThere(path)).toEqual(new Set([true]));
});

real(`a cgroup that was there, and was entered since by others, isn't entered${skipped}`, () => {
  const path = name();
  make(path);
  const { make: makeCgroup, undo } = create(path);
  const other = sleeperIn(path);
  expect(makeCgroup).toThrow(`the cgroup ${path} has processes in it`);
  undo();
  expect(() => process.kill(other.pid, 0)).not.toThrow();
});

real(`below a file there is nothing to remove${skipped}`, () => {
  const below = create("/cgroup.procs/below-a-file");
  expect(below.make).toThrow(/cannot make the cgroup \/.*\/cgroup.procs\/below-a-file: ENOTDIR/);
  expect(below.undo).not.toThrow();
  expect(() => removeCgroup(below.cgroup, true)).not.toThrow();
});
