import { describe, expect, test } from "bun:test";
import { resourceItems } from "../../../src/cgroup/resources.ts";
import { itemsOf, NOWHERE, onV1, onV2 } from "../facts.ts";

const UNLIMITED = "9223372036854771712";
const SWAP_V1 = { "memory.memsw.limit_in_bytes": UNLIMITED };
const SWAP_V2 = { "memory.swap.max": "max" };

describe("memory on v1", () => {
  test("has a file for each limit", () => {
    const memory = {
      limit: 1000,
      reservation: 900,
      swap: 2000,
      kernelTCP: 10,
      swappiness: 0,
      disableOOMKiller: true,
    };
    expect(itemsOf({ memory }, onV1({ ...SWAP_V1, "memory.oom_control": "oom_kill_disable 0" }))).toEqual([
      "memory.limit_in_bytes=1000",
      "memory.memsw.limit_in_bytes=2000",
      "memory.soft_limit_in_bytes=900",
      "memory.kmem.tcp.limit_in_bytes=10",
      "memory.swappiness=0",
      "memory.oom_control=1",
    ]);
  });

  test.each([
    [
      "less than now: memory first",
      "2000",
      { limit: 500, swap: 800 },
      ["limit_in_bytes=500", "memsw.limit_in_bytes=800"],
    ],
    [
      "more than now: both together first",
      "2000",
      { limit: 3000, swap: 4000 },
      ["memsw.limit_in_bytes=4000", "limit_in_bytes=3000"],
    ],
    [
      "no limit: both together first",
      "2000",
      { limit: -1, swap: -1 },
      ["memsw.limit_in_bytes=-1", "limit_in_bytes=-1"],
    ],
    [
      "no limit on memory is none on both",
      "2000",
      { limit: -1 },
      ["memsw.limit_in_bytes=-1", "limit_in_bytes=-1"],
    ],
    ["memory alone", "2000", { limit: 500 }, ["limit_in_bytes=500"]],
    ["both together alone", "2000", { swap: 500 }, ["memsw.limit_in_bytes=500"]],
    ["beyond 2^53", UNLIMITED, { limit: 9007199254740993n }, ["limit_in_bytes=9007199254740993"]],
  ])("%s", (_, now, memory, files) => {
    const facts = onV1({ "memory.memsw.limit_in_bytes": now });
    expect(itemsOf({ memory }, facts)).toEqual(files.map((file) => `memory.${file}`));
  });

  test("without swap accounting refuses a limit on swap, and has nothing to do for none", () => {
    expect(itemsOf({ memory: { limit: 1, swap: 2 } }, onV1())).toEqual([
      "memory.limit_in_bytes=1",
      "memory.swap: this kernel doesn't account swap (swapaccount=1)",
    ]);
    expect(itemsOf({ memory: { limit: 1, swap: -1 } }, onV1())).toEqual(["memory.limit_in_bytes=1"]);
  });

  test("switches the OOM killer only when it isn't so already", () => {
    const off = onV1({ "memory.oom_control": "oom_kill_disable 1\nunder_oom 0" });
    expect(itemsOf({ memory: { disableOOMKiller: false } }, onV1())).toEqual([]);
    expect(itemsOf({ memory: { disableOOMKiller: false } }, off)).toEqual(["memory.oom_control=0"]);
    expect(itemsOf({ memory: { disableOOMKiller: true } }, off)).toEqual([]);
  });
});

describe("memory on v2", () => {
  test("has a file for each limit; swap is without the memory", () => {
    const memory = { limit: 1000, reservation: 900, swap: 2500 };
    expect(itemsOf({ memory }, onV2(SWAP_V2))).toEqual([
      "memory.swap.max=1500",
      "memory.max=1000",
      "memory.low=900",
    ]);
  });

  test.each([
    ["no limit on memory is none on swap", { limit: -1 }, ["memory.swap.max=max", "memory.max=max"]],
    ["no swap at all", { limit: 100, swap: 100 }, ["memory.swap.max=0", "memory.max=100"]],
    ["swap without a limit", { limit: 100, swap: -1 }, ["memory.swap.max=max", "memory.max=100"]],
    [
      "beyond 2^53",
      { limit: 1, swap: 9007199254740993n },
      ["memory.swap.max=9007199254740992", "memory.max=1"],
    ],
    [
      "swap alone",
      { swap: 100 },
      ["memory.swap: needs a memory limit beside it: it is the limit of both together"],
    ],
    [
      "swap below memory",
      { limit: 200, swap: 100 },
      [
        "memory.swap: 100 is below the memory limit 200, and it is the limit of both together",
        "memory.max=200",
      ],
    ],
  ])("%s", (_, memory, items) => {
    expect(itemsOf({ memory }, onV2(SWAP_V2))).toEqual(items);
  });

  test("checkBeforeUpdate refuses a limit below what is in use", () => {
    const facts = onV2({ "memory.current": "5000" });
    expect(itemsOf({ memory: { limit: 4000, checkBeforeUpdate: true } }, facts)[0]).toBe(
      "memory.limit: 4000 bytes are less than the 5000 that are in use",
    );
    expect(itemsOf({ memory: { limit: 4000 } }, facts)).toEqual(["memory.max=4000"]);
    expect(itemsOf({ memory: { limit: 6000, checkBeforeUpdate: true } }, facts)).toEqual(["memory.max=6000"]);
  });

  test("refuses what only v1 has, and takes its defaults", () => {
    const memory = { kernelTCP: 1, swappiness: 60, disableOOMKiller: true };
    expect(itemsOf({ memory }, onV2())).toEqual(
      ["kernelTCP", "swappiness", "disableOOMKiller"].map(
        (name) => `memory.${name}: cgroup v2 has nothing like it`,
      ),
    );
    expect(itemsOf({ memory: { kernelTCP: -1, swappiness: 0, disableOOMKiller: false } }, onV2())).toEqual(
      [],
    );
  });
});

test.each([
  ["v1", onV1()],
  ["v2", onV2()],
])("what has no effect any more is told on %s, and what asks for nothing isn't", (_, facts) => {
  const [first, second] = resourceItems({ memory: { kernel: 4096, useHierarchy: false } }, facts);
  expect(first).toMatchObject({ at: "linux.resources.memory.useHierarchy", notice: expect.any(String) });
  expect(second).toMatchObject({ at: "linux.resources.memory.kernel", notice: expect.any(String) });
  expect(itemsOf({ memory: { kernel: -1, useHierarchy: true } }, facts)).toEqual([]);
});

test.each([
  ["v1", onV1(SWAP_V1)],
  ["v2", onV2(SWAP_V2)],
])("0 is how engines write what nobody has set, on %s", (_, facts) => {
  expect(itemsOf({ memory: { limit: 0, reservation: 0, swap: 0, kernel: 0, kernelTCP: 0 } }, facts)).toEqual(
    [],
  );
});

test("without the controller each limit is refused by its name", () => {
  expect(itemsOf({ memory: { limit: 1, reservation: 2 } }, NOWHERE)).toEqual([
    'memory.limit: this host has no cgroup controller "memory"',
    'memory.reservation: this host has no cgroup controller "memory"',
  ]);
});
