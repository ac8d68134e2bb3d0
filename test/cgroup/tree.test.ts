/** What containers make below their cgroup: real cgroups where the kernel's answer counts, and trees of ordinary files. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killAndRemove, processesOf } from "../../src/cgroup/directories.ts";
import { thawTree } from "../../src/cgroup/freezer.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import type { Hierarchy } from "../../src/plan/input.ts";

const hierarchies = process.geteuid?.() === 0 ? readHierarchies() : [];
const unified = hierarchies.find((h) => h.version === 2);
const freezer = hierarchies.find((h) => h.options.includes("freezer")) ?? unified;
const skipped = (hierarchy: Hierarchy | undefined) =>
  hierarchy === undefined ? " (skipped: not root, or no such cgroup hierarchy)" : "";

const directory = mkdtempSync(join(tmpdir(), "kontena-tree-"));
afterAll(() => rmSync(directory, { recursive: true }));

let count = 0;
const children = new Set<ReturnType<typeof Bun.spawn>>();
const made: string[] = [];
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all([...children].map(({ exited }) => exited));
  children.clear();
  for (const top of made.splice(0)) killAndRemove([top], () => thaw(top));
});

function thaw(top: string): void {
  if (freezer !== undefined)
    thawTree({ manager: "cgroupfs", path: "/", hierarchies: [freezer], directories: [top], made: [] });
}

/** A real cgroup. */
function makeTop(hierarchy: Hierarchy | undefined): string {
  const top = join(hierarchy?.mountpoint ?? "", `kontena-tree-${process.pid}-${++count}`);
  mkdirSync(top);
  made.push(top);
  return top;
}

function sleeperIn(cgroup: string): number {
  const child = Bun.spawn(["sleep", "60"]);
  children.add(child);
  writeFileSync(join(cgroup, "cgroup.procs"), String(child.pid));
  return child.pid;
}

const numerically = (a: number, b: number) => a - b;
const sorted = (pids: readonly number[]) => [...pids].sort(numerically);

/** Cgroups in one another, deeper than a path can say, and a process that runs in the lowest. */
function deepBelow(top: string, depth: number, nameLength: number): number {
  const name = "x".repeat(nameLength);
  const script = `cd ${top}; for i in $(seq ${depth}); do mkdir ${name} && cd -P ${name} || exit; done
    sleep 60 >/dev/null 2>&1 & echo $! > cgroup.procs; echo $!`;
  return Number(Bun.spawnSync(["busybox", "sh", "-c", script]).stdout.toString());
}

test("a directory without processes to read hides none of those beside it", () => {
  // As a cgroup is that is removed meanwhile.
  for (let i = 0; i < 8; i++) {
    mkdirSync(join(directory, "one", `full${i}`, "below"), { recursive: true });
    mkdirSync(join(directory, "one", `gone${i}`, "below"), { recursive: true });
    writeFileSync(join(directory, "one", `full${i}`, "cgroup.procs"), `${100 + i}\n`);
    writeFileSync(join(directory, "one", `full${i}`, "below", "cgroup.procs"), `${200 + i}\n0\n`);
    writeFileSync(join(directory, "one", `gone${i}`, "below", "cgroup.procs"), `${300 + i}\n`);
  }
  const expected = [100, 200, 300].flatMap((first) => Array.from({ length: 8 }, (_, i) => first + i));
  expect(sorted(processesOf([join(directory, "one")]))).toEqual(expected);
  expect(processesOf([join(directory, "nowhere")])).toEqual([]);
});

test.skipIf(unified === undefined)(
  `a threaded cgroup hides no process of those beside it, nor of its own${skipped(unified)}`,
  () => {
    const top = makeTop(unified);
    const pids: number[] = [];
    for (let i = 0; i < 6; i++) {
      mkdirSync(join(top, `threads${i}`, "below", "lower"), { recursive: true });
      for (const path of ["below", "below/lower"])
        writeFileSync(join(top, `threads${i}`, path, "cgroup.type"), "threaded");
      mkdirSync(join(top, `plain${i}`));
      for (const path of [`threads${i}`, `threads${i}/below`, `threads${i}/below/lower`, `plain${i}`])
        pids.push(sleeperIn(join(top, path)));
    }
    expect(sorted(processesOf([top]))).toEqual(sorted(pids));
  },
);

test.skipIf(freezer === undefined)(
  `processes deeper than a path can say are found and killed, and all is removed${skipped(freezer)}`,
  () => {
    const top = makeTop(freezer);
    const pid = deepBelow(top, 20, 250);
    expect(pid).toBeGreaterThan(1);
    const other = sleeperIn(top);
    expect(sorted(processesOf([top]))).toEqual(sorted([pid, other]));
    killAndRemove([top], () => {});
    expect(existsSync(top)).toBe(false);
  },
);

test.skipIf(freezer === undefined)(
  `cgroups nested deeper than there are descriptors are removed${skipped(freezer)}`,
  () => {
    const top = makeTop(freezer);
    const pid = deepBelow(top, 60, 1);
    const script = `
      const { killAndRemove, processesOf } = await import(${JSON.stringify(join(import.meta.dir, "../../src/cgroup/directories.ts"))});
      console.log(processesOf([${JSON.stringify(top)}]).join());
      killAndRemove([${JSON.stringify(top)}], () => {});`;
    const limit = ["prlimit", "--nofile=40", "--"];
    const { stdout, stderr } = Bun.spawnSync([...limit, process.execPath, "-e", script]);
    expect([stdout.toString(), stderr.toString()]).toEqual([`${pid}\n`, ""]);
    expect(existsSync(top)).toBe(false);
  },
  30_000,
);

test.skipIf(freezer === undefined)(`a cgroup whose name is no text is removed${skipped(freezer)}`, () => {
  const top = makeTop(freezer);
  Bun.spawnSync(["busybox", "sh", "-c", `cd ${top} && d=$(printf 'a\\377b') && mkdir $d && mkdir $d/$d`]);
  expect(readdirSync(top, { encoding: "buffer" }).some((name) => name.includes(0xff))).toBe(true);
  killAndRemove([top], () => {});
  expect(existsSync(top)).toBe(false);
});

test.skipIf(freezer?.version !== 1)(
  `what is frozen deeper than a path can say is thawed${freezer?.version === 1 ? "" : " (skipped: no freezer of v1)"}`,
  () => {
    const top = makeTop(freezer);
    const below = ["/proc/self/fd/3", "freezer.state"].join("/");
    deepBelow(top, 20, 250);
    const script = (what: string) =>
      `cd ${top}; while cd -P x* 2>/dev/null; do :; done; exec 3<.; ${what} ${below}`;
    const inLowest = (what: string) =>
      Bun.spawnSync(["busybox", "sh", "-c", script(what)])
        .stdout.toString()
        .trim();
    inLowest("echo FROZEN >");
    expect(inLowest("cat")).toBe("FROZEN");
    thaw(top);
    expect(inLowest("cat")).toBe("THAWED");
  },
);
