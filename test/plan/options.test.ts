import { describe, expect, test } from "bun:test";
import { MOUNT_ATTR as A, MOUNT_ATTR__ATIME, MS } from "../../src/kernel/consts/mount.ts";
import { MOUNT_OPTIONS, type ParsedOptions, parseOptions, splitData } from "../../src/plan/options.ts";

const NOTHING: ParsedOptions = {
  set: 0,
  clear: 0,
  tree: { set: 0, clear: 0 },
  flags: [],
  bits: 0,
  bind: undefined,
  idmap: undefined,
  words: new Set(),
  propagation: [],
  data: [],
  superblock: [],
};

test("no options are no options, and so are defaults", () => {
  expect(parseOptions([])).toEqual(NOTHING);
  expect(parseOptions(["defaults"])).toEqual(NOTHING);
});

test.each([
  [["ro", "rw"], 0, A.MOUNT_ATTR_RDONLY],
  [["rw", "ro"], A.MOUNT_ATTR_RDONLY, 0],
  [["nosuid", "suid"], 0, A.MOUNT_ATTR_NOSUID],
  [["dev", "nodev"], A.MOUNT_ATTR_NODEV, 0],
  [["noexec", "exec", "noexec"], A.MOUNT_ATTR_NOEXEC, 0],
  [["symfollow", "nosymfollow"], A.MOUNT_ATTR_NOSYMFOLLOW, 0],
  [["nodiratime", "diratime"], 0, A.MOUNT_ATTR_NODIRATIME],
])("of %j the later one wins", (options, set, clear) => {
  expect(parseOptions(options)).toMatchObject({ set, clear });
});

test("the options of one kind leave the others alone", () => {
  const { set, clear } = parseOptions(["nosuid", "nodev", "suid", "ro"]);
  expect(set).toBe(A.MOUNT_ATTR_NODEV | A.MOUNT_ATTR_RDONLY);
  expect(clear).toBe(A.MOUNT_ATTR_NOSUID);
});

describe("access times are one field with four values:", () => {
  test.each([
    [["noatime"], A.MOUNT_ATTR_NOATIME],
    [["strictatime"], A.MOUNT_ATTR_STRICTATIME],
    [["relatime"], 0],
    [["atime"], 0],
    [["noatime", "strictatime"], A.MOUNT_ATTR_STRICTATIME],
    [["strictatime", "noatime"], A.MOUNT_ATTR_NOATIME],
    [["strictatime", "nostrictatime"], 0],
    [["noatime", "norelatime"], 0],
  ])("%j", (options, value) => {
    const { set, clear } = parseOptions(options);
    expect(set & MOUNT_ATTR__ATIME).toBe(value);
    // mount_setattr(2) refuses a mode that doesn't clear the whole field.
    expect(clear & MOUNT_ATTR__ATIME).toBe(MOUNT_ATTR__ATIME);
  });

  test("nodiratime isn't one of them", () => {
    expect(parseOptions(["noatime", "nodiratime"]).set).toBe(A.MOUNT_ATTR_NOATIME | A.MOUNT_ATTR_NODIRATIME);
    expect(parseOptions(["nodiratime"]).clear & MOUNT_ATTR__ATIME).toBe(0);
    expect(parseOptions(["nodiratime", "strictatime", "relatime"]).set).toBe(A.MOUNT_ATTR_NODIRATIME);
  });
});

test("but for access times, no bit is both set and cleared: mount_setattr(2) refuses that", () => {
  for (const a of MOUNT_OPTIONS)
    for (const b of MOUNT_OPTIONS) {
      const { set, clear } = parseOptions([a, b]);
      expect(set & clear & ~MOUNT_ATTR__ATIME, `${a},${b}`).toBe(0);
    }
});

test("what no row names goes to the file system as data, with its place", () => {
  expect(parseOptions(["nosuid", "size=64m", "uid=0", "noswap", "lowerdir=/a=b:/c", "mode="]).data).toEqual([
    { key: "size", value: "64m", index: 1 },
    { key: "uid", value: "0", index: 2 },
    { key: "noswap", index: 3 },
    { key: "lowerdir", value: "/a=b:/c", index: 4 },
    { key: "mode", value: "", index: 5 },
  ]);
});

