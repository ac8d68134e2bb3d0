/** Nothing is mounted on the container's procfs, and only a procfs on its /proc. */
import { expect } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestConfig, test } from "./helpers.ts";
import { rootfsTools } from "./rootfs-helpers.ts";

const box = openBox("procmounts");
const { outsideDirectory, expectRefused } = rootfsTools(box);

const adding = (...list: TestConfig["mounts"]) => ({
  patch: (config: TestConfig) => {
    config.mounts.push(...list);
  },
});

test("a mount inside of /proc is refused by the config's own words", () => {
  const source = outsideDirectory();
  const b = box.bundle(adding({ destination: "/proc/self/attr", source, options: ["bind"] }));
  expectRefused(b, "mounts[7].destination: /proc/self/attr is inside of /proc");
});

for (const target of ["/proc/self/attr", "../../proc/sys/net", "/dir/up/proc/fs"])
  test(`a symlink of the image to ${target} doesn't lead a mount onto procfs (CVE-2019-16884)`, () => {
    const source = outsideDirectory();
    const fill = (rootfs: string) => {
      mkdirSync(join(rootfs, "dir"));
      symlinkSync("..", join(rootfs, "dir/up"));
      symlinkSync(target, join(rootfs, "volume"));
    };
    for (const mount of [
      { destination: "/volume", source, options: ["bind"] },
      { destination: "/volume", type: "tmpfs" },
      { destination: "/volume", type: "tmpfs", options: ["iversion"] },
    ])
      expectRefused(
        box.bundle({ fill, ...adding(mount) }),
        "mounts[7].destination",
        "/volume lies on a procfs",
      );
  });

test("another directory as /proc is refused, and so is a part of a procfs", () => {
  const source = outsideDirectory();
  for (const from of [source, "/proc/self", "/proc/sys"]) {
    const b = box.bundle({
      patch: (config) => {
        config.mounts[0] = { destination: "/proc", source: from, options: ["bind"] };
      },
    });
    expectRefused(b, "mounts[0].source: only a whole procfs can be bound to /proc");
  }
});

test("the host's whole procfs may be bound, when the config wants that", () => {
  const b = box.bundle({
    args: ["cat", "/proc/1/comm"],
    patch: (config) => {
      config.mounts[0] = { destination: "/proc", source: "/proc", options: ["rbind"] };
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stderr: "" });
});

test("a file that lxcfs emulates may be covered", () => {
  const source = join(outsideDirectory(), "meminfo");
  writeFileSync(source, "MemTotal: 1 kB\n");
  const mount = { destination: "/proc/meminfo", source, options: ["bind", "ro"] };
  expect(box.outputOf({ args: ["cat", "/proc/meminfo"], ...adding(mount) })).toBe("MemTotal: 1 kB\n");
});
