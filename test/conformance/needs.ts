/** What machines may lack. */
import { existsSync, readFileSync } from "node:fs";
import type { Need } from "./case.ts";

const read = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

export const CGROUP_V2 = existsSync("/sys/fs/cgroup/cgroup.controllers");

/** A cgroup controller, v1 or v2. */
export const controller = (name: string): Need => ({
  name: `the cgroup controller ${name}`,
  there: () =>
    CGROUP_V2
      ? read("/sys/fs/cgroup/cgroup.controllers").split(/\s+/).includes(name)
      : existsSync(`/sys/fs/cgroup/${name}`),
});

export const lacks = (need: Need): Need => ({
  name: `a kernel without ${need.name}`,
  there: () => !need.there(),
});

export const cgroupV1: Need = { name: "cgroup v1", there: () => !CGROUP_V2 };
export const cgroupV2: Need = { name: "cgroup v2 alone", there: () => CGROUP_V2 };

export const program = (name: string): Need => ({
  name: `the program ${name}`,
  there: () => Bun.which(name) !== null,
});

/** A capability that root here has in its bounding set, by number. */
export const capability = (name: string, number: number): Need => ({
  name,
  there: () => {
    const set = BigInt(`0x${/^CapBnd:\s*(\S+)/m.exec(read("/proc/self/status"))?.[1] ?? "0"}`);
    return ((set >> BigInt(number)) & 1n) === 1n;
  },
});

export const namespace = (name: string): Need => ({
  name: `${name} namespaces`,
  there: () => existsSync(`/proc/self/ns/${name}`),
});

export const selinux: Need = { name: "SELinux", there: () => existsSync("/sys/fs/selinux/enforce") };
export const apparmor: Need = {
  name: "AppArmor",
  there: () => read("/sys/module/apparmor/parameters/enabled").startsWith("Y"),
};
export const resctrl: Need = {
  name: "resctrl",
  there: () => read("/proc/mounts").includes(" resctrl "),
};
export const fileSystem = (name: string): Need => ({
  name: `the file system ${name}`,
  there: () => new RegExp(`\\t${name}$`, "m").test(read("/proc/filesystems")),
});
