/** Directories of ordinary files stand for cgroups: facts are read, and limits written, in the same way. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Resources } from "../../spec/resources.ts";
import type { Cgroup } from "../../src/cgroup/cgroup.ts";
import {
  checkResources,
  factsOf,
  keepContents,
  type Moment,
  writeAll,
  writesOf,
} from "../../src/cgroup/control.ts";
import { KontenaError } from "../../src/error.ts";

const top = mkdtempSync(join(tmpdir(), "kontena-control-"));
afterAll(() => rmSync(top, { recursive: true }));
let count = 0;

/** A hybrid host's cgroup: memory in v1, the rest in v2. */
function fake(files: Record<string, string>): Cgroup {
  const place = join(top, String(++count));
  const directories = ["memory", "unified"].map((name) => join(place, name));
  for (const directory of directories) mkdirSync(directory, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(place, file), text);
  return {
    manager: "cgroupfs",
    path: "/x",
    hierarchies: [
      { version: 1, mountpoint: "/m", options: ["memory"] },
      { version: 2, mountpoint: "/u", options: [] },
    ],
    directories,
    made: [],
  };
}
const content = (cgroup: Cgroup, index: number, file: string) =>
  readFileSync(join(cgroup.directories[index] ?? "", file), "utf8");

function apply(cgroup: Cgroup, resources: Resources, moment: Moment = "before"): string[] {
  const warnings: string[] = [];
  const facts = factsOf(cgroup, new Map([["io", "the controller isn't handed down"]]));
  const warn = (message: string, details?: { at?: string }) => warnings.push(`${details?.at}: ${message}`);
  const writes = moment === "after" ? writesOf(resources, facts) : checkResources(resources, facts, warn);
  writeAll(cgroup, writes, moment);
  return warnings;
}

describe("facts", () => {
  const cgroup = fake({ "unified/cgroup.controllers": "cpu pids\n", "unified/cpu.idle": "0\n" });
  const facts = factsOf(cgroup, new Map([["io", "why"]]));

  test("say which version has a controller: v1 first, else what v2 has handed down", () => {
    expect([
      facts.where("memory"),
      facts.where("cpu"),
      facts.where("blkio", "io"),
      facts.where("", "cgroup"),
    ]).toEqual([1, 2, undefined, 2]);
    expect([facts.why?.("io"), facts.why?.("cpu")]).toEqual(["why", undefined]);
  });

  test("read files of the controller's hierarchy, and nothing of what isn't there", () => {
    expect(facts.read("cpu", "cpu.idle")).toBe("0");
    expect(facts.read("memory", "cpu.idle")).toBeUndefined();
  });
});

describe("limits", () => {
  const files = {
    "memory/memory.limit_in_bytes": "9",
    "unified/cgroup.controllers": "cpu pids",
    "unified/pids.max": "max",
    "unified/cpu.weight": "100",
  };

  test("are written to the files of each controller's hierarchy", () => {
    const cgroup = fake(files);
    expect(apply(cgroup, { memory: { limit: 5, kernel: 1 }, pids: { limit: 7 } })).toEqual([
      expect.stringContaining("linux.resources.memory.kernel: isn't applied"),
    ]);
    expect([content(cgroup, 0, "memory.limit_in_bytes"), content(cgroup, 1, "pids.max")]).toEqual([
      "5",
      "7ax",
    ]);
  });

  test("that leave no room for a birth come after it", () => {
    const cgroup = fake(files);
    apply(cgroup, { pids: { limit: 0 } });
    expect(content(cgroup, 1, "pids.max")).toBe("max");
    apply(cgroup, { pids: { limit: 0 } }, "after");
    expect(content(cgroup, 1, "pids.max")).toBe("0ax");
  });

  test("that can't be applied are refused before any is written, all at once, and with the reason", () => {
    const cgroup = fake(files);
    let error: unknown;
    try {
      apply(cgroup, { pids: { limit: 7 }, blockIO: { weight: 100 }, rdma: { a: { hcaHandles: 1 } } });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(KontenaError);
    expect(error).toMatchObject({
      code: "RESOURCE_FAILED",
      details: {
        problems: [
          { at: "linux.resources.blockIO.weight", message: "the controller isn't handed down" },
          { at: "linux.resources.rdma.a", message: 'this host has no cgroup controller "rdma"' },
        ],
      },
    });
    expect(content(cgroup, 1, "pids.max")).toBe("max");
  });

  test("that the kernel refuses name the file, the value and what may help", () => {
    const cgroup = fake({ "unified/cgroup.controllers": "pids" });
    expect(() => apply(cgroup, { pids: { limit: 7 } })).toThrow(
      expect.objectContaining({
        code: "RESOURCE_FAILED",
        message: "cannot write 7 to pids.max: no such file or directory",
        details: expect.objectContaining({
          at: "linux.resources.pids.limit",
          errno: "ENOENT",
          hint: "this kernel has no such file",
        }),
      }),
    );
  });

  test("are those from before again, whichever of them were written", () => {
    const cgroup = fake({ ...files, "unified/cgroup.controllers": "cpu pids misc" });
    const facts = factsOf(cgroup);
    const change: Resources = { pids: { limit: 700 }, unified: { "cpu.weight": "500", "misc.max": "x 1" } };
    const writes = writesOf(change, facts);
    const back = keepContents(cgroup, writes, facts);
    expect(() => writeAll(cgroup, writes, "update")).toThrow("cannot write x 1 to misc.max");
    expect([content(cgroup, 1, "pids.max"), content(cgroup, 1, "cpu.weight")]).toEqual(["700", "500"]);
    back();
    expect([content(cgroup, 1, "pids.max"), content(cgroup, 1, "cpu.weight")]).toEqual(["max", "100"]);
  });
});
