/** Trees of ordinary files stand for cgroups: what is read and written is the same. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { enableControllers, refuseThreaded } from "../../../src/cgroup/v2/controllers.ts";

const top = mkdtempSync(join(tmpdir(), "kontena-controllers-"));
afterAll(() => rmSync(top, { recursive: true }));

function cgroup(path: string, files: Record<string, string>): string {
  const directory = join(top, path);
  mkdirSync(directory, { recursive: true });
  const all = { "cgroup.controllers": "", "cgroup.subtree_control": "", "cgroup.procs": "", ...files };
  for (const [file, text] of Object.entries(all)) writeFileSync(join(directory, file), text);
  return directory;
}

const written = (path: string) => readFileSync(join(top, path, "cgroup.subtree_control"), "utf8");

test("what is needed, and what statistics are read from, is enabled in each parent, in one write", () => {
  cgroup("one", {
    "cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma\n",
    "cgroup.subtree_control": "pids\n",
  });
  cgroup("one/a", { "cgroup.controllers": "cpu memory pids", "cgroup.type": "domain" });
  const leaf = cgroup("one/a/b", {});
  expect(enableControllers(join(top, "one"), leaf, new Set(["memory", "hugetlb"]))).toEqual(
    new Map([["hugetlb", `the controller "hugetlb" isn't handed down to ${join(top, "one/a")}`]]),
  );
  expect(written("one")).toStartWith("+cpu +io +memory +hugetlb");
  expect(written("one/a")).toBe("+cpu +memory +pids");
  expect(written("one/a/b")).toBe("");
});

test("nothing is written where all is enabled", () => {
  const all = "cpu io memory pids";
  cgroup("two", { "cgroup.controllers": all, "cgroup.subtree_control": all });
  expect(enableControllers(join(top, "two"), cgroup("two/a", {}), new Set(["memory"])).size).toBe(0);
  expect(written("two")).toBe(all);
});

test("nothing is enabled below processes, but below those of the root, which has no type", () => {
  const files = { "cgroup.controllers": "cpu memory", "cgroup.procs": "1\n2\n" };
  cgroup("three", files);
  cgroup("three/a", { ...files, "cgroup.type": "domain\n" });
  const missing = enableControllers(join(top, "three"), cgroup("three/a/b", {}), new Set(["memory"]));
  expect(missing.get("memory")).toBe(
    `the controller "memory" can't be enabled below ${join(top, "three/a")}: it has processes of its own`,
  );
  expect([written("three"), written("three/a")]).toEqual(["+cpu +memory", ""]);
});

test.each(["domain", "domain threaded", undefined])("a cgroup of type %p takes processes", (type) => {
  const directory = cgroup("four", type === undefined ? {} : { "cgroup.type": `${type}\n` });
  expect(() => refuseThreaded(directory)).not.toThrow();
});

test.each(["threaded", "domain invalid"])("a cgroup of type %p takes none", (type) => {
  expect(() => refuseThreaded(cgroup("five", { "cgroup.type": `${type}\n` }))).toThrow(
    `takes no process: it is ${type}`,
  );
});
