/** Real cgroups: root, whatever hierarchies this machine has. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import { askedOf } from "../../src/cgroup/asked.ts";
import { type Cgroup, type CgroupRequest, driverOf, removeCgroup } from "../../src/cgroup/cgroup.ts";
import { joinCgroup, processesOf, unifiedOf } from "../../src/cgroup/directories.ts";
import { freezeCgroup, frozenState, thawCgroup } from "../../src/cgroup/freezer.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import { inputOf } from "../plan/helpers.ts";

const hierarchies = readHierarchies();
const skipped =
  process.geteuid?.() !== 0
    ? " (skipped: not root)"
    : hierarchies.length === 0
      ? " (skipped: no cgroup hierarchy is mounted)"
      : "";
const real = test.skipIf(skipped !== "");

const made: Cgroup[] = [];
let count = 0;
const name = () => `/kontena-test-${process.pid}-${++count}`;

const driver = driverOf("cgroupfs");
const requestFor = (path: string, resources: Resources = {}): CgroupRequest => ({
  id: "c1",
  input: inputOf({ linux: { resources } }, { host: { hierarchies }, cgroupPath: path }),
  asked: askedOf({ linux: { resources } }),
  warn: () => {},
});
const planCgroup = (path: string) => driver.plan(requestFor(path));

function make(path: string): Cgroup {
  const cgroup = planCgroup(path);
  made.push(cgroup);
  driver.make(requestFor(path), cgroup);
  driver.adopt(requestFor(path), cgroup, process.pid);
  return cgroup;
}

afterEach(() => {
  for (const cgroup of made.splice(0)) removeCgroup(cgroup, true);
});

const sleepers = new Set<ReturnType<typeof Bun.spawn>>();
afterEach(() => {
  for (const child of sleepers) child.kill("SIGKILL");
  sleepers.clear();
});
function sleeper() {
  const child = Bun.spawn(["sleep", "60"]);
  sleepers.add(child);
  return child;
}

real(`a cgroup is a directory in every hierarchy${skipped}`, () => {
  const path = name();
  const cgroup = make(path);
  expect(cgroup.directories).toEqual(hierarchies.map((h) => join(h.mountpoint, path)));
  for (const directory of cgroup.directories) expect(existsSync(join(directory, "cgroup.procs"))).toBe(true);
  removeCgroup(cgroup, true);
  for (const directory of cgroup.directories) expect(existsSync(directory)).toBe(false);
});

real(`what will be made is known before it is, the topmost first${skipped}`, () => {
  const path = name();
  const cgroup = planCgroup(`${path}/a/b`);
  for (const directory of cgroup.made) expect(existsSync(directory)).toBe(false);
  const [first] = hierarchies;
  const top = join(first?.mountpoint ?? "", path);
  expect(cgroup.made.slice(0, 3)).toEqual([top, `${top}/a`, `${top}/a/b`]);
  expect(cgroup.made).toHaveLength(3 * hierarchies.length);
});

real(
  `the directories above go too, but not those that were there, nor those that hold another cgroup${skipped}`,
  () => {
    const path = name();
    const outer = make(path);
    const inner = make(`${path}/a/b`);
    const other = make(`${path}/a/c`);
    removeCgroup(inner, true);
    const [directory] = outer.directories as [string];
    expect(existsSync(`${directory}/a/c`)).toBe(true);
    expect(existsSync(`${directory}/a/b`)).toBe(false);
    removeCgroup(other, true);
    expect(existsSync(`${directory}/a/c`)).toBe(false);
    expect(existsSync(directory)).toBe(true);
  },
);

real(`a process inside is killed, and so is one in a cgroup below${skipped}`, async () => {
  const cgroup = make(name());
  const [outer, inner] = [sleeper(), sleeper()];
  joinCgroup(cgroup.directories, outer.pid);
  const below = cgroup.directories.map((directory) => join(directory, "below"));
  below.forEach((directory, i) => {
    mkdirSync(directory);
    // On v1 a new cpuset takes no process until it has CPUs and memory nodes.
    if (hierarchies[i]?.options.includes("cpuset"))
      for (const file of ["cpuset.cpus", "cpuset.mems"])
        writeFileSync(join(directory, file), readFileSync(join(directory, "..", file)));
  });
  joinCgroup(below, inner.pid);
  expect(processesOf(cgroup.directories).sort()).toEqual([outer.pid, inner.pid].sort());
  removeCgroup(cgroup, true);
  for (const directory of cgroup.directories) expect(existsSync(directory)).toBe(false);
  await Promise.all([outer.exited, inner.exited]);
  expect([outer.signalCode, inner.signalCode]).toEqual(["SIGKILL", "SIGKILL"]);
});

real(`removing what is gone already is no error${skipped}`, () => {
  const cgroup = make(name());
  removeCgroup(cgroup, true);
  removeCgroup(cgroup, true);
  expect(processesOf(cgroup.directories)).toEqual([]);
  const never = planCgroup(name());
  removeCgroup(never, true);
});

real(`a cgroup with processes in it isn't taken: removing the container would kill them${skipped}`, () => {
  const path = name();
  const cgroup = make(path);
  joinCgroup(cgroup.directories, sleeper().pid);
  expect(() => planCgroup(path)).toThrow("has processes in it");
});

real(`an empty one that is there is taken, and counts as not made${skipped}`, () => {
  const path = name();
  make(path);
  expect(planCgroup(path).made).toEqual([]);
});

describe("v2", () => {
  const unified = hierarchies.find((h) => h.version === 2);
  const missing = skipped || (unified === undefined ? " (skipped: no cgroup v2)" : "");

  test.skipIf(missing !== "")(`its directory is opened for the clone${missing}`, () => {
    const cgroup = make(name());
    const fd = driver.birthplace(cgroup);
    expect(fd).toBeGreaterThan(2);
    closeSync(fd as number);
  });

  test.skipIf(missing !== "")(`a frozen cgroup is refused, as clone3 into it would wait${missing}`, () => {
    const path = name();
    const cgroup = make(path);
    const directory = unifiedOf(cgroup) as string;
    writeFileSync(join(directory, "cgroup.freeze"), "1");
    expect(() => make(`${path}/inner`)).toThrow(`the cgroup ${directory}/inner is frozen`);
    writeFileSync(join(directory, "cgroup.freeze"), "0");
  });
});

real(`a frozen process stands still until it is thawed, and a frozen cgroup can be removed${skipped}`, () => {
  const cgroup = make(name());
  joinCgroup(cgroup.directories, sleeper().pid);
  expect(frozenState(cgroup)).toBe("thawed");
  freezeCgroup(cgroup);
  expect(frozenState(cgroup)).toBe("frozen");
  thawCgroup(cgroup);
  expect(frozenState(cgroup)).toBe("thawed");
  freezeCgroup(cgroup);
  removeCgroup(cgroup, true);
  for (const directory of cgroup.directories) expect(existsSync(directory)).toBe(false);
});

test("without a v2 hierarchy nobody is born into a cgroup", () => {
  const cgroup: Cgroup = { manager: "cgroupfs", path: "/x", hierarchies: [], directories: [], made: [] };
  expect(driver.birthplace(cgroup)).toBeUndefined();
  expect(frozenState(cgroup)).toBe("thawed");
  expect(() => freezeCgroup(cgroup)).toThrow("no cgroup that could be frozen");
});

real(`a directory that can't be made is an error with its path${skipped}`, () => {
  const path = "/cgroup.procs/below-a-file";
  const cgroup = planCgroup(path);
  const make = () => {
    driver.make(requestFor(path), cgroup);
    driver.adopt(requestFor(path), cgroup, process.pid);
  };
  expect(make).toThrow(/cannot make the cgroup \/.*\/cgroup.procs\/below-a-file/);
});

real(`entering a cgroup that isn't there is an error with its path${skipped}`, () => {
  expect(() => joinCgroup(["/sys/fs/cgroup/nowhere"], process.pid)).toThrow(
    "cannot enter the cgroup /sys/fs/cgroup/nowhere",
  );
});
