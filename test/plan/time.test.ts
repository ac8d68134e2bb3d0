import { expect, test } from "bun:test";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { cloneFlags } from "../../src/plan/namespaces.ts";
import { timeNamespace } from "../../src/plan/time.ts";
import { callsIn, inputOf, short, withNamespaces } from "./helpers.ts";

const list = (timeOffsets: object) =>
  callsIn(timeNamespace(inputOf({ linux: { ...withNamespaces("time"), timeOffsets } }))).map(short);

test("nothing without a new time namespace", () => {
  expect(timeNamespace(inputOf({ linux: withNamespaces("pid") }))).toEqual([]);
  const joined = { namespaces: [{ type: "time" as const, path: "/proc/1/ns/time" }] };
  expect(timeNamespace(inputOf({ linux: joined }))).toEqual([]);
});

test("it is never made by clone3: execve would fix its offsets", () => {
  expect(cloneFlags(inputOf({ linux: withNamespaces("time") }).config) & CLONE.CLONE_NEWTIME).toBe(0);
});

test("offsets are written between the making of the namespace and entering it, all at once", () => {
  expect(list({ boottime: { secs: -2 }, monotonic: { nanosecs: 3 } })).toEqual([
    `unshare(${CLONE.CLONE_NEWTIME})`,
    `openat(-100, "/proc/self/timens_offsets", ${0o2000001}) = time offsets`,
    'write(<time offsets>, "monotonic 0 3\\nboottime -2 0\\n", 28)',
    `openat(-100, "/proc/self/ns/time_for_children", ${0o2000000}) = new time namespace`,
    `setns(<new time namespace>, ${CLONE.CLONE_NEWTIME})`,
  ]);
});

test("without offsets nothing is written", () => {
  expect(list({}).map((text) => text.split("(")[0])).toEqual(["unshare", "openat", "setns"]);
});
