import { describe, expect, test } from "bun:test";
import { ioWeight } from "../../../src/cgroup/controllers/blkio.ts";
import { itemsOf, NOWHERE, onHybrid, onV1, onV2 } from "../facts.ts";

const CFQ = {
  "blkio.weight": "500",
  "blkio.weight_device": "",
  "blkio.leaf_weight": "500",
  "blkio.leaf_weight_device": "",
};
const BFQ = { "blkio.bfq.weight": "100", "blkio.bfq.weight_device": "" };
const weights = {
  weight: 200,
  weightDevice: [
    { major: 8, minor: 0, weight: 300 },
    { major: 8, minor: 16, weight: 400, leafWeight: 50 },
  ],
  leafWeight: 20,
};
const throttles = {
  throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
  throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 0 }],
  throttleReadIOPSDevice: [
    { major: 8, minor: 0, rate: 10 },
    { major: 8, minor: 16, rate: 20 },
  ],
  throttleWriteIOPSDevice: [{ major: 259, minor: 1, rate: 18446744073709551615n }],
};
const NO_WEIGHTS = "this kernel has no weights for block devices";

describe("blockIO on v1", () => {
  test("has CFQ's weights where they are", () => {
    expect(itemsOf({ blockIO: weights }, onV1(CFQ))).toEqual([
      "blkio.weight=200",
      "blkio.leaf_weight=20",
      "blkio.weight_device=8:0 300",
      "blkio.weight_device=8:16 400",
      "blkio.leaf_weight_device=8:16 50",
    ]);
  });

  test("has BFQ's elsewhere, which has no leaves", () => {
    expect(itemsOf({ blockIO: weights }, onV1(BFQ))).toEqual([
      "blkio.bfq.weight=200",
      `blockIO.leafWeight: ${NO_WEIGHTS}`,
      "blkio.bfq.weight_device=8:0 300",
      "blkio.bfq.weight_device=8:16 400",
      `blockIO.weightDevice[1].leafWeight: ${NO_WEIGHTS}`,
    ]);
  });

  test("has a file for each throttle, 0 for none", () => {
    expect(itemsOf({ blockIO: throttles }, onV1())).toEqual([
      "blkio.throttle.read_bps_device=8:0 1000",
      "blkio.throttle.write_bps_device=8:0 0",
      "blkio.throttle.read_iops_device=8:0 10",
      "blkio.throttle.read_iops_device=8:16 20",
      "blkio.throttle.write_iops_device=259:1 18446744073709551615",
    ]);
  });
});

describe("blockIO on v2", () => {
  test("has BFQ's weights where they are, else io.weight on its own scale", () => {
    const blockIO = { weight: 500, weightDevice: [{ major: 8, minor: 0, weight: 1000 }] };
    const bfq = ["io.bfq.weight=500", "io.bfq.weight=8:0 1000"];
    expect(itemsOf({ blockIO }, onV2({ "io.bfq.weight": "100", "io.weight": "100" }))).toEqual(bfq);
    expect(itemsOf({ blockIO }, onV2({ "io.weight": "default 100" }))).toEqual([
      "io.weight=4950",
      "io.weight=8:0 10000",
    ]);
    expect(itemsOf({ blockIO }, onV2())[0]).toBe(`blockIO.weight: ${NO_WEIGHTS}`);
  });

  test("refuses the weights of leaves", () => {
    const items = itemsOf({ blockIO: weights }, onV2({ "io.bfq.weight": "100" }));
    expect(items).toContain("blockIO.leafWeight: cgroup v2 has nothing like it");
    expect(items).toContain("blockIO.weightDevice[1].leafWeight: cgroup v2 has nothing like it");
  });

  test("has one file for all throttles, a word for none", () => {
    expect(itemsOf({ blockIO: throttles }, onV2())).toEqual([
      "io.max=8:0 rbps=1000",
      "io.max=8:0 wbps=max",
      "io.max=8:0 riops=10",
      "io.max=8:16 riops=20",
      "io.max=259:1 wiops=18446744073709551615",
    ]);
  });
});

test("on a hybrid host blkio of v1 counts", () => {
  expect(itemsOf({ blockIO: throttles }, onHybrid(["hugetlb"]))[0]).toStartWith("blkio.throttle");
});

test("without the controller each limit is refused by its name, and nothing is nothing", () => {
  expect(itemsOf({ blockIO: { weight: 100 } }, NOWHERE)).toEqual([
    'blockIO.weight: this host has no cgroup controller "io"',
  ]);
  expect(itemsOf({ blockIO: { weight: 0, leafWeight: 0, weightDevice: [] } }, NOWHERE)).toEqual([]);
});

test.each([
  [10, 1],
  [100, 910],
  [1000, 10_000],
])("BFQ's weight %d is io.weight %d", (bfq, io) => {
  expect(ioWeight(bfq)).toBe(io);
});