test.each([
  ["size=64m,mode=755", ["size=64m", "mode=755"]],
  ["lowerdir=/a\\,b:/c,upperdir=/u", ["lowerdir=/a\\,b:/c", "upperdir=/u"]],
  ['context="u:r:t:s0:c1,c2",uid=0', ['context="u:r:t:s0:c1,c2"', "uid=0"]],
  ["a,,b,", ["a", "b"]],
  ["plain", ["plain"]],
])("data is parted at commas as mount(2) would: %s", (option, parts) => {
  expect(splitData(option)).toEqual(parts);
  expect(parseOptions(["ro", option]).data.map(({ index }) => index)).toEqual(parts.map(() => 1));
});

describe("an r before an attribute", () => {
  test("asks for it on the whole tree, and leaves the top's own alone", () => {
    const { set, clear, tree, flags } = parseOptions(["rro", "rnosuid", "rdev", "rnoatime"]);
    expect({ set, clear, flags }).toEqual({ set: 0, clear: 0, flags: [] });
    expect(tree).toEqual({
      set: A.MOUNT_ATTR_RDONLY | A.MOUNT_ATTR_NOSUID | A.MOUNT_ATTR_NOATIME,
      clear: A.MOUNT_ATTR_NODEV | MOUNT_ATTR__ATIME,
    });
  });

  test("is there for every attribute", () => {
    const attributes =
      "ro rw suid nosuid dev nodev exec noexec atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime symfollow nosymfollow";
    for (const name of attributes.split(" ")) {
      const { set, clear } = parseOptions([name]);
      expect(parseOptions([`r${name}`]).tree, name).toEqual({ set, clear });
    }
  });

  test("of two the later one wins", () => {
    expect(parseOptions(["rro", "rrw"]).tree).toEqual({ set: 0, clear: A.MOUNT_ATTR_RDONLY });
  });
});

test("flags that only mount(2) takes are bits; the later one wins", () => {
  expect(parseOptions(["iversion", "silent"]).bits).toBe(MS.MS_I_VERSION | MS.MS_SILENT);
  expect(parseOptions(["iversion", "noiversion", "silent", "loud"]).bits).toBe(0);
});

test("options of the file system itself are told from those of the mount", () => {
  const options = ["ro", "sync", "nosuid", "lazytime", "loud", "iversion", "size=1", "rro"];
  expect(parseOptions(options).superblock).toEqual([1, 3, 4, 5]);
});

test("acl and noacl are the file system's own words", () => {
  expect(parseOptions(["acl", "noacl"]).data.map(({ key }) => key)).toEqual(["acl", "noacl"]);
});

test("words without a value are kept as such", () => {
  const { words, data } = parseOptions(["remount", "src-nofollow", "dest-nofollow", "copy-symlink"]);
  expect([...words].sort()).toEqual(["copySymlink", "destinationNoFollow", "remount", "sourceNoFollow"]);
  expect(data).toEqual([]);
});

test("names are exact: another case or a blank makes data of an option", () => {
  expect(parseOptions(["RO", " ro", "constructor", "__proto__"]).data.map((d) => d.key)).toEqual([
    "RO",
    " ro",
    "constructor",
    "__proto__",
  ]);
});

test("flags of the file system come in their order", () => {
  expect(parseOptions(["sync", "rw", "lazytime", "ro"]).flags).toEqual(["sync", "rw", "lazytime", "ro"]);
});

test("bind is of one mount, rbind of all below it; the later one wins", () => {
  expect(parseOptions(["bind"]).bind).toBe("one");
  expect(parseOptions(["rbind"]).bind).toBe("recursive");
  expect(parseOptions(["rbind", "bind"]).bind).toBe("one");
});

test("propagation types are kept in their order, with and without those below", () => {
  expect(parseOptions(["rslave", "private", "rshared", "unbindable"]).propagation).toEqual([
    { type: MS.MS_SLAVE, recursive: true },
    { type: MS.MS_PRIVATE, recursive: false },
    { type: MS.MS_SHARED, recursive: true },
    { type: MS.MS_UNBINDABLE, recursive: false },
  ]);
});

test("no option is there twice", () => {
  expect(new Set(MOUNT_OPTIONS).size).toBe(MOUNT_OPTIONS.length);
});

test("every option of the spec's table is applied", () => {
  const table =
    `async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime
    noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime
    relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate
    rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid
    symfollow sync tmpcopyup unbindable idmap ridmap`.split(/\s+/);
  expect(table.filter((o) => !MOUNT_OPTIONS.includes(o))).toEqual([]);
});
