import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { parseHierarchies, readHierarchies } from "../../src/cgroup/hierarchies.ts";

const V2 =
  "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot";
const OTHERS = `22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
90 27 0:44 / /mnt/cgroup rw - ext4 /dev/vda rw`;

test("v2 is one hierarchy without a name", () => {
  expect(parseHierarchies(`${OTHERS}\n${V2}\n`)).toEqual([
    { version: 2, mountpoint: "/sys/fs/cgroup", options: [] },
  ]);
});

test("v1 hierarchies are named by their controllers, without the options of the file system", () => {
  const text = `33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
34 32 0:31 / /sys/fs/cgroup/memory rw master:1 - cgroup cgroup rw,xattr,clone_children,memory
35 32 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset,noprefix,cpuset_v2_mode`;
  expect(parseHierarchies(text)).toEqual([
    { version: 1, mountpoint: "/sys/fs/cgroup/cpu,cpuacct", options: ["cpu", "cpuacct"] },
    { version: 1, mountpoint: "/sys/fs/cgroup/memory", options: ["memory"] },
    { version: 1, mountpoint: "/sys/fs/cgroup/cpuset", options: ["cpuset"] },
  ]);
});

test("a named hierarchy keeps its name, and not its release agent", () => {
  const text =
    "36 32 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/agent,name=systemd";
  expect(parseHierarchies(text)[0]?.options).toEqual(["name=systemd"]);
});

test("a hybrid machine has both", () => {
  const text = `33 32 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
${V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")}`;
  expect(parseHierarchies(text).map((h) => [h.version, h.mountpoint])).toEqual([
    [1, "/sys/fs/cgroup/pids"],
    [2, "/sys/fs/cgroup/unified"],
  ]);
});

test("of a hierarchy that is mounted twice the first mount counts", () => {
  expect(parseHierarchies(`${V2}\n${V2.replace("/sys/fs/cgroup", "/other")}`)).toHaveLength(1);
  expect(parseHierarchies(`${V2}\n${V2.replace("/sys/fs/cgroup", "/other")}`)[0]?.mountpoint).toBe(
    "/sys/fs/cgroup",
  );
});

test("blanks and backslashes in a mount point are written in octal", () => {
  const text = V2.replace("/sys/fs/cgroup", "/a\\040b\\134c\\011d");
  expect(parseHierarchies(text)[0]?.mountpoint).toBe("/a b\\c\td");
});

test("a mount point that looks like a cgroup's isn't one", () => {
  expect(parseHierarchies(OTHERS)).toEqual([]);
  expect(parseHierarchies("")).toEqual([]);
});

test("this machine's hierarchies are directories", () => {
  for (const { mountpoint } of readHierarchies()) expect(existsSync(`${mountpoint}/cgroup.procs`)).toBe(true);
});
