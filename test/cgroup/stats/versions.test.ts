/** Counters from the files of v1 (Linux 6.18) and v2 (6.1), and the JSON that runc makes of the very same numbers. */
import { expect, test } from "bun:test";
import { stringifyJson } from "../../../spec/json.ts";
import { toRuncStats } from "../../../src/cgroup/stats/runc.ts";
import { UNLIMITED } from "../../../src/cgroup/stats/text.ts";
import * as v1 from "../../../src/cgroup/stats/v1.ts";
import * as v2 from "../../../src/cgroup/stats/v2.ts";

const from =
  (files: Record<string, string>): v1.Files =>
  (file) =>
    files[file] ?? "";

const V1 = from({
  "cpuacct.usage": "956504001\n",
  "cpuacct.usage_percpu": "955469749 1034252 \n",
  "cpuacct.usage_all": "cpu user system\n0 975979810 4000000\n1 0 0\n",
  "cpuacct.stat": "user 95\nsystem 0\n",
  "cpu.stat": "nr_periods 12\nnr_throttled 7\nthrottled_time 81000\n",
  "cpuset.cpus": "0-1\n",
  "cpuset.mems": "0\n",
  "cpuset.sched_load_balance": "1\n",
  "cpuset.sched_relax_domain_level": "-1\n",
  "memory.usage_in_bytes": "720896\n",
  "memory.limit_in_bytes": "9223372036854771712\n",
  "memory.max_usage_in_bytes": "2756608\n",
  "memory.failcnt": "0\n",
  "memory.memsw.usage_in_bytes": "720896\n",
  "memory.memsw.limit_in_bytes": "9223372036854771712\n",
  "memory.memsw.max_usage_in_bytes": "2756608\n",
  "memory.memsw.failcnt": "0\n",
  "memory.kmem.usage_in_bytes": "249856\n",
  "memory.kmem.limit_in_bytes": "9223372036854771712\n",
  "memory.kmem.max_usage_in_bytes": "598016\n",
  "memory.kmem.failcnt": "0\n",
  "memory.kmem.tcp.usage_in_bytes": "0\n",
  "memory.kmem.tcp.limit_in_bytes": "9223372036854771712\n",
  "memory.kmem.tcp.max_usage_in_bytes": "0\n",
  "memory.kmem.tcp.failcnt": "0\n",
  "memory.stat": "cache 12288\nrss 61440\nactive_anon 4096\n",
  "pids.current": "1\n",
  "pids.max": "max\n",
  "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n",
  "blkio.throttle.io_serviced_recursive": "8:0 Read 1\nTotal 1\n",
  "hugetlb.2MB.usage_in_bytes": "0\n",
  "hugetlb.2MB.max_usage_in_bytes": "4194304\n",
  "hugetlb.2MB.failcnt": "3\n",
});

test("v1 gives what runc 1.1 prints of the same files, byte by byte", () => {
  const stats = {
    cpu: v1.cpuV1(V1, V1),
    cpuset: v1.cpusetV1(V1),
    memory: v1.memoryV1(V1),
    pids: v1.pidsV1(V1),
    io: v1.ioV1(V1),
    hugetlb: { "2MB": v1.hugetlbV1(V1, "2MB") },
  };
  expect(stringifyJson({ type: "stats", id: "obs1", data: toRuncStats(stats) })).toBe(
    '{"type":"stats","id":"obs1","data":{"cpu":{"usage":{"total":956504001,"percpu":[955469749,1034252],' +
      '"percpu_kernel":[4000000,0],"percpu_user":[975979810,0],"kernel":0,"user":950000000},' +
      '"throttling":{"periods":12,"throttledPeriods":7,"throttledTime":81000}},' +
      '"cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,' +
      '"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":1,"sched_relax_domain_level":-1},' +
      '"memory":{"cache":12288,"usage":{"limit":9223372036854771712,"usage":720896,"max":2756608,"failcnt":0},' +
      '"swap":{"limit":9223372036854771712,"usage":720896,"max":2756608,"failcnt":0},' +
      '"kernel":{"limit":9223372036854771712,"usage":249856,"max":598016,"failcnt":0},' +
      '"kernelTCP":{"limit":9223372036854771712,"failcnt":0},"raw":{"active_anon":4096,"cache":12288,"rss":61440}},' +
      '"pids":{"current":1},"blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":4096},{"major":8,"op":"Total","value":4096}],' +
      '"ioServicedRecursive":[{"major":8,"op":"Read","value":1}]},"hugetlb":{"2MB":{"max":4194304,"failcnt":3}},' +
      '"intel_rdt":{},"network_interfaces":null}}',
  );
});

