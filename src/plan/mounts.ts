/**
 * Mounts (config.md, "Mounts"): each is made detached, by fsopen/fsmount or open_tree, and then moved to the descriptor of
 * its destination. Between the two no path is looked up again, so a symlink that is swapped in changes nothing.
 */
import type { Mount } from "../../spec/mounts.ts";
import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE } from "../kernel/consts/fcntl.ts";
import {
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR__ATIME,
  MOVE_MOUNT,
  OPEN_TREE,
} from "../kernel/consts/mount.ts";
import { cgroupMount } from "./cgroup.ts";
import { openOrMake, swept } from "./destination.ts";
import type { PlanInput } from "./input.ts";
import { type ParsedOptions, parseOptions } from "./options.ts";

/**
 * File systems of which the kernel has one instance for all mounts: `ro` is then a property of the mount alone, or it
 * would make the host's read-only as well (or fail).
 */
const SHARED_INSTANCE = new Set([
  "proc",
  "sysfs",
  "cgroup",
  "cgroup2",
  "mqueue",
  "devtmpfs",
  "securityfs",
  "debugfs",
  "tracefs",
  "bpf",
]);

/** Written to by runtimes and trusted by them: a symlink in its path would let the image choose where (CVE-2019-19921). */
const NO_SYMLINKS = new Set(["proc", "sysfs"]);

export function mounts(input: PlanInput): Step[] {
  return swept((input.config.mounts ?? []).map((mount, i) => oneMount(input, mount, `mounts[${i}]`)));
}

function oneMount(input: PlanInput, mount: Mount, at: string): Step[] {
  const options = parseOptions(mount.options ?? []);
  if (options.bind !== undefined || mount.type === "bind") return bind(input, mount, options, at);
  if (mount.type === "cgroup" || mount.type === "cgroup2") return cgroupMount(input, mount, options, at);
  return fileSystem(mount, options, at);
}

const EMPTY_BOTH = MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH;

/** Puts the detached mount `from` onto `to` and gives it its propagation. */
export function attach(from: string, to: string, options: ParsedOptions, at: string, fail: Failure): Step[] {
  return [
    {
      call: "move_mount",
      args: [cell(from), "", cell(to), "", EMPTY_BOTH],
      why: `${fail.path ?? "the mount"} appears in the container`,
      at: `${at}.destination`,
      fail: {
        ...fail,
        hints: {
          ENOTDIR: "one of source and destination is a directory, the other isn't",
          EINVAL: "the destination can't take a mount",
        },
      },
    },
    ...options.propagation.map(
      ({ type, recursive }): Call => ({
        call: "mount_setattr",
        args: [
          cell(from),
          "",
          AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
          struct("mount_attr", { propagation: type }),
          32,
        ],
        why: "its propagation",
        at: `${at}.options`,
        fail: { ...fail, message: `cannot set the propagation of ${fail.path}` },
      }),
    ),
  ];
}

/** fsopen, a fsconfig for each option, create, fsmount: the kernel names the option that it doesn't like. */
function fileSystem(mount: Mount, options: ParsedOptions, at: string): Step[] {
  const type = mount.type ?? "none";
  const path = mount.destination;
  const fail: Failure = { code: "MOUNT_FAILED", message: `cannot mount "${type}" on ${path}`, path };
  const destination = `${at} destination`;
  const mounted = `${at} mount`;
  return [
    ...openFileSystem(mount, options, at, mounted, fail),
    openOrMake({
      path,
      kind: "directory",
      save: destination,
      at: `${at}.destination`,
      why: "the mount's destination",
      fail,
      ...(NO_SYMLINKS.has(type) ? { noSymlinks: true } : {}),
    }),
    ...attach(mounted, destination, options, at, fail),
  ];
}

/** A file system of the given type, configured and mounted, but attached nowhere; the descriptor is saved as `save`. */
export function openFileSystem(
  mount: Pick<Mount, "type" | "source"> & Partial<Pick<Mount, "destination">>,
  options: Pick<ParsedOptions, "set" | "data" | "flags">,
  at: string,
  save: string,
  fail: Failure,
): Step[] {
  const type = mount.type ?? "none";
  const context = `${save} context`;
  // What kontena adds by itself comes from the whole of `at`, not from a property below it.
  const isEntry = mount.destination !== undefined;
  const place = (property: string) => (isEntry ? `${at}.${property}` : at);
  const config = (
    command: number,
    key: string | number,
    value: string | number,
    why: string,
    where: string,
  ): Call => ({
    call: "fsconfig",
    args: [cell(context), command, key, value, 0],
    why,
    at: where,
    fail,
    log: context,
  });
  const flags = SHARED_INSTANCE.has(type)
    ? options.flags.filter((f) => f !== "ro" && f !== "rw")
    : options.flags;
  return [
    {
      call: "fsopen",
      args: [type, FSOPEN_CLOEXEC],
      why: `a new ${type} file system`,
      at: place("type"),
      save: context,
      fail: {
        ...fail,
        hints: { ENODEV: `the kernel has no file system type "${type}", see /proc/filesystems` },
      },
    },
    config(FSCONFIG.FSCONFIG_SET_STRING, "source", mount.source ?? type, "its source", place("source")),
    ...flags.map((f) => config(FSCONFIG.FSCONFIG_SET_FLAG, f, 0, `option ${f}`, place("options"))),
    ...options.data.map(({ key, value, index }) => {
      const where = index === undefined ? at : place(`options[${index}]`);
      return value === undefined
        ? config(FSCONFIG.FSCONFIG_SET_FLAG, key, 0, `option ${key}`, where)
        : config(FSCONFIG.FSCONFIG_SET_STRING, key, value, `option ${key}=${value}`, where);
    }),
    config(FSCONFIG.FSCONFIG_CMD_CREATE, 0, 0, "create it", at),
    {
      call: "fsmount",
      args: [cell(context), FSMOUNT_CLOEXEC, options.set],
      why: "a mount of it, attached nowhere yet",
      at: place("options"),
      save,
      fail,
      log: context,
    },
  ];
}

/** open_tree copies the mount at the source; its flags change on the copy before anyone can see it. */
function bind({ host }: PlanInput, mount: Mount, options: ParsedOptions, at: string): Step[] {
  const source = mount.source ?? "";
  const path = mount.destination;
  const fail: Failure = { code: "MOUNT_FAILED", message: `cannot bind ${source} to ${path}`, path };
  const tree = `${at} tree`;
  const destination = `${at} destination`;
  const recursive = options.bind === "recursive" ? AT_RECURSIVE : 0;
  const attr_clr = options.clear | ((options.set & MOUNT_ATTR__ATIME) !== 0 ? MOUNT_ATTR__ATIME : 0);
  const changes = options.set !== 0 || attr_clr !== 0;
  return [
    {
      call: "open_tree",
      args: [AT_FDCWD, source, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | recursive],
      why: recursive ? "a copy of the source's mount and of those below" : "a copy of the source's mount",
      at: `${at}.source`,
      save: tree,
      fail: { ...fail, path: source },
    },
    ...(changes
      ? [
          {
            call: "mount_setattr",
            args: [
              cell(tree),
              "",
              AT_EMPTY_PATH,
              struct("mount_attr", { attr_set: options.set, attr_clr }),
              32,
            ],
            why: "its flags",
            at: `${at}.options`,
            fail,
          } satisfies Step,
        ]
      : []),
    openOrMake({
      path,
      kind: host.sources[source] ?? "directory",
      save: destination,
      at: `${at}.destination`,
      why: "the mount's destination",
      fail,
    }),
    ...attach(tree, destination, options, at, fail),
  ];
}
