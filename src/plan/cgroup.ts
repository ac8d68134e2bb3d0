/**
 * A mount of type `cgroup`: the container's own cgroups (config-linux.md, "Control groups"). v2: one cgroup2 file system.
 * v1: a tmpfs with one directory for each hierarchy, and a link for each controller of one that holds several.
 */
import type { Mount } from "../../spec/mounts.ts";
import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE } from "../kernel/consts/mount.ts";
import { openOrMake } from "./destination.ts";
import { type Hierarchy, isNew, type PlanInput } from "./input.ts";
import { attach, openFileSystem } from "./mounts.ts";
import type { ParsedOptions } from "./options.ts";

export function cgroupMount(input: PlanInput, mount: Mount, options: ParsedOptions, at: string): Step[] {
  const path = mount.destination;
  const fail: Failure = { code: "MOUNT_FAILED", message: `cannot mount "cgroup" on ${path}`, path };
  const { hierarchies } = input.host;
  const v1 = hierarchies.filter((h) => h.version === 1);
  const destination = openOrMake({
    path,
    kind: "directory",
    save: `${at} destination`,
    at: `${at}.destination`,
    why: "the mount's destination",
    fail,
  });
  if (v1.length === 0 || mount.type === "cgroup2") {
    const unified = hierarchies.find((h) => h.version === 2);
    const source = unified ?? { version: 2, mountpoint: "/sys/fs/cgroup", options: [] };
    return [
      ...view(input, source, options.set, `${at} mount`, at, fail),
      destination,
      ...attach(`${at} mount`, `${at} destination`, options, at, fail),
    ];
  }
  return [...tmpfsOfHierarchies(input, options, destination, at, fail)];
}

/** The container's part of one hierarchy, not attached yet: in a cgroup namespace a mount shows just that by itself. */
function view(input: PlanInput, h: Hierarchy, set: number, save: string, at: string, fail: Failure): Step[] {
  if (isNew(input.config, "cgroup")) {
    const data = h.options.map((option) => {
      const [key, value] = option.split("=") as [string, string | undefined];
      return { key, index: 0, ...(value === undefined ? {} : { value }) };
    });
    const type = h.version === 2 ? "cgroup2" : "cgroup";
    return openFileSystem({ type, source: "cgroup" }, { set, flags: [], data: data }, at, save, fail);
  }
  const source = `${h.mountpoint}${input.cgroupPath ?? ""}`;
  return [
    {
      call: "open_tree",
      args: [AT_FDCWD, source, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC],
      why: "the container's own cgroup, and nothing above it",
      at,
      save,
      fail: { ...fail, path: source },
    },
    setAttributes(save, set, at, fail),
  ];
}

function setAttributes(mount: string, set: number, at: string, fail: Failure): Call {
  return {
    call: "mount_setattr",
    args: [cell(mount), "", AT_EMPTY_PATH, struct("mount_attr", { attr_set: set }), 32],
    why: "its flags",
    at: `${at}.options`,
    fail,
  };
}

const EMPTY_BOTH = MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH;

/**
 * Attached first, since before Linux 6.15 nothing can be mounted on a mount that isn't; writable until it is filled, and
 * then what the options say.
 */
function tmpfsOfHierarchies(
  input: PlanInput,
  options: ParsedOptions,
  destination: Step,
  at: string,
  fail: Failure,
): Step[] {
  const tmpfs = `${at} mount`;
  const set = options.set & ~MOUNT_ATTR.MOUNT_ATTR_RDONLY;
  const steps = openFileSystem(
    { type: "tmpfs", source: "tmpfs" },
    { set, flags: [], data: [{ key: "mode", value: "755", index: 0 }] },
    at,
    tmpfs,
    fail,
  );
  steps.push(destination, ...attach(tmpfs, `${at} destination`, options, at, fail));
  for (const h of input.host.hierarchies) {
    const name = h.mountpoint.slice(h.mountpoint.lastIndexOf("/") + 1);
    const mount = `${at} ${name}`;
    const directory = `${mount} directory`;
    steps.push(
      { call: "mkdirat", args: [cell(tmpfs), name, 0o755], why: `a place for ${name}`, at, fail },
      {
        call: "openat2",
        args: [
          cell(tmpfs),
          name,
          struct("open_how", {
            flags: O.O_PATH | O.O_CLOEXEC | O.O_DIRECTORY,
            resolve: RESOLVE.RESOLVE_NO_SYMLINKS,
          }),
          24,
        ],
        why: "the place just made",
        at,
        save: directory,
        fail,
      },
      ...view(input, h, options.set, mount, at, fail),
      {
        call: "move_mount",
        args: [cell(mount), "", cell(directory), "", EMPTY_BOTH],
        why: `${name} appears in it`,
        at,
        fail,
      },
    );
    if (h.options.length > 1)
      for (const controller of h.options.filter((c) => c !== name && !c.includes("=")))
        steps.push({
          call: "symlinkat",
          args: [name, cell(tmpfs), controller],
          why: `${controller} is found under its own name too`,
          at,
          on: { EEXIST: "next" },
          fail,
        });
  }
  if ((options.set & MOUNT_ATTR.MOUNT_ATTR_RDONLY) !== 0)
    steps.push(setAttributes(tmpfs, options.set, at, fail));
  return steps;
}
