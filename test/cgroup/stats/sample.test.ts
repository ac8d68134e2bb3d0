/** The counters of the live table, from directories that look like cgroups of v1 and v2. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cgroup } from "../../../src/cgroup/cgroup.ts";
import { flatValue, sampler } from "../../../src/cgroup/stats/sample.ts";
import type { Hierarchy } from "../../../src/plan/input.ts";

const top = mkdtempSync(join(tmpdir(), "kontena-sample-"));
afterAll(() => rmSync(top, { recursive: true }));
let count = 0;

/** A cgroup of a directory for each hierarchy, with these files. */
function fake(...parts: { version: 1 | 2; options?: string[]; files: Record<string, string> }[]): Cgroup {
  const hierarchies: Hierarchy[] = [];
  const directories: string[] = [];
  for (const { version, options = [], files } of parts) {
    const mountpoint = join(top, String(++count));
    const directory = join(mountpoint, "c1");
    mkdirSync(directory, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    hierarchies.push({ version, mountpoint, options });
    directories.push(directory);
  }
  return { manager: "cgroupfs", path: "/c1", hierarchies, directories, made: [] };
}

const PRESSURE = (avg10: string) =>
  `some avg10=${avg10} avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n`;

const V2_FILES = {
  "cgroup.controllers": "cpu io memory pids\n",
  "cpu.stat": "usage_usec 1610000\nuser_usec 1589748\n",
  "memory.current": "253952\n",
  "memory.max": "max\n",
  "memory.stat": "anon 57344\ninactive_anon 53248\ninactive_file 50000\nactive_file 0\n",
  "pids.current": "3\n",
  "pids.max": "100\n",
  "io.stat": "8:0 rbytes=4096 wbytes=512 rios=1 wios=2\n8:16 rbytes=4 wbytes=1 rios=1 wios=1\n",
  "cpu.pressure": PRESSURE("3.83"),
  "memory.pressure": PRESSURE("0.00"),
  "io.pressure": PRESSURE("0.19"),
};

test("v2 counts everything in one directory", () => {
  expect(sampler(fake({ version: 2, files: V2_FILES }))()).toEqual({
    cpu: 1610000000n,
    memory: { usage: 253952n, used: 203952n },
    pids: { current: 3n, limit: 100n },
    io: { read: 4100n, write: 513n },
    pressure: { cpu: 3.83, memory: 0, io: 0.19 },
  });
});

test("what v2 has no controller for isn't told as 0, and old kernels have no pressure", () => {
  const { "cpu.stat": cpu } = V2_FILES;
  const cgroup = fake({ version: 2, files: { "cgroup.controllers": "\n", "cpu.stat": cpu } });
  expect(sampler(cgroup)()).toEqual({ cpu: 1610000000n });
});

test("on a hybrid host the controllers of v1 count, and v2 adds pressure", () => {
  const cgroup = fake(
    { version: 1, options: ["cpu", "cpuacct"], files: { "cpuacct.usage": "956504001\n" } },
    {
      version: 1,
      options: ["memory"],
      files: {
        "memory.usage_in_bytes": "720896\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.stat": "inactive_file 1\ntotal_inactive_file 8192\n",
      },
    },
    { version: 1, options: ["pids"], files: { "pids.current": "1\n", "pids.max": "max\n" } },
    {
      version: 1,
      options: ["blkio"],
      files: {
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 1\n8:0 Sync 9\nTotal 4097\n",
      },
    },
    { version: 2, files: { ...V2_FILES, "cgroup.controllers": "" } },
  );
  expect(sampler(cgroup)()).toEqual({
    cpu: 956504001n,
    memory: { usage: 720896n, used: 712704n },
    pids: { current: 1n },
    io: { read: 4096n, write: 1n },
    pressure: { cpu: 3.83, memory: 0, io: 0.19 },
  });
});

test("a limit that is one is told, with pages of 64 KiB too", () => {
  const limited = (limit: string) =>
    sampler(
      fake({
        version: 1,
        options: ["memory"],
        files: { "memory.usage_in_bytes": "1", "memory.limit_in_bytes": limit },
      }),
    )().memory?.limit;
  expect(limited("8388608")).toBe(8388608n);
  expect(limited("9223372036854710272")).toBeUndefined();
});

test("a cgroup that is gone gives zeros, and a host without any gives nothing", () => {
  const cgroup = fake({ version: 2, files: V2_FILES });
  const read = sampler(cgroup);
  rmSync(cgroup.directories[0] as string, { recursive: true });
  expect(read()).toMatchObject({ cpu: 0n, pids: { current: 0n } });
  expect(sampler({ manager: "cgroupfs", path: "/", hierarchies: [], directories: [], made: [] })()).toEqual(
    {},
  );
});

test("a value of a flat file is found by its whole name, first, in the middle and last", () => {
  const text = "a 1\ninactive_file 2\ntotal_inactive_file 3\nz 4";
  expect(
    ["a", "inactive_file", "total_inactive_file", "z", "file", ""].map((k) => flatValue(text, k)),
  ).toEqual([1n, 2n, 3n, 4n, 0n, 0n]);
});
