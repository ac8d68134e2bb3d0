/** Real cgroups: root, whatever hierarchies this machine has. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Cgroup,
  isFrozen,
  joinCgroup,
  makeCgroup,
  openUnified,
  planCgroup,
  processesOf,
  removeCgroup,
} from "../../src/cgroup/cgroup.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";

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

function make(path: string): Cgroup {
  const cgroup = planCgroup(hierarchies, path);
  made.push(cgroup);
  makeCgroup(hierarchies, cgroup);
  return cgroup;
}

afterEach(() => {
  for (const cgroup of made.splice(0)) removeCgroup(cgroup);
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
  removeCgroup(cgroup);
  for (const directory of cgroup.directories) expect(existsSync(directory)).toBe(false);
});

real(`what will be made is known before it is, the topmost first${skipped}`, () => {
  const path = name();
  const cgroup = planCgroup(hierarchies, `${path}/a/b`);
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
    removeCgroup(inner);
    const [directory] = outer.directories as [string];
    expect(existsSync(`${directory}/a/c`)).toBe(true);
    expect(existsSync(`${directory}/a/b`)).toBe(false);
    removeCgroup(other);
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
  removeCgroup(cgroup);
  for (const directory of cgroup.directories) expect(existsSync(directory)).toBe(false);
  await Promise.all([outer.exited, inner.exited]);
  expect([outer.signalCode, inner.signalCode]).toEqual(["SIGKILL", "SIGKILL"]);
});

real(`removing what is gone already is no error${skipped}`, () => {
  const cgroup = make(name());
  removeCgroup(cgroup);
  removeCgroup(cgroup);
  expect(processesOf(cgroup.directories)).toEqual([]);
  const never = planCgroup(hierarchies, name());
  removeCgroup(never);
});

real(`a cgroup with processes in it isn't taken: removing the container would kill them${skipped}`, () => {
  const path = name();
  const cgroup = make(path);
  joinCgroup(cgroup.directories, sleeper().pid);
  expect(() => planCgroup(hierarchies, path)).toThrow("has processes in it");
});

real(`an empty one that is there is taken, and counts as not made${skipped}`, () => {
  const path = name();
  make(path);
  expect(planCgroup(hierarchies, path).made).toEqual([]);
});

describe("v2", () => {
  const unified = hierarchies.find((h) => h.version === 2);
  const missing = skipped || (unified === undefined ? " (skipped: no cgroup v2)" : "");

  test.skipIf(missing !== "")(`its directory is opened for the clone${missing}`, () => {
    const cgroup = make(name());
    const fd = openUnified(hierarchies, cgroup);
    expect(fd).toBeGreaterThan(2);
    closeSync(fd as number);
  });

  test.skipIf(missing !== "")(`a frozen cgroup is refused, as clone3 into it would wait${missing}`, () => {
    const path = name();
    const top = make(path);
    const cgroup = make(`${path}/inner`);
    const directory = top.directories[hierarchies.indexOf(unified as never)] as string;
    if (!existsSync(join(directory, "cgroup.freeze"))) return;
    expect(isFrozen(directory)).toBe(false);
    writeFileSync(join(directory, "cgroup.freeze"), "1");
    const end = Date.now() + 2000;
    while (!isFrozen(directory) && Date.now() < end) Bun.sleepSync(1);
    expect(() => openUnified(hierarchies, cgroup)).toThrow("frozen");
    writeFileSync(join(directory, "cgroup.freeze"), "0");
  });
});

test("without a v2 hierarchy nobody is born into a cgroup", () => {
  expect(openUnified([], { path: "/x", directories: [], made: [] })).toBeUndefined();
  expect(isFrozen("/nowhere")).toBe(false);
});

real(`a directory that can't be made is an error with its path${skipped}`, () => {
  const [first] = hierarchies;
  const path = "/cgroup.procs/below-a-file";
  const cgroup = planCgroup(hierarchies, path);
  expect(() => makeCgroup(hierarchies, cgroup)).toThrow(`cannot make the cgroup ${first?.mountpoint}${path}`);
});

real(`entering a cgroup that isn't there is an error with its path${skipped}`, () => {
  expect(() => joinCgroup(["/sys/fs/cgroup/nowhere"], process.pid)).toThrow(
    "cannot enter the cgroup /sys/fs/cgroup/nowhere",
  );
});
