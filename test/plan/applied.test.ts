import { describe, expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import type { Linux } from "../../spec/linux.ts";
import { defaultConfig } from "../../src/container/spec.ts";
import { notApplied } from "../../src/plan/applied.ts";
import { MOUNT_OPTIONS } from "../../src/plan/options.ts";
import { withNamespaces } from "./helpers.ts";

const BASE: Config = { ociVersion: "1.3.0", linux: withNamespaces("mount") };
const placesOf = (config: unknown) =>
  notApplied({ ...BASE, ...(config as Partial<Config>) }).map((p) => p.at);
const inLinux = (linux: unknown) => placesOf({ linux: { ...BASE.linux, ...(linux as Partial<Linux>) } });

test("the configs that `kontena spec` writes are applied whole", () => {
  for (const rootless of [true, false]) expect(notApplied(defaultConfig({ rootless }))).toEqual([]);
});

test("a property that asks for nothing is nothing to apply", () => {
  expect(
    placesOf({ process: { terminal: false, apparmorProfile: "" }, hooks: {}, annotations: { a: "b" } }),
  ).toEqual([]);
  expect(inLinux({ devices: [], sysctl: {}, resources: {}, maskedPaths: [] })).toEqual([]);
  expect(inLinux({ resources: { memory: { limit: 1 }, devices: [{ allow: true }] } })).toEqual([]);
  expect(placesOf({ hooks: { prestart: [] } })).toEqual([]);
});

test("the root can't be covered by itself: no mount, mask or read-only path is on /", () => {
  for (const path of ["/", "//.", "/a/.."]) {
    expect(inLinux({ maskedPaths: [path] })).toEqual(["linux.maskedPaths[0]"]);
    expect(inLinux({ readonlyPaths: ["/a", path] })).toEqual(["linux.readonlyPaths[1]"]);
    const mount = (...options: string[]) =>
      placesOf({ mounts: [{ destination: path, source: "/b", type: "none", options }] });
    expect(mount("bind")).toEqual(["mounts[0].destination"]);
    expect(mount("remount", "ro")).toEqual([]);
  }
});

describe("mount options", () => {
  const mounts = (...options: string[]) =>
    placesOf({ mounts: [{ destination: "/a", type: "tmpfs", options }] });

  test("that are applied pass, and so does data for the file system", () => {
    expect(mounts("size=64m", "ro", "noswap")).toEqual([]);
    const ofBinds = ["copy-symlink", "src-nofollow"];
    const others = ["remount", "idmap", "ridmap"];
    for (const option of MOUNT_OPTIONS.filter((o) => ![...ofBinds, ...others].includes(o)))
      expect(
        placesOf({ mounts: [{ destination: "/a", source: "/b", type: "tmpfs", options: [option] }] }),
        option,
      ).toEqual([]);
  });

  test("that a bind mount can't have aren't swallowed: `readonly` for `ro` would leave it writable", () => {
    const mount = { destination: "/a", source: "/b", options: ["rbind", "readonly", "size=1"] };
    expect(placesOf({ mounts: [mount] })).toEqual(["mounts[0].options[1]", "mounts[0].options[2]"]);
  });
});

describe("without a mount namespace", () => {
  test("what would change the host's mounts is refused, all of it at once", () => {
    const problems = notApplied({
      ociVersion: "1.3.0",
      root: { path: "/", readonly: true },
      mounts: [{ destination: "/proc", type: "proc" }],
      linux: {
        ...withNamespaces("uts"),
        devices: [{ type: "p", path: "/p" }],
        rootfsPropagation: "private",
        maskedPaths: ["/a"],
        readonlyPaths: ["/b"],
      },
    });
    expect(problems.map((p) => p.at).sort()).toEqual([
      "linux.devices",
      "linux.maskedPaths",
      "linux.readonlyPaths",
      "linux.rootfsPropagation",
      "mounts",
      "root.readonly",
    ]);
    for (const { message, hint } of problems) {
      expect(message).toContain("mount namespace");
      expect(hint).toContain('{"type": "mount"}');
    }
  });

  test("a config that mounts nothing is fine", () => {
    expect(notApplied({ ociVersion: "1.3.0", root: { path: "/", readonly: false }, mounts: [] })).toEqual([]);
  });
});

test("network devices are moved into a network namespace, new or joined", () => {
  const netDevices = { eth0: {} };
  expect(inLinux({ ...withNamespaces("mount"), netDevices })).toEqual(["linux.netDevices"]);
  expect(inLinux({ ...withNamespaces("mount", "network"), netDevices })).toEqual([]);
});
