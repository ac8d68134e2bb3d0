import { expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import { refusalOf, refuseLimits } from "../../src/container/no-cgroup.ts";
import { KontenaError } from "../../src/error.ts";
import { inputOf } from "../plan/helpers.ts";

const denied = new KontenaError("CGROUP_FAILED", "cannot make it", {
  errno: "EACCES",
  path: "/sys/fs/cgroup/x",
});
const of = (linux: Config["linux"], error: unknown = denied) =>
  refusalOf(error, inputOf({ linux: linux ?? {} }));

test("a container without limits does without a cgroup that can't be made", () => {
  expect(of({})).toBeUndefined();
  expect(of({ resources: {} })).toBeUndefined();
  expect(of({ resources: { pids: { limit: -1 }, devices: [{ allow: false }] } })).toBeUndefined();
});

test("a limit, or a place that was asked for, is refused", () => {
  expect(of({ resources: { memory: { limit: 1 } } })).toMatchObject({
    code: "RESOURCE_FAILED",
    details: { at: "linux.resources", errno: "EACCES", path: "/sys/fs/cgroup/x" },
  });
  expect(of({ cgroupsPath: "/x" })).toBe(denied);
});

test("other failures stay what they are", () => {
  const full = new KontenaError("CGROUP_FAILED", "no space", { errno: "ENOSPC" });
  const other = new KontenaError("RESOURCE_FAILED", "no controller", { errno: "EACCES" });
  for (const error of [full, other, new RangeError("a fault")]) expect(of({}, error)).toBe(error);
});

test("where nobody shall make a cgroup, a limit is refused, and everybody's list of devices isn't", () => {
  const refuse = (resources: NonNullable<Config["linux"]>["resources"]) => () =>
    refuseLimits(inputOf({ linux: { resources: resources ?? {} } }));
  expect(refuse({ pids: { limit: 5 } })).toThrow("limits can't be applied to a container without a cgroup");
  expect(refuse({ devices: [{ allow: false }] })).not.toThrow();
  expect(() => refuseLimits(inputOf({}))).not.toThrow();
});
