import { describe, expect, test } from "bun:test";
import { undoOf } from "../../src/cgroup/undo.ts";

const undo = (file: string, value: string, before: string) => undoOf({ file, value }, before);

test("a file of one value gets the one from before, an empty one included", () => {
  expect(undo("memory.max", "5", "max")).toEqual(["max"]);
  expect(undo("cpu.max", "5000 10000", "max 100000")).toEqual(["max 100000"]);
  expect(undo("cpuset.cpus", "0", "")).toEqual(["\n"]);
});

test("a cpuset that was empty gets what it had from above, if the kernel won't make it empty again", () => {
  expect(undoOf({ file: "cpuset.cpus", value: "0" }, "", "0-3")).toEqual(["0-3", "\n"]);
});

test("the OOM killer's switch is a digit among statistics", () => {
  const text = (digit: number) => `oom_kill_disable ${digit}\nunder_oom 0\noom_kill 3`;
  expect(undo("memory.oom_control", "1", text(0))).toEqual(["0"]);
  expect(undo("memory.oom_control", "0", text(1))).toEqual(["1"]);
});

describe("of a device", () => {
  const max = "8:0 rbps=5 wbps=max riops=max wiops=max\n8:16 rbps=7 wbps=max riops=max wiops=max";

  test("that had a line, that line is written, and no other", () => {
    expect(undo("blkio.throttle.read_bps_device", "8:0 9", "8:0 5\n8:16 7")).toEqual(["8:0 5"]);
    expect(undo("io.max", "8:0 wbps=9", max)).toEqual(["8:0 rbps=5 wbps=max riops=max wiops=max"]);
    expect(undo("io.weight", "8:0 9", "default 100\n8:0 5")).toEqual(["8:0 5"]);
    expect(undo("rdma.max", "a hca_handle=9", "a hca_handle=5 hca_object=max\nb hca_handle=7")).toEqual([
      "a hca_handle=5 hca_object=max",
    ]);
    expect(undo("misc.max", "a 9", "a 5\nb max")).toEqual(["a 5"]);
  });

  test("that had none, the new one goes", () => {
    expect(undo("blkio.throttle.read_bps_device", "8:1 9", "8:0 5\n8:16 7")).toEqual(["8:1 0"]);
    expect(undo("io.max", "8:1 wbps=9 riops=1", max)).toEqual(["8:1 wbps=max riops=max"]);
    expect(undo("io.latency", "8:1 target=9", "")).toEqual(["8:1 target=max"]);
    for (const file of ["io.weight", "io.bfq.weight", "blkio.bfq.weight_device"])
      expect(undo(file, "8:1 9", "default 100\n8:0 5")).toEqual(["8:1 default"]);
    expect(undo("blkio.leaf_weight_device", "8:1 9", "")).toEqual(["8:1 default"]);
  });
});

test("the weight of all devices gets its own line, however it was written", () => {
  for (const value of ["50", "default 50"])
    expect(undo("io.weight", value, "default 100\n8:0 5")).toEqual(["default 100"]);
  expect(undo("blkio.bfq.weight", "50", "100")).toEqual(["100"]);
});

test("files that aren't written as they are read", () => {
  expect(undo("cgroup.subtree_control", "+cpu -pids +io", "pids io")).toEqual(["-cpu +pids +io"]);
  expect(undo("cpuset.cpus.partition", "root", "root invalid (no CPUs)")).toEqual(["root"]);
});
