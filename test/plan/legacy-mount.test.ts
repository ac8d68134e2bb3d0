import { describe, expect, test } from "bun:test";
import type { Mount } from "../../spec/mounts.ts";
import { MS } from "../../src/kernel/consts/mount.ts";
import { mountData, mountFlags, needsMount2 } from "../../src/plan/legacy-mount.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { parseOptions } from "../../src/plan/options.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const flags = (...options: string[]) => mountFlags(parseOptions(options));
const needs = (mount: Partial<Mount>) =>
  needsMount2({ destination: "/a", type: "tmpfs", ...mount }, parseOptions(mount.options ?? []));

test("mount(2) is for what fsconfig(2) can't say: two flags, and strings longer than 255 bytes", () => {
  for (const options of [["iversion"], ["silent"], [`lowerdir=${"x".repeat(256)}`]])
    expect(needs({ options }), options[0]).toBe(true);
  expect(needs({ source: `/dev/${"x".repeat(251)}` })).toBe(true);
  expect(needs({ options: [`lowerdir=${"ü".repeat(128)}`] }), "bytes count, not characters").toBe(true);
  for (const options of [
    ["noiversion", "loud", "iversion", "noiversion"],
    [`lowerdir=${"x".repeat(255)}`],
    ["sync"],
  ])
    expect(needs({ options }), options[0]).toBe(false);
});

describe("flags", () => {
  test("of the mount have mount(2)'s bits", () => {
    expect(flags("ro", "nosuid", "nodev", "noexec")).toBe(
      MS.MS_RDONLY | MS.MS_NOSUID | MS.MS_NODEV | MS.MS_NOEXEC,
    );
    expect(flags("noatime", "nodiratime", "nosymfollow")).toBe(
      MS.MS_NOATIME | MS.MS_NODIRATIME | MS.MS_NOSYMFOLLOW,
    );
    expect(flags("strictatime")).toBe(MS.MS_STRICTATIME);
    expect(flags("relatime")).toBe(0);
    expect(flags("ro", "rrw", "rnosuid")).toBe(MS.MS_NOSUID);
  });

  test("of the file system too, the later one wins", () => {
    expect(flags("sync", "dirsync", "lazytime", "mand", "iversion", "silent")).toBe(
      MS.MS_SYNCHRONOUS | MS.MS_DIRSYNC | MS.MS_LAZYTIME | MS.MS_MANDLOCK | MS.MS_I_VERSION | MS.MS_SILENT,
    );
    expect(flags("sync", "async", "lazytime", "nolazytime", "mand", "nomand")).toBe(0);
  });
});

test("data is joined by commas, as it was parted", () => {
  const options = ["ro", "size=1m,mode=700", "noswap", "lowerdir=/a\\,b"];
  expect(mountData(parseOptions(options))).toBe("size=1m,mode=700,noswap,lowerdir=/a\\,b");
});

test("the mount is made on the directory that is open, and found again for what comes after", () => {
  const list = callsIn(
    mounts(
      inputOf({
        mounts: [{ destination: "/a", type: "mqueue", source: "q", options: ["iversion", "ro", "shared"] }],
        linux: withNamespaces("mount"),
      }),
    ),
  ).filter((c) => !/missing|go on from/.test(c.why) && c.call !== "close_range");
  expect(list.map(short)).toEqual([
    'openat2(<root>, "a", open_how, 24) = mounts[0] destination',
    "fstatfs(<mounts[0] destination>, &statfs mounts[0])",
    "fchdir(<mounts[0] destination>)",
    `mount("q", ".", "mqueue", ${MS.MS_I_VERSION}, 0)`,
    'openat2(<root>, "a", open_how, 24) = mounts[0] mount',
    'mount_setattr(<mounts[0] mount>, "", 4096, mount_attr, 32)',
    'mount_setattr(<mounts[0] mount>, "", 4096, mount_attr, 32)',
  ]);
  // One instance for all mounts of that type: only this mount becomes read-only.
  expect(structAt(list[5], 3, "mount_attr")).toEqual({ attr_set: 1, attr_clr: 0 });
  expect(structAt(list[6], 3, "mount_attr")).toEqual({ propagation: MS.MS_SHARED });
});
