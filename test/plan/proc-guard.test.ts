import { expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { RESOLVE } from "../../src/kernel/consts/fcntl.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { mountChecks, procProblems } from "../../src/plan/proc-guard.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const problems = (mount: Mount) => procProblems({ ociVersion: "1.3.0", mounts: [mount] }).map(({ at }) => at);
const inputFor = (mount: Mount) => inputOf({ mounts: [mount], linux: withNamespaces("mount") });
const stepsFor = (mount: Mount) => callsIn(mounts(inputFor(mount)));
const guards = (mount: Mount) => mountChecks(inputFor(mount)).map(({ guard }) => guard);

test.each(["/proc/self/attr", "/proc/sys", "proc/1", "/x/../proc/sys/kernel", "/proc/stat/x", "/proc//acpi"])(
  "nothing is mounted on %s",
  (destination) => {
    expect(problems({ destination, type: "tmpfs" })).toEqual(["mounts[0].destination"]);
    expect(problems({ destination, source: "/x", options: ["bind"] })).toEqual(["mounts[0].destination"]);
  },
);

test.each(["cpuinfo", "meminfo", "stat", "uptime", "sys/kernel/ns_last_pid"])(
  "/proc/%s may be covered, as lxcfs does",
  (name) => {
    const mount = { destination: `/proc/${name}`, source: "/x", options: ["bind"] };
    expect(problems(mount)).toEqual([]);
    expect(guards(mount)).toEqual([]);
  },
);

test("/proc itself is a procfs, a bind of one, or remounted", () => {
  expect(problems({ destination: "/proc", type: "tmpfs" })).toEqual(["mounts[0].destination"]);
  expect(problems({ destination: "/proc/", type: "proc" })).toEqual([]);
  expect(problems({ destination: "/proc", source: "/proc", options: ["rbind"] })).toEqual([]);
  expect(problems({ destination: "/proc", options: ["remount", "ro"] })).toEqual([]);
});

test("a path that only looks like one in /proc is an ordinary one", () => {
  for (const destination of ["/process", "/proc2/x", "/a/proc/b"])
    expect(problems({ destination, type: "tmpfs" })).toEqual([]);
});

test("every other destination is asked for its file system before anything is mounted there", () => {
  for (const mount of [
    { destination: "/data", type: "tmpfs" },
    { destination: "/data", source: "/x", options: ["bind"] },
    { destination: "/old", type: "tmpfs", options: ["iversion"] },
    { destination: "/sys/fs/cgroup", type: "cgroup" },
  ] satisfies Mount[]) {
    const list = stepsFor(mount);
    const asked = list.findIndex((c) => short(c) === "fstatfs(<mounts[0] destination>, &statfs mounts[0])");
    const attached = list.findIndex((c) => c.call === "move_mount" || c.call === "mount");
    expect(asked, mount.destination).toBeGreaterThan(0);
    expect(asked).toBeLessThan(attached);
    expect(guards(mount)).toEqual(["outside"]);
  }
});

test("what is bound to /proc is asked whether it is a whole procfs, and /proc may be no symlink", () => {
  const mount = { destination: "/proc", source: "/host/proc", options: ["rbind"] };
  const list = stepsFor(mount);
  expect(list.filter((c) => c.call === "fstatfs" || c.call === "statx").map(short)).toEqual([
    "fstatfs(<mounts[0] tree>, &statfs mounts[0])",
    'statx(<mounts[0] tree>, "", 4096, 2047, &statx mounts[0])',
  ]);
  for (const call of list.filter((c) => c.call === "openat2"))
    expect(structAt(call, 2, "open_how").resolve & RESOLVE.RESOLVE_NO_SYMLINKS).not.toBe(0);
  expect(guards(mount)).toEqual(["procfs"]);
});
