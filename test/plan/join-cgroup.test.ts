import { expect, test } from "bun:test";
import type { Step } from "../../src/init/step.ts";
import { O } from "../../src/kernel/consts/fcntl.ts";
import { joinCgroups } from "../../src/plan/join-cgroup.ts";
import { joinsByItself } from "../../src/plan/texts.ts";
import { callsIn, HYBRID, inputOf, short, UNIFIED, withNamespaces } from "./helpers.ts";

const host = { hierarchies: HYBRID };

test("init writes itself into the tasks file of each v1 hierarchy, and closes them", () => {
  const list = callsIn(joinCgroups(inputOf({}, { host })) as Step[]);
  const flags = O.O_WRONLY | O.O_CLOEXEC;
  expect(list.slice(0, 2).map(short)).toEqual([
    `openat(-100, "/sys/fs/cgroup/cpu,cpuacct/kontena-c1/tasks", ${flags}) = cgroup cpu,cpuacct`,
    'write(<cgroup cpu,cpuacct>, "0", 1)',
  ]);
  expect(list.filter((c) => c.call === "write")).toHaveLength(3);
  expect(list.slice(-2).map((c) => c.call)).toEqual(["close_range", "close_range"]);
});

test("v2 needs nothing: init is born there", () => {
  expect(joinCgroups(inputOf({}, { host: { hierarchies: [UNIFIED] } }))).toEqual([]);
});

test("without a cgroup there is nothing to join", () => {
  expect(joinCgroups(inputOf({}, { host, cgroupPath: undefined }))).toEqual([]);
});

test("in a user namespace of its own init has no rights there: the runtime moves it", () => {
  const input = inputOf({ linux: withNamespaces("user") }, { host });
  expect(joinsByItself(input)).toBe(false);
  expect(joinCgroups(input)).toEqual([]);
  expect(joinsByItself(inputOf({ linux: withNamespaces("uts") }))).toBe(true);
});

test("a failure names the hierarchy: the same plan serves containers with other cgroups", () => {
  const path = "/sys/fs/cgroup/memory";
  const call = callsIn(joinCgroups(inputOf({}, { host }))).find((c) => c.save === "cgroup memory");
  expect(call).toMatchObject({ at: "linux.cgroupsPath", fail: { code: "CGROUP_FAILED", path } });
});
