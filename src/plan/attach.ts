/** What all mounts have in common: a detached mount's flags, its move to the destination's descriptor, its propagation. */
import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE } from "../kernel/consts/fcntl.ts";
import { MOUNT_ATTR__ATIME, MOVE_MOUNT } from "../kernel/consts/mount.ts";
import type { Attributes, ParsedOptions } from "./options.ts";

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
    ...setPropagation(from, options, at, fail),
  ];
}

/** One call for each option, in their order; of a mount that is attached. */
export function setPropagation(mount: string, options: ParsedOptions, at: string, fail: Failure): Call[] {
  return options.propagation.map(({ type, recursive }) => ({
    call: "mount_setattr",
    args: [
      cell(mount),
      "",
      AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
      struct("mount_attr", { propagation: type }),
      32,
    ],
    why: "its propagation",
    at: `${at}.options`,
    fail: { ...fail, message: `cannot set the propagation of ${fail.path}` },
  }));
}

/**
 * A mount of another user namespace keeps what that has set: clearing it is EPERM. Flags that no option names stay as the
 * source's mount has them, so only an option that takes one away can meet this.
 */
const LOCKED =
  "the mount comes from another user namespace, which has locked its flags: leave out what takes one away (rw, suid, dev, exec) or changes access times";

/** mount_setattr(2) of a mount's flags; nothing when nothing changes. */
export function setAttributes(
  mount: string,
  { set, clear }: Attributes,
  at: string,
  fail: Failure,
  tree = false,
): Call[] {
  const attr_clr = clear | ((set & MOUNT_ATTR__ATIME) !== 0 ? MOUNT_ATTR__ATIME : 0);
  if (set === 0 && attr_clr === 0) return [];
  return [
    {
      call: "mount_setattr",
      args: [
        cell(mount),
        "",
        AT_EMPTY_PATH | (tree ? AT_RECURSIVE : 0),
        struct("mount_attr", { attr_set: set, attr_clr }),
        32,
      ],
      why: tree ? "flags of the mount and of all below" : "its flags",
      at: `${at}.options`,
      fail: { ...fail, message: `${fail.message}: cannot change its flags`, hints: { EPERM: LOCKED } },
    },
  ];
}

/** First the flags of the top, then those of the whole tree, as runc does: of `ro` and `rrw` the second wins. */
export function setAllAttributes(mount: string, options: ParsedOptions, at: string, fail: Failure): Call[] {
  return [...setAttributes(mount, options, at, fail), ...setAttributes(mount, options.tree, at, fail, true)];
}

/** The flags of a mount that has none below it: those for the tree are its own. */
export function flagsOf({ set, tree }: Pick<ParsedOptions, "set" | "tree">): number {
  return (set & ~tree.clear) | tree.set;
}
