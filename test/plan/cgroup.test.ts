import { describe, expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { MOUNT_ATTR, MS } from "../../src/kernel/consts/mount.ts";
import type { Hierarchy, PlanInput } from "../../src/plan/input.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { callsIn, HYBRID, inputOf, short, structAt, UNIFIED, withNamespaces } from "./helpers.ts";

const MOUNT: Mount = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" };

function callsFor(
  hierarchies: readonly Hierarchy[],
  types: string[] = [],
  mount: Partial<Mount> = {},
  change: Partial<PlanInput> = {},
) {
  const { host: _, config: __, ...rest } = change;
  const input = inputOf(
    { mounts: [{ ...MOUNT, ...mount }], linux: withNamespaces("mount", ...types) },
    { ...rest, host: { hierarchies } },
  );
  return callsIn(mounts(input)).filter((c) => c.call !== "close_range" && !/missing|go on from/.test(c.why));
}

describe("v2", () => {
  test("in a cgroup namespace is a cgroup2 file system, which shows the container's part by itself", () => {
    expect(callsFor([UNIFIED], ["cgroup"], { options: ["ro", "nosuid"] }).map(short)).toEqual([
      'fsopen("cgroup2", 1) = mounts[0] mount context',
      'fsconfig(<mounts[0] mount context>, 1, "source", "cgroup", 0)',
      "fsconfig(<mounts[0] mount context>, 6, 0, 0, 0)",
      "fsmount(<mounts[0] mount context>, 1, 3) = mounts[0] mount",
      'openat2(<root>, "sys/fs/cgroup", open_how, 24) = mounts[0] destination',
      "fstatfs(<mounts[0] destination>, &statfs mounts[0])",
      'move_mount(<mounts[0] mount>, "", <mounts[0] destination>, "", 68)',
    ]);
  });

  test("without one is a copy of the container's own cgroup, so that nothing above it can be reached", () => {
    const list = callsFor([UNIFIED], [], { options: ["ro"] });
    expect(list.map(short)).toEqual([
      'open_tree(-100, "/sys/fs/cgroup/kontena-c1", 524289) = mounts[0] mount',
      'mount_setattr(<mounts[0] mount>, "", 4096, mount_attr, 32)',
      'openat2(<root>, "sys/fs/cgroup", open_how, 24) = mounts[0] destination',
      "fstatfs(<mounts[0] destination>, &statfs mounts[0])",
      'move_mount(<mounts[0] mount>, "", <mounts[0] destination>, "", 68)',
    ]);
    expect(structAt(list[1], 3, "mount_attr")).toEqual({
      attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY,
      attr_clr: 0,
    });
  });

  test("is what type cgroup2 asks for, on a host that has both", () => {
    const [open] = callsFor(HYBRID, [], { type: "cgroup2" });
    expect(open?.args[1]).toMatchObject({ text: "/sys/fs/cgroup/unified/kontena-c1" });
  });
});

describe("v1", () => {
  const list = callsFor(HYBRID, [], { options: ["ro", "nosuid", "relatime"] });

  test("is a tmpfs with a directory for each hierarchy, and a link for each controller that shares one", () => {
    const made = list.filter((c) => c.call === "mkdirat" || c.call === "symlinkat").map(short);
    expect(made).toEqual([
      'mkdirat(-100, "cpu,cpuacct", 493)',
      'symlinkat("cpu,cpuacct", -100, "cpu")',
      'symlinkat("cpu,cpuacct", -100, "cpuacct")',
      'mkdirat(-100, "memory", 493)',
      'mkdirat(-100, "systemd", 493)',
      'mkdirat(-100, "unified", 493)',
    ]);
  });

  test("binds the container's own cgroup of each, with the mount's flags", () => {
    const mounted = list.filter((c) => c.call === "mount");
    const flags = MS.MS_RDONLY | MS.MS_NOSUID;
    expect(mounted.slice(0, 2).map(short)).toEqual([
      `mount("/sys/fs/cgroup/cpu,cpuacct/kontena-c1", "cpu,cpuacct", 0, ${MS.MS_BIND}, 0)`,
      `mount("/sys/fs/cgroup/cpu,cpuacct/kontena-c1", "cpu,cpuacct", 0, ${MS.MS_BIND | MS.MS_REMOUNT | flags}, 0)`,
    ]);
    expect(mounted).toHaveLength(2 * HYBRID.length);
  });

  test("is writable until it is filled, and read-only in the end", () => {
    const tmpfs = list.find((c) => c.call === "fsmount");
    expect(tmpfs?.args[2]).toBe(MOUNT_ATTR.MOUNT_ATTR_NOSUID);
    expect(list.at(-1)?.call).toBe("mount_setattr");
    expect(structAt(list.at(-1), 3, "mount_attr").attr_set).toBe(
      MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NOSUID,
    );
    expect(callsFor(HYBRID).some((c) => c.call === "mount_setattr")).toBe(false);
  });

  test("is filled from inside the new file system, which init enters by its descriptor", () => {
    const entered = list.findIndex((c) => c.call === "fchdir");
    expect(list[entered]?.args).toEqual([{ cell: "mounts[0] mount" }]);
    expect(list.slice(0, entered).some((c) => c.call === "mount")).toBe(false);
    expect(list.slice(entered).every((c) => c.call !== "openat2")).toBe(true);
  });

  test("in a cgroup namespace mounts each hierarchy by what names it", () => {
    const mounted = callsFor(HYBRID, ["cgroup"], { options: ["noexec"] }).filter((c) => c.call === "mount");
    expect(mounted.map(short)).toEqual([
      `mount("cgroup", "cpu,cpuacct", "cgroup", ${MS.MS_NOEXEC}, "cpu,cpuacct")`,
      `mount("cgroup", "memory", "cgroup", ${MS.MS_NOEXEC}, "memory")`,
      `mount("cgroup", "systemd", "cgroup", ${MS.MS_NOEXEC}, "name=systemd")`,
      `mount("cgroup", "unified", "cgroup2", ${MS.MS_NOEXEC}, "")`,
    ]);
  });

  test("makes no link of a directory's own name, nor of a name that isn't a controller's", () => {
    const odd: Hierarchy[] = [
      { version: 1, mountpoint: "/sys/fs/cgroup/cpu", options: ["cpu", "cpuacct"] },
      { version: 1, mountpoint: "/sys/fs/cgroup/x", options: ["freezer", "name=x"] },
    ];
    const links = callsFor(odd).filter((c) => c.call === "symlinkat");
    expect(links.map((c) => [c.args[0], c.args[2]])).toEqual([
      ["cpu", "cpuacct"],
      ["x", "freezer"],
    ]);
  });
});
