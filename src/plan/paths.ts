/** Masked and read-only paths (config-linux.md, "Masked Paths" and "Readonly Paths"). */

import { cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, F, O } from "../kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE } from "../kernel/consts/mount.ts";
import { keepAs, openIfThere, sweep, swept } from "./destination.ts";
import { openFileSystem } from "./filesystem.ts";
import type { PlanInput } from "./input.ts";
import { mountContext } from "./labels.ts";
import { LOWEST, MASK_DIRECTORY, MASK_UNUSED } from "./names.ts";

const DIRECTORY = "empty file system";
const EMPTY_BOTH = MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH;
const CLONE_EMPTY = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
/** Nobody changes the mode or owner of what lies below through the mask, or runs it. */
const MASK_FLAGS = MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NOEXEC;

const failure = (message: string, path: string): Failure => ({
  code: "PATH_PROTECTION_FAILED",
  message,
  path,
});

/** One empty file system for all masked directories. */
export function prepareMasks({ config }: PlanInput): Step[] {
  if ((config.linux?.maskedPaths ?? []).length === 0) return [];
  const at = "linux.maskedPaths";
  const data = [
    { key: "mode", value: "555" },
    { key: "nr_inodes", value: "1" },
    { key: "size", value: "4k" },
    ...mountContext({ config }, "tmpfs"),
  ];
  const set = MASK_FLAGS | MOUNT_ATTR.MOUNT_ATTR_NODEV;
  const fail = failure("cannot prepare the mask for directories", "/");
  return [
    ...openFileSystem({ type: "tmpfs", source: "tmpfs" }, { set, flags: [], data }, at, DIRECTORY, fail),
    keepAs(MASK_DIRECTORY, DIRECTORY, at),
    keepAs(MASK_UNUSED, DIRECTORY, at),
    ...sweep("temporary"),
  ];
}

/** Covers each path that exists; a file with a device that reads as empty, a directory with an empty one. */
export function maskPaths({ config }: PlanInput): Step[] {
  const paths = config.linux?.maskedPaths ?? [];
  return swept(paths.map((path, i) => maskPath(path, `linux.maskedPaths[${i}]`)));
}

/**
 * A file is covered by the host's /dev/null, not by the container's, which could be anything (CVE-2025-31133). Each mask is
 * made only when it is needed, and the first directory gets the mask itself: a mount that ends unattached costs a wait for all
 * processors. Before Linux 6.15, too, only an attached one can be copied.
 */
function maskPath(path: string, at: string): Step[] {
  const fail = failure(`cannot mask ${path}`, path);
  const place = `${at} place`;
  const cover = `${at} cover`;
  const file: Step[] = [
    {
      call: "open_tree",
      args: [AT_FDCWD, "/dev/null", OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC],
      why: "it is a file: the host's /dev/null will cover it",
      at,
      save: cover,
      fail,
    },
    {
      call: "mount_setattr",
      args: [cell(cover), "", AT_EMPTY_PATH, struct("mount_attr", { attr_set: MASK_FLAGS }), 32],
      why: "nobody changes its mode or owner through the mask",
      at,
      after: "leave",
      fail,
    },
  ];
  const copy: Step[] = [
    {
      call: "open_tree",
      args: [cell(MASK_DIRECTORY), "", CLONE_EMPTY],
      why: "attached somewhere it is: a copy will cover this one",
      at,
      save: cover,
      after: "leave",
      fail,
    },
  ];
  return [
    openIfThere({ path, kind: "any", save: place, at, why: `${path}, when it exists`, fail }),
    {
      block: [
        {
          call: "openat",
          args: [cell(place), ".", O.O_PATH | O.O_CLOEXEC],
          why: "is it a directory?",
          at,
          save: `${at} inside`,
          on: { ENOTDIR: file },
          fail,
        },
        {
          call: "close",
          args: [cell(MASK_UNUSED)],
          why: "it is one: the first, unless this is closed already",
          at,
          on: { EBADF: copy },
          fail,
        },
        {
          call: "fcntl",
          args: [cell(MASK_DIRECTORY), F.F_DUPFD_CLOEXEC, cell(LOWEST)],
          why: "the empty file system itself will cover it",
          at,
          save: cover,
          fail,
        },
      ],
    },
    {
      call: "move_mount",
      args: [cell(cover), "", cell(place), "", EMPTY_BOTH],
      why: `the mask hides ${path}`,
      at,
      fail,
    },
  ];
}

/** Each path that exists is mounted over itself, read-only with all that is mounted below it. */
export function readonlyPaths({ config }: PlanInput): Step[] {
  const paths = config.linux?.readonlyPaths ?? [];
  return swept(paths.map((path, i) => readonlyPath(path, `linux.readonlyPaths[${i}]`)));
}

function readonlyPath(path: string, at: string): Step[] {
  const fail = failure(`cannot make ${path} read-only`, path);
  const place = `${at} place`;
  const tree = `${at} tree`;
  return [
    openIfThere({ path, kind: "any", save: place, at, why: `${path}, when it exists`, fail }),
    {
      call: "open_tree",
      args: [cell(place), "", CLONE_EMPTY | AT_RECURSIVE],
      why: "a copy of what is there",
      at,
      save: tree,
      fail,
    },
    {
      call: "mount_setattr",
      args: [
        cell(tree),
        "",
        AT_EMPTY_PATH | AT_RECURSIVE,
        struct("mount_attr", { attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY }),
        32,
      ],
      why: "read-only",
      at,
      fail,
    },
    {
      call: "move_mount",
      args: [cell(tree), "", cell(place), "", EMPTY_BOTH],
      why: "the read-only copy hides the writable one",
      at,
      fail,
    },
  ];
}
