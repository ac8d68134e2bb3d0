import { describe, expect, test } from "bun:test";
import { resourceItems } from "../../../src/cgroup/resources.ts";
import { itemsOf, NOWHERE, onHybrid, onV1, onV2 } from "../facts.ts";

describe("pids", () => {
  test.each([
    [100, "100"],
    [1, "1"],
    [0, "0"],
    [-1, "max"],
    [-5, "max"],
  ])("limit %d is %s", (limit, value) => {
    expect(itemsOf({ pids: { limit } }, onV1())).toEqual([`pids.max=${value}`]);
    expect(itemsOf({ pids: { limit } }, onV2())).toEqual([`pids.max=${value}`]);
  });

  test("that leaves no room comes after the birth on v2, where nobody could be born under it", () => {
    const late = (facts: typeof NOWHERE, limit: number) =>
      resourceItems({ pids: { limit } }, facts).map((item) => "late" in item);
    expect([late(onV2(), 0), late(onV2(), 1), late(onV2(), 2), late(onV1(), 0)]).toEqual([
      [true],
      [true],
      [false],
      [false],
    ]);
  });

  test("needs its controller only for a limit", () => {
    expect(itemsOf({ pids: { limit: -1 } }, NOWHERE)).toEqual([]);
    expect(itemsOf({ pids: { limit: 5 } }, NOWHERE)).toEqual([
      'pids.limit: this host has no cgroup controller "pids"',
    ]);
  });
});

describe("hugepageLimits", () => {
  const hugepageLimits = [{ pageSize: "2MB", limit: 209_715_200 }];
  test.each([
    [
      "v1 with reservations",
      onV1({ "hugetlb.2MB.rsvd.limit_in_bytes": "x", "hugetlb.2MB.limit_in_bytes": "x" }),
      "rsvd.limit_in_bytes",
    ],
    ["v1 without", onV1({ "hugetlb.2MB.limit_in_bytes": "x" }), "limit_in_bytes"],
    ["v2 with reservations", onV2({ "hugetlb.2MB.rsvd.max": "x", "hugetlb.2MB.max": "x" }), "rsvd.max"],
    ["v2 without", onV2({ "hugetlb.2MB.max": "x" }), "max"],
    ["v2 of a hybrid host", onHybrid(["hugetlb"], { "hugetlb.2MB.rsvd.max": "x" }), "rsvd.max"],
  ])("on %s", (_, facts, file) => {
    expect(itemsOf({ hugepageLimits }, facts)).toEqual([`hugetlb.2MB.${file}=209715200`]);
  });

  test("of a size that the kernel hasn't got, or without the controller, are refused", () => {
    expect(itemsOf({ hugepageLimits }, onV2())).toEqual([
      "hugepageLimits[0]: this kernel has no huge pages of 2MB",
    ]);
    expect(itemsOf({ hugepageLimits }, NOWHERE)).toEqual([
      'hugepageLimits[0]: this host has no cgroup controller "hugetlb"',
    ]);
  });
});

describe("network", () => {
  const network = {
    classID: 1_048_577,
    priorities: [
      { name: "eth0", priority: 500 },
      { name: "lo", priority: 1 },
    ],
  };
  test("is v1's", () => {
    expect(itemsOf({ network }, onV1())).toEqual([
      "net_cls.classid=1048577",
      "net_prio.ifpriomap=eth0 500",
      "net_prio.ifpriomap=lo 1",
    ]);
  });

  test("is refused where v1 hasn't got it", () => {
    const refused = [
      'network.classID: this host has no cgroup controller "net_cls"',
      'network.priorities[0]: this host has no cgroup controller "net_prio"',
      'network.priorities[1]: this host has no cgroup controller "net_prio"',
    ];
    expect(itemsOf({ network }, onV2())).toEqual(refused);
    expect(itemsOf({ network }, onV1({}, ["net_cls", "net_prio"]))).toEqual(refused);
    expect(itemsOf({ network: { classID: 0, priorities: [] } }, onV2())).toEqual([]);
  });
});

test("rdma has one line a device, the same on both", () => {
  const rdma = { mlx5_1: { hcaHandles: 3, hcaObjects: 10_000 }, rxe3: { hcaObjects: 0 } };
  const lines = ["rdma.max=mlx5_1 hca_handle=3 hca_object=10000", "rdma.max=rxe3 hca_object=0"];
  expect(itemsOf({ rdma }, onV1())).toEqual(lines);
  expect(itemsOf({ rdma }, onV2())).toEqual(lines);
  expect(itemsOf({ rdma: { a: { hcaHandles: 1 } } }, NOWHERE)).toEqual([
    'rdma.a: this host has no cgroup controller "rdma"',
  ]);
});
