/**
 * A mount of type `cgroup`: the container's own cgroups (config-linux.md, "Control groups"). v2: one cgroup2 file system.
 * v1: a tmpfs with one directory for each hierarchy, and a link for each controller of one that holds several.
 */

import type { Mount } from "../../spec/mounts.ts";
import { type Buffer, type Call, cell, type Failure, type Step } from "../init/step.ts";
import { AT_FDCWD } from "../kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MS, OPEN_TREE } from "../kernel/consts/mount.ts";
import { attach, flagsOf, setAttributes } from "./attach.ts";
import { openOrMake } from "./destination.ts";
import { openFileSystem } from "./filesystem.ts";
import { type Hierarchy, hasNamespace, type PlanInput } from "./input.ts";
import { mountContext } from "./labels.ts";
import type { ParsedOptions } from "./options.ts";
import { guardSteps } from "./proc-guard.ts";
import { destinationOf } from "./source.ts";
import { cgroupFile } from "./texts.ts";

export function cgroupMount(input: PlanInput, mount: Mount, options: ParsedOptions, at: string): Step[] {
  const path = mount.destination;
  const fail: Failure = { code: "MOUNT_FAILED", message: `cannot mount "cgroup" on ${path}`, path };
  const { hierarchies } = input.host;
  const v1 = hierarchies.filter((h) => h.version === 1);
  const place = `${at} destination`;
  const destination = [
    openOrMake({
      path: destinationOf(input, mount),
      kind: "directory",
      save: place,
      at: `${at}.destination`,
      why: "the mount's destination",
      fail,
      noFollow: options.words.has("destinationNoFollow"),
    }),
    ...guardSteps(mount, at, place, place, fail),
  ];
  if (v1.length === 0 || mount.type === "cgroup2") {
    const unified = hierarchies.find((h) => h.version === 2);
    const source = unified ?? { version: 2, mountpoint: "/sys/fs/cgroup", options: [] };
    return [
      ...view(input, source, flagsOf(options), `${at} mount`, at, fail),
      ...destination,
      ...attach(`${at} mount`, place, options, at, fail),
    ];
  }
  return [...tmpfsOfHierarchies(input, options, destination, at, fail)];
}

/** The container's part of one hierarchy, not attached yet: in a cgroup namespace a mount shows just that by itself. */
function view(input: PlanInput, h: Hierarchy, set: number, save: string, at: string, fail: Failure): Step[] {
  const own = cgroupFile(input, h, "");
  if (hasNamespace(input.config, "cgroup")) {
    const data = h.options.map((option) => {
      const [key, value] = option.split("=") as [string, string | undefined];
      return { key, ...(value === undefined ? {} : { value }) };
    });
    const type = h.version === 2 ? "cgroup2" : "cgroup";
    // The namespace has to belong to the user namespace, which a joined one may not (runc#2158).
    const why = "the cgroup namespace is another user namespace's";
    const instead = hasNamespace(input.config, "user") ? { source: own, name: "cgroup", why } : undefined;
    return openFileSystem({ type, source: "cgroup" }, { set, flags: [], data }, at, save, fail, instead);
  }
  return [
    {
      call: "open_tree",
      args: [AT_FDCWD, own, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC],
      why: "the container's own cgroup, and nothing above it",
      at,
      save,
      fail,
    },
    ...setAttributes(save, { set, clear: 0 }, at, fail),
  ];
}

/** Flags that mean the same to mount(2), by the same bits, as to fsmount(2). */
const COMMON_FLAGS = MS.MS_RDONLY | MS.MS_NOSUID | MS.MS_NODEV | MS.MS_NOEXEC;

/**
 * Attached first, since before Linux 6.15 nothing can be mounted on a mount that isn't; writable until it is filled, and
 * then what the options say. In it mount(2) by name is safe and short: nobody else has ever seen this file system.
 */
function tmpfsOfHierarchies(
  input: PlanInput,
  options: ParsedOptions,
  destination: readonly Step[],
  at: string,
  fail: Failure,
): Step[] {
  const tmpfs = `${at} mount`;
  const all = flagsOf(options);
  const set = all & ~MOUNT_ATTR.MOUNT_ATTR_RDONLY;
  const data = [{ key: "mode", value: "755" }, ...mountContext(input, "tmpfs")];
  return [
    ...openFileSystem({ type: "tmpfs", source: "tmpfs" }, { set, flags: [], data }, at, tmpfs, fail),
    ...destination,
    ...attach(tmpfs, `${at} destination`, options, at, fail),
    { call: "fchdir", args: [cell(tmpfs)], why: "into the new file system, which is empty", at, fail },
    ...input.host.hierarchies.flatMap((h) => hierarchy(input, h, all & COMMON_FLAGS, at, fail)),
    ...((all & MOUNT_ATTR.MOUNT_ATTR_RDONLY) === 0
      ? []
      : setAttributes(tmpfs, { set: all, clear: 0 }, at, fail)),
  ];
}

/** One hierarchy in a directory of its name, with links for the controllers that it holds together. */
function hierarchy(input: PlanInput, h: Hierarchy, flags: number, at: string, fail: Failure): Step[] {
  const name = h.mountpoint.slice(h.mountpoint.lastIndexOf("/") + 1);
  const mount = (
    source: string | Buffer,
    type: string | number,
    mountFlags: number,
    data: string | number,
    why: string,
  ): Call => ({
    call: "mount",
    args: [source, name, type, mountFlags, data],
    why,
    at,
    fail: { ...fail, message: `${fail.message}: ${name}` },
  });
  const links = h.options.length < 2 ? [] : h.options.filter((c) => c !== name && !c.includes("="));
  const source = cgroupFile(input, h, "");
  return [
    { call: "mkdirat", args: [AT_FDCWD, name, 0o755], why: `a place for ${name}`, at, fail },
    ...(hasNamespace(input.config, "cgroup")
      ? [
          mount(
            "cgroup",
            h.version === 2 ? "cgroup2" : "cgroup",
            flags,
            h.options.join(),
            "what is below the namespace's root",
          ),
        ]
      : [
          mount(source, 0, MS.MS_BIND, 0, "the container's own cgroup, and nothing above it"),
          mount(source, 0, MS.MS_BIND | MS.MS_REMOUNT | flags, 0, "its flags"),
        ]),
    ...links.map(
      (controller): Call => ({
        call: "symlinkat",
        args: [name, AT_FDCWD, controller],
        why: `${controller} is found under its own name too`,
        at,
        on: { EEXIST: "next" },
        fail,
      }),
    ),
  ];
}
