import { expect, test } from "bun:test";
import { resourceItems } from "../../../src/cgroup/resources.ts";
import { itemsOf, onHybrid, onV1, onV2 } from "../facts.ts";

test("files of v2 are written as they are, line by line, also those that nobody here knows", () => {
  const unified = {
    "memory.high": "100M",
    "io.max": "259:0 rbps=2097152 wiops=120\n253:0 rbps=2097152 wiops=120\n",
    "misc.max": "res_a 3",
    "cgroup.max.depth": "3",
    "memory.oom.group": "",
  };
  expect(itemsOf({ unified }, onV2())).toEqual([
    "memory.high=100M",
    "io.max=259:0 rbps=2097152 wiops=120",
    "io.max=253:0 rbps=2097152 wiops=120",
    "misc.max=res_a 3",
    "cgroup.max.depth=3",
    "memory.oom.group=",
  ]);
});

test("they come after all other limits, so they count", () => {
  expect(itemsOf({ unified: { "memory.max": "5" }, memory: { limit: 4 } }, onV2())).toEqual([
    "memory.max=4",
    "memory.max=5",
  ]);
});

test.each(["../memory.max", "a/b.c", "memory", "", ".", "..", "/memory.max", "memory.", "memory max.x"])(
  "%p is no name of a file",
  (name) => {
    expect(resourceItems({ unified: { [name]: "1" } }, onV2())).toMatchObject([
      { refused: "is no name of a file of cgroup v2", at: `linux.resources.unified["${name}"]` },
    ]);
  },
);

test.each(["cgroup.procs", "cgroup.threads", "cgroup.freeze", "cgroup.kill", "cgroup.type"])(
  "%s is no limit: it would move, stop or end processes",
  (name) => {
    expect(resourceItems({ unified: { [name]: "1" } }, onV2())).toMatchObject([
      { refused: expect.any(String) },
    ]);
  },
);

test("a controller that v2 hasn't got is an error, and so is a host without v2", () => {
  const unified = { "memory.max": "5" };
  expect(itemsOf({ unified }, onV2({}, ["memory"]))).toEqual([
    'unified["memory.max"]: this host has no cgroup controller "memory"',
  ]);
  expect(itemsOf({ unified }, onV1())).toEqual([
    'unified["memory.max"]: needs cgroup v2, which this host hasn\'t mounted',
  ]);
  // v1 has it: v2 hasn't.
  expect(itemsOf({ unified }, onHybrid(["hugetlb"]))).toEqual([
    'unified["memory.max"]: this host has no cgroup controller "memory"',
  ]);
  expect(itemsOf({ unified: { "hugetlb.2MB.max": "0" } }, onHybrid(["hugetlb"]))).toEqual([
    "hugetlb.2MB.max=0",
  ]);
});