test("on v1 the counters of a disk's own scheduler come before those of throttling", () => {
  const bfq = from({
    "blkio.bfq.io_serviced_recursive": "8:0 Read 9\n",
    "blkio.bfq.io_service_bytes_recursive": "8:0 Read 512\n",
    "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n",
  });
  expect(v1.ioV1(bfq).operations[0]?.value).toBe(9n);
  expect(v1.ioV1(bfq).bytes[0]?.value).toBe(512n);
});

const V2 = from({
  "cpu.stat":
    "usage_usec 2570000\nuser_usec 2549748\nsystem_usec 20251\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n",
  "memory.current": "253952\n",
  "memory.max": "max\n",
  "memory.peak": "0\n",
  "memory.swap.current": "0\n",
  "memory.swap.max": "max\n",
  "memory.stat": "anon 57344\nfile 0\nactive_anon 4096\n",
  "pids.current": "1\n",
  "pids.max": "max\n",
  "io.stat": "",
});

test("v2 gives what runc 1.1 prints of the same files, byte by byte", () => {
  const stats = {
    cpu: v2.cpuV2(V2),
    memory: v2.memoryV2(V2),
    pids: v2.pidsV2(V2),
    io: v2.ioV2(V2),
    hugetlb: {},
  };
  expect(stringifyJson({ type: "stats", id: "o", data: toRuncStats(stats) })).toBe(
    '{"type":"stats","id":"o","data":{"cpu":{"usage":{"total":2570000000,"kernel":20251000,"user":2549748000},"throttling":{}},' +
      '"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,' +
      '"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},' +
      '"memory":{"usage":{"limit":18446744073709551615,"usage":253952,"failcnt":0},"swap":{"limit":18446744073709551615,"usage":253952,"failcnt":0},' +
      '"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},"raw":{"active_anon":4096,"anon":57344,"file":0}},' +
      '"pids":{"current":1},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}}',
  );
});

test("on v2 memory and swap are added up; a limit of one alone is none of both", () => {
  const limits = (memory: string, swap: string) =>
    v2.memoryV2(
      from({
        "memory.current": "1000",
        "memory.max": memory,
        "memory.swap.current": "24",
        "memory.swap.max": swap,
      }),
    ).swap;
  expect(limits("4096", "1024")).toMatchObject({ usage: 1024n, limit: 5120n });
  expect(limits("4096", "max").limit).toBe(UNLIMITED);
  expect(limits("max", "0").limit).toBe(UNLIMITED);
  const without = v2.memoryV2(from({ "memory.current": "1000", "memory.max": "4096" })).swap;
  expect(without).toMatchObject({ usage: 1000n, limit: 4096n });
});

test("on v2 bytes and operations are told by device, pressure with its averages, huge pages by size", () => {
  const files = from({
    "io.stat": "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n",
    "io.pressure":
      "some avg10=0.19 avg60=0.24 avg300=0.31 total=12010784\nfull avg10=0.19 avg60=0.18 avg300=0.14 total=8700857\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.events": "max 5\n",
    "cpuset.cpus.effective": "0-1\n",
    "cpuset.mems.effective": "0\n",
  });
  const stats = {
    io: v2.ioV2(files),
    cpuset: v2.cpusetV2(files),
    hugetlb: { "2MB": v2.hugetlbV2(files, "2MB") },
  };
  const data = JSON.parse(stringifyJson(toRuncStats(stats)));
  expect(data.blkio).toEqual({
    ioServiceBytesRecursive: [
      { major: 8, op: "Read", value: 4096 },
      { major: 8, op: "Write", value: 512 },
    ],
    ioServicedRecursive: [
      { major: 8, op: "Read", value: 1 },
      { major: 8, op: "Write", value: 2 },
    ],
    psi: {
      some: { avg10: 0.19, avg60: 0.24, avg300: 0.31, total: 12010784 },
      full: { avg10: 0.19, avg60: 0.18, avg300: 0.14, total: 8700857 },
    },
  });
  expect(data.hugetlb).toEqual({ "2MB": { usage: 2097152, failcnt: 5 } });
  expect(data.cpuset).toMatchObject({ cpus: [0, 1], mems: [0] });
});

test("a host that counts nothing gives the shape with zeros", () => {
  const data = JSON.parse(stringifyJson(toRuncStats({ hugetlb: {} })));
  expect(Object.keys(data)).toEqual([
    "cpu",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "hugetlb",
    "intel_rdt",
    "network_interfaces",
  ]);
  expect(data.memory.usage).toEqual({ limit: 0, failcnt: 0 });
});
