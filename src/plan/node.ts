/** One device node in the container: made by mknod(2), or the host's own bound where that is refused. */

import { buffer, type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { MOVE_MOUNT, OPEN_TREE } from "../kernel/consts/mount.ts";
import { makedev, S_IF } from "../kernel/consts/stat.ts";
import { STATX_BASIC_STATS, STATX_SIZE } from "../kernel/structs.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { FILE_TYPE } from "./names.ts";

/** A device as config-linux.md has it, the defaults filled in. */
export interface DeviceNode {
  /** Inside the container. */
  path: string;
  /** Where the config asks for it; none for a default device. */
  at: string | undefined;
  type: "c" | "b" | "p";
  major: number;
  minor: number;
  /** What the config says of permissions and owner, and nothing where it says nothing. */
  mode?: number;
  uid?: number;
  gid?: number;
}

/** devices.txt's usual: whether a device may be used is a matter of the cgroup. */
const DEFAULT_MODE = 0o666;

const CAP_MKNOD = 27n;

/** Whether mknod(2) of a device may work: it takes CAP_MKNOD in the first user namespace. A FIFO is for everybody. */
export function isMade({ config, host }: PlanInput, { type }: Pick<DeviceNode, "type">): boolean {
  if (type === "p") return true;
  const capable = ((host.permitted >> CAP_MKNOD) & 1n) === 1n;
  return capable && !hasNamespace(config, "user") && host.firstUserNamespace;
}

export function nodeFailure({ path }: Pick<DeviceNode, "path">): Failure {
  return { code: "DEVICE_FAILED", message: `cannot make ${path}`, path };
}

/** Names of the buffers with what stood at the path before, and with what stands there at the end. */
export function nodeBuffers({ path, at }: Pick<DeviceNode, "path" | "at">): {
  before: string;
  after: string;
} {
  const of = at ?? path;
  return { before: `statx ${of}`, after: `statx of what is bound to ${of}` };
}

/** statx of the name itself, whatever is mounted there, without following a link. */
export function look(node: DeviceNode, directory: string, name: string, into: string, why: string): Call {
  return {
    call: "statx",
    args: [cell(directory), name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, buffer(into, STATX_SIZE)],
    why,
    at: node.at,
    fail: nodeFailure(node),
  };
}

/** The node `name` in the open directory. What was there before is looked at, and judged when the batch is done. */
export function makeNode(input: PlanInput, node: DeviceNode, directory: string, name: string): Step[] {
  const { path, at } = node;
  const { before } = nodeBuffers(node);
  const isThere = look(node, directory, name, before, `there is a ${path} already: is it the device?`);
  // The umask is 0 by now, so the mode is as it is given.
  const mode = FILE_TYPE[node.type] | (node.mode ?? DEFAULT_MODE);
  const number = node.type === "p" ? 0 : makedev(node.major, node.minor);
  const make: Call = {
    call: "mknodat",
    args: [cell(directory), name, mode, number],
    why: path,
    at,
    fail: nodeFailure(node),
  };
  if (!isMade(input, node)) return [{ block: makeOrBind(node, directory, name, make, isThere) }];
  const owner = changeOwner(node, directory, name);
  if (owner.length === 0) return [{ ...make, on: { EEXIST: [isThere] } }];
  return [{ block: [{ ...make, on: { EEXIST: [{ ...isThere, after: "leave" }] } }, ...owner] }];
}

/**
 * By descriptor: should the name have become a link meanwhile, nothing else gets the owner. Root is said as well: in a
 * directory with the set-group-ID bit the new node has that one's group.
 */
function changeOwner(node: DeviceNode, directory: string, name: string): Step[] {
  const { path, at, uid = 0, gid = 0 } = node;
  if (at === undefined) return [];
  const opened = `node ${at ?? path}`;
  return [
    openName(node, directory, name, opened, "the new node"),
    {
      call: "fchownat",
      args: [cell(opened), "", uid, gid, AT_EMPTY_PATH],
      why: `it belongs to ${uid}:${gid}`,
      at,
      fail: {
        ...nodeFailure(node),
        message: `cannot give ${path} the owner ${uid}:${gid}`,
        hints: { EINVAL: "the id isn't mapped in the user namespace" },
      },
    },
  ];
}

function openName(node: DeviceNode, directory: string, name: string, save: string, why: string): Call {
  return {
    call: "openat2",
    args: [
      cell(directory),
      name,
      struct("open_how", { flags: O.O_PATH | O.O_CLOEXEC, resolve: RESOLVE.RESOLVE_NO_SYMLINKS }),
      24,
    ],
    why,
    at: node.at,
    save,
    fail: { ...nodeFailure(node), hints: { ELOOP: "a symlink is in its place" } },
  };
}

/**
 * The host's device of the same path is bound over an empty file, which may be left of an earlier run. Whether the host's is
 * the one that is meant shows when it is in place.
 */
function makeOrBind(node: DeviceNode, directory: string, name: string, make: Call, isThere: Call): Step[] {
  const { path, at } = node;
  const fail = nodeFailure(node);
  const of = at ?? path;
  const file = `file ${of}`;
  const tree = `tree ${of}`;
  const result = look(node, directory, name, nodeBuffers(node).after, "is it the device?");
  const empty: Call = {
    call: "mknodat",
    args: [cell(directory), name, S_IF.S_IFREG | 0o644, 0],
    why: "an empty file to bind the host's device to",
    at,
    fail,
  };
  return [
    { ...make, after: "leave", on: { EEXIST: [isThere], EPERM: [empty] } },
    openName(node, directory, name, file, "that file"),
    {
      call: "open_tree",
      args: [AT_FDCWD, path, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC],
      why: "the host's device",
      at,
      save: tree,
      on: { ENOENT: [{ ...result, after: "leave" }] },
      fail,
    },
    {
      call: "move_mount",
      args: [
        cell(tree),
        "",
        cell(file),
        "",
        MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH,
      ],
      why: `${path} is the host's`,
      at,
      fail: { ...fail, hints: { ENOTDIR: "a directory is in its place" } },
    },
    result,
  ];
}
