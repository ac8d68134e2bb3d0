import { describe, expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, RESOLVE } from "../../src/kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MOUNT_ATTR__ATIME, MS } from "../../src/kernel/consts/mount.ts";
import type { Host } from "../../src/plan/input.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const stepsFor = (list: Mount[], host: Partial<Host> = {}) =>
  mounts(inputOf({ mounts: list, linux: withNamespaces("mount") }, { host }));
const callsFor = (mount: Mount, host: Partial<Host> = {}) => callsIn(stepsFor([mount], host));
/** The calls without the branches of a missing destination, and without the sweep at the end. */
const plain = (mount: Mount, host: Partial<Host> = {}) =>
  callsFor(mount, host)
    .filter((c) => !/missing|go on from/.test(c.why) && c.call !== "close_range")
    .map(short);

test("a file system is configured, mounted nowhere, and moved to its destination's descriptor", () => {
  const options = ["nosuid", "size=64m", "noswap"];
  expect(plain({ destination: "/data", type: "tmpfs", source: "shm", options })).toEqual([
    'fsopen("tmpfs", 1) = mounts[0] mount context',
    'fsconfig(<mounts[0] mount context>, 1, "source", "shm", 0)',
    'fsconfig(<mounts[0] mount context>, 1, "size", "64m", 0)',
    'fsconfig(<mounts[0] mount context>, 0, "noswap", 0, 0)',
    "fsconfig(<mounts[0] mount context>, 6, 0, 0, 0)",
    "fsmount(<mounts[0] mount context>, 1, 2) = mounts[0] mount",
    'openat2(<root>, "data", open_how, 24) = mounts[0] destination',
    "fstatfs(<mounts[0] destination>, &statfs mounts[0])",
    'move_mount(<mounts[0] mount>, "", <mounts[0] destination>, "", 68)',
  ]);
});

test("the kernel's own words are asked for when a file system refuses an option", () => {
  const context = "mounts[0] mount context";
  for (const call of callsFor({ destination: "/d", type: "tmpfs", options: ["size=1"] }))
    expect(call.log, short(call)).toBe(
      call.call === "fsconfig" || call.call === "fsmount" ? context : undefined,
    );
});

test("each option's call has the option's place", () => {
  const list = callsFor({ destination: "/d", type: "tmpfs", options: ["nosuid", "size=1", "mode=755"] });
  const places = list.filter((c) => c.args.includes("size") || c.args.includes("mode")).map((c) => c.at);
  expect(places).toEqual(["mounts[0].options[1]", "mounts[0].options[2]"]);
});

test("read-only is a property of mount and file system, but of the mount alone where all mounts share one", () => {
  const flags = (type: string) =>
    callsFor({ destination: "/d", type, options: ["ro"] })
      .filter((c) => c.call === "fsconfig" && c.args[1] === 0)
      .map((c) => c.args[2]);
  expect(flags("tmpfs")).toEqual(["ro"]);
  for (const type of ["proc", "sysfs", "mqueue", "bpf"]) expect(flags(type), type).toEqual([]);
  for (const type of ["tmpfs", "sysfs"]) {
    const mounted = callsFor({ destination: "/d", type, options: ["ro"] }).find((c) => c.call === "fsmount");
    expect(mounted?.args[2], type).toBe(MOUNT_ATTR.MOUNT_ATTR_RDONLY);
  }
});

test.each(["proc", "sysfs"])("no symlink of the image chooses where %s is mounted", (type) => {
  for (const call of callsFor({ destination: "/a/b", type }))
    if (call.call === "openat2")
      expect(structAt(call, 2, "open_how").resolve & RESOLVE.RESOLVE_NO_SYMLINKS).not.toBe(0);
});

