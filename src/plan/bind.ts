/** Bind mounts: open_tree(2) copies the mount at the source; its flags change on the copy before anyone can see it. */

import type { Mount } from "../../spec/mounts.ts";
import { buffer, type Call, cell, type Failure, type Step } from "../init/step.ts";
import { AT_FDCWD, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW } from "../kernel/consts/fcntl.ts";
import { OPEN_TREE } from "../kernel/consts/mount.ts";
import { basename, dirname } from "../path.ts";
import { attach, setAllAttributes } from "./attach.ts";
import { openOrMake, relative } from "./destination.ts";
import { checkedIdMap } from "./idmap.ts";
import type { PlanInput } from "./input.ts";
import { opensOutside, treeCell } from "./mount-handles.ts";
import type { ParsedOptions } from "./options.ts";
import { guardSteps, isProc } from "./proc-guard.ts";
import { destinationKind, destinationOf, isLink, linkBuffer, sourceName, targetOf } from "./source.ts";

export function bind(input: PlanInput, mount: Mount, options: ParsedOptions, at: string): Step[] {
  const { host } = input;
  const source = mount.source ?? "";
  const path = mount.destination;
  const kind = host.sources[sourceName(mount)];
  const fail: Failure = { code: "MOUNT_FAILED", message: `cannot bind ${source} to ${path}`, path };
  if (options.words.has("copySymlink") && isLink(kind)) return copyLink(targetOf(kind), path, at, fail);
  const tree = treeCell(at);
  const isMapped = checkedIdMap(input.config, mount, options) !== undefined;
  const destination = `${at} destination`;
  return [
    ...(opensOutside(input, mount, isMapped) ? [] : [openSource(source, options, at, tree, fail)]),
    ...setAllAttributes(tree, options, at, fail),
    openOrMake({
      path: destinationOf(input, mount),
      kind: destinationKind(kind),
      save: destination,
      at: `${at}.destination`,
      why: "the mount's destination",
      fail,
      noFollow: options.words.has("destinationNoFollow"),
      ...(isProc(mount) ? { noSymlinks: true } : {}),
    }),
    ...guardSteps(mount, at, destination, tree, fail),
    ...attach(tree, destination, options, at, fail),
  ];
}

function openSource(source: string, options: ParsedOptions, at: string, save: string, fail: Failure): Call {
  const recursive = options.bind === "recursive" ? AT_RECURSIVE : 0;
  const follow = options.words.has("sourceNoFollow") ? AT_SYMLINK_NOFOLLOW : 0;
  return {
    call: "open_tree",
    args: [AT_FDCWD, source, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | recursive | follow],
    why: recursive ? "a copy of the source's mount and of those below" : "a copy of the source's mount",
    at: `${at}.source`,
    save,
    fail: {
      ...fail,
      path: source,
      hints: {
        EINVAL:
          "the source's mount is unbindable, or partly covered by mounts of another user namespace, which rbind takes along",
      },
    },
  };
}

/** A path in the kernel is at most this long, its NUL included. */
const PATH_MAX = 4096;

/** The source is a symlink, and its copy is what the config asks for: nothing is mounted. */
function copyLink(target: string, path: string, at: string, fail: Failure): Step[] {
  const inside = relative(path);
  const name = basename(inside);
  const parent = `${at} parent`;
  return [
    openOrMake({
      path: dirname(inside),
      kind: "directory",
      save: parent,
      at: `${at}.destination`,
      why: "where the symlink will be",
      fail,
    }),
    {
      call: "symlinkat",
      args: [target, cell(parent), name],
      why: "a copy of the symlink that is the source",
      at,
      on: {
        EEXIST: [
          {
            call: "readlinkat",
            args: [cell(parent), name, buffer(linkBuffer(at), PATH_MAX), PATH_MAX - 1],
            why: "what is there has to be the same symlink",
            at: `${at}.destination`,
            fail: { ...fail, hints: { EINVAL: "it exists and isn't a symlink" } },
          },
        ],
      },
      fail,
    },
  ];
}
