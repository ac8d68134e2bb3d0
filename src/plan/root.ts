/** The root file system (config.md, "Root"): prepared in a mount namespace of its own and entered by pivot_root(2). */

import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, O } from "../kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE, UMOUNT } from "../kernel/consts/mount.ts";
import { keepAs, sweep } from "./destination.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { ROOT } from "./names.ts";
import { copiedMounts, cutOldRoot, hostMounts, openOldRoot, ownParent, rootMount } from "./propagation.ts";

const failure = (message: string, path: string): Failure => ({ code: "ROOT_FAILED", message, path });

/** Descriptor of the directory on the host, before anything is mounted. */
const DIRECTORY = "root directory";
const COPY = "copy of the root's mount";

/**
 * A copy of the root file system's mount, attached over itself: pivot_root wants a mount point, and the container's mounts
 * must not show on the host. The directory is opened once; whatever its path means later, this is the root.
 */
export function prepareRoot(input: PlanInput): Step[] {
  const { config, rootfs } = input;
  const at = "root.path";
  const directory: Call = {
    call: "openat",
    args: [AT_FDCWD, rootfs, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC],
    why: "the root file system's directory, from here on by descriptor",
    at,
    save: DIRECTORY,
    fail: failure(`cannot open the root file system ${rootfs}`, rootfs),
  };
  if (!hasNamespace(config, "mount")) return [directory, keepAs(ROOT, DIRECTORY, at)];
  return [
    hostMounts(input),
    directory,
    ...ownParent(input, DIRECTORY),
    {
      call: "open_tree",
      args: [
        cell(DIRECTORY),
        "",
        OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH,
      ],
      why: "a copy of its mount, and of those below",
      at,
      save: COPY,
      fail: failure(`cannot copy the mount of ${rootfs}`, rootfs),
    },
    keepAs(ROOT, COPY, at),
    copiedMounts(input),
    {
      call: "move_mount",
      args: [
        cell(ROOT),
        "",
        cell(DIRECTORY),
        "",
        MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH,
      ],
      why: "the copy is a mount point of this namespace",
      at,
      fail: failure(`cannot attach the mount of ${rootfs}`, rootfs),
    },
    ...sweep("temporary"),
  ];
}

/** The container's root becomes `/`, and the host's file systems are gone from the namespace. */
export function enterRoot(input: PlanInput): Step[] {
  const { rootfs, noPivot } = input;
  const at = "root.path";
  const enter: Step = {
    call: "fchdir",
    args: [cell(ROOT)],
    why: "into the root file system",
    at,
    fail: failure(`cannot change into ${rootfs}`, rootfs),
  };
  if (!hasNamespace(input.config, "mount") || noPivot)
    return [
      enter,
      {
        call: "chroot",
        args: ["."],
        why: "it is `/` for this process",
        at,
        fail: failure(`cannot chroot to ${rootfs}`, rootfs),
      },
      ...rootMount(input),
    ];
  return [
    enter,
    ...openOldRoot(input),
    {
      call: "pivot_root",
      args: [".", "."],
      why: "it is `/` of the mount namespace; the old root lies on top of it",
      at,
      fail: {
        ...failure(`cannot pivot_root to ${rootfs}`, rootfs),
        hints: {
          EINVAL: "the host's root is a ramfs or the mount is shared: --no-pivot uses chroot instead",
        },
      },
    },
    ...cutOldRoot(input),
    {
      call: "umount2",
      args: [".", UMOUNT.MNT_DETACH],
      why: "the host's file systems leave the namespace",
      at,
      fail: failure("cannot unmount the host's root", "/"),
    },
    {
      call: "fchdir",
      args: [cell(ROOT)],
      why: "at the new root",
      at,
      fail: failure("cannot change to /", "/"),
    },
    ...rootMount(input),
  ];
}

/** Last of all mounts, when nothing needs to be written any more. */
export function readonlyRoot({ config }: PlanInput): Step[] {
  if (config.root?.readonly !== true) return [];
  return [
    {
      call: "mount_setattr",
      args: [
        cell(ROOT),
        "",
        AT_EMPTY_PATH,
        struct("mount_attr", { attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY }),
        32,
      ],
      why: "the root file system is read-only from here on",
      at: "root.readonly",
      fail: failure("cannot make the root file system read-only", "/"),
    },
  ];
}