describe("a bind mount", () => {
  const source = "/host/x";

  test("copies the source's mount and moves the copy", () => {
    expect(plain({ destination: "/x", source, options: ["bind"] })).toEqual([
      'open_tree(-100, "/host/x", 524289) = mounts[0] tree',
      'openat2(<root>, "x", open_how, 24) = mounts[0] destination',
      "fstatfs(<mounts[0] destination>, &statfs mounts[0])",
      'move_mount(<mounts[0] tree>, "", <mounts[0] destination>, "", 68)',
    ]);
  });

  test("is one by its type, or by an option whatever its type is", () => {
    expect(plain({ destination: "/x", type: "bind", source })[0]).toStartWith("open_tree(");
    expect(plain({ destination: "/x", type: "none", source, options: ["rbind"] })[0]).toStartWith(
      "open_tree(",
    );
  });

  test("takes what is mounted below only with rbind", () => {
    const recursive = (mount: Partial<Mount>) =>
      ((callsFor({ destination: "/x", source, ...mount })[0]?.args[2] as number) & AT_RECURSIVE) !== 0;
    expect(recursive({ options: ["rbind"] })).toBe(true);
    expect(recursive({ options: ["bind"] })).toBe(false);
    expect(recursive({ type: "bind" })).toBe(false);
  });

  test("changes only the flags that its options name, of the copy's top alone, before it can be seen", () => {
    const list = callsFor({ destination: "/x", source, options: ["rbind", "ro", "nosuid", "dev"] });
    const at = list.findIndex((c) => c.call === "mount_setattr");
    expect(at).toBeLessThan(list.findIndex((c) => c.call === "move_mount"));
    expect(list[at]?.args.slice(0, 3)).toEqual([{ cell: "mounts[0] tree" }, "", AT_EMPTY_PATH]);
    expect(structAt(list[at], 3, "mount_attr")).toEqual({
      attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NOSUID,
      attr_clr: MOUNT_ATTR.MOUNT_ATTR_NODEV,
    });
  });

  test("clears the whole field of access times to set one, as mount_setattr(2) wants it", () => {
    const attributes = (option: string) =>
      structAt(
        callsFor({ destination: "/x", source, options: ["bind", option] }).find(
          (c) => c.call === "mount_setattr",
        ),
        3,
        "mount_attr",
      );
    expect(attributes("noatime")).toEqual({
      attr_set: MOUNT_ATTR.MOUNT_ATTR_NOATIME,
      attr_clr: MOUNT_ATTR__ATIME,
    });
    expect(attributes("relatime")).toEqual({ attr_set: 0, attr_clr: MOUNT_ATTR__ATIME });
  });

  test("to a missing destination makes what the source is: a file for a file", () => {
    const made = (kind: "file" | "directory" | undefined) =>
      callsFor(
        { destination: "/etc/x", source, options: ["bind"] },
        kind === undefined ? {} : { sources: { [source]: kind } },
      )
        .filter((c) => c.call === "mkdirat" || c.call === "mknodat")
        .map((c) => c.call);
    expect(made("file")).toEqual(["mkdirat", "mknodat"]);
    expect(made("directory")).toEqual(["mkdirat", "mkdirat"]);
    expect(made(undefined)).toEqual(["mkdirat", "mkdirat"]);
  });

  test("says which source, and where from, when it can't be opened", () => {
    const [open] = callsFor({ destination: "/x", source, options: ["bind"] });
    expect(open).toMatchObject({
      at: "mounts[0].source",
      fail: { code: "MOUNT_FAILED", message: "cannot bind /host/x to /x", path: "/host/x" },
    });
  });
});

test("propagation is set on the attached mount, one call for each option, in order", () => {
  const list = callsFor({ destination: "/x", source: "/y", options: ["rbind", "rslave", "shared"] });
  const moved = list.findIndex((c) => c.call === "move_mount");
  const set = list.slice(moved + 1).filter((c) => c.call === "mount_setattr");
  expect(set.map((c) => [c.args[2], structAt(c, 3, "mount_attr").propagation])).toEqual([
    [AT_EMPTY_PATH | AT_RECURSIVE, MS.MS_SLAVE],
    [AT_EMPTY_PATH, MS.MS_SHARED],
  ]);
});

test("mounts come in the config's order, each with its own place", () => {
  const list = callsIn(
    stepsFor([
      { destination: "/b", type: "tmpfs" },
      { destination: "/a", type: "proc" },
    ]),
  );
  const opened = list.filter((c) => c.call === "fsopen").map((c) => [c.args[0], c.at]);
  expect(opened).toEqual([
    ["tmpfs", "mounts[0].type"],
    ["proc", "mounts[1].type"],
  ]);
});

test("the destination /, `..` and a relative one stay inside the root", () => {
  for (const [destination, expected] of [
    ["/", "."],
    ["/../..", "."],
    ["data", "data"],
    ["/a/../../b/", "b"],
  ] as const) {
    const opened = callsFor({ destination, type: "tmpfs" }).find((c) => c.call === "openat2");
    expect(opened?.args[1], destination).toBe(expected);
  }
});
