/**
 * How mounts spread between host and container (config-linux.md, "Rootfs Mount Propagation"; mount_namespaces(7)).
 *
 * All of the namespace's copies of the host's mounts are slaves while the container is made, so that nothing it does shows on
 * the host. With `shared` they stay the host's peers: only so can a bind mount with the option `shared` be one too. Then no
 * mount is put onto one of them, and no unmount may reach the host.
 */

import type { Config } from "../../spec/config.ts";
import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, O } from "../kernel/consts/fcntl.ts";
import { MS } from "../kernel/consts/mount.ts";
import { namespaceAt, type PlanInput } from "./input.ts";
import { ROOT } from "./names.ts";

const AT = "linux.rootfsPropagation";
const TYPES = {
  private: MS.MS_PRIVATE,
  shared: MS.MS_SHARED,
  slave: MS.MS_SLAVE,
  unbindable: MS.MS_UNBINDABLE,
} as const;

/** What is asked for; a leading `r` is for the mounts below as well. */
function asked({ linux }: Config): { type: number; recursive: boolean } | undefined {
  const word = linux?.rootfsPropagation;
  if (word === undefined) return undefined;
  const recursive = word.startsWith("r");
  return { type: TYPES[(recursive ? word.slice(1) : word) as keyof typeof TYPES], recursive };
}

const isShared = ({ config }: PlanInput) => asked(config)?.type === MS.MS_SHARED;

const failure = (message: string, path = "/"): Failure => ({ code: "ROOT_FAILED", message, path });

function change(
  from: Call["args"][0],
  path: string,
  recursive: boolean,
  type: number,
): Pick<Call, "call" | "args"> {
  const flags = (path === "" ? AT_EMPTY_PATH : 0) | (recursive ? AT_RECURSIVE : 0);
  return {
    call: "mount_setattr",
    args: [from, path, flags, struct("mount_attr", { propagation: type }), 32],
  };
}

/** The first step in a new mount namespace: how its copies of the host's mounts go on with those. */
export function hostMounts(input: PlanInput): Step {
  if (isShared(input))
    return {
      ...change(AT_FDCWD, "/", false, MS.MS_SHARED),
      why: "the host's mounts stay its peers, for bind mounts that are to be shared with it",
      at: AT,
      fail: failure("cannot share the container's mounts with the host's"),
    };
  return {
    ...change(AT_FDCWD, "/", true, MS.MS_SLAVE),
    why: "mounts made here don't appear on the host; the host's still appear here until pivot_root",
    at: namespaceAt(input.config, "mount"),
    fail: failure("cannot cut the container's mounts off from the host's"),
  };
}

const PARENT = "mount of the root directory";

/** The mount that the root is attached to is made private, or the host would see that. It is found by going up: `/` is one. */
export function ownParent(input: PlanInput, directory: string): Step[] {
  if (!isShared(input)) return [];
  const fail = failure("cannot cut the root's mount off from the host's", input.rootfs);
  const why = "the mount that the root will be attached to: that mustn't show on the host";
  const cut = { ...change(cell(PARENT), "", false, MS.MS_PRIVATE), why, at: AT, fail };
  const open = (from: string, path: string): Call => ({
    call: "openat",
    args: [cell(from), path, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC],
    why: path === "." ? "begin at the root directory" : "no mount begins here: go up",
    at: AT,
    save: PARENT,
    fail,
  });
  return [
    open(directory, "."),
    { block: [{ ...cut, on: { EINVAL: [open(PARENT, ".."), { ...cut, on: { EINVAL: "restart" } }] } }] },
  ];
}

/** The root's own mounts before they are attached. pivot_root takes no shared one. */
export function copiedMounts({ config, rootfs }: PlanInput): Step {
  const fail = (message: string) => failure(message, rootfs);
  if (asked(config)?.type === MS.MS_SLAVE)
    return {
      ...change(cell(ROOT), "", true, MS.MS_SLAVE),
      why: "what the host mounts below the root directory appears in the container",
      at: AT,
      fail: fail(`cannot make the mount of ${rootfs} a slave`),
    };
  return {
    ...change(cell(ROOT), "", true, MS.MS_PRIVATE),
    why: "pivot_root needs a private mount",
    at: "root.path",
    fail: fail(`cannot make the mount of ${rootfs} private`),
  };
}

const OLD_ROOT = "old root";

/** Before pivot_root: the old root, for {@link cutOldRoot}. */
export function openOldRoot(input: PlanInput): Step[] {
  if (!isShared(input)) return [];
  return [
    {
      call: "openat",
      args: [AT_FDCWD, "/", O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC],
      why: "the host's root, to be cut off",
      at: AT,
      save: OLD_ROOT,
      fail: failure("cannot open the host's root"),
    },
  ];
}

/** Between pivot_root and the unmounting of the old root: peers of the host's mounts would take those with them. */
export function cutOldRoot(input: PlanInput): Step[] {
  if (!isShared(input)) return [];
  return [
    {
      ...change(cell(OLD_ROOT), "", true, MS.MS_SLAVE),
      why: "unmounting it doesn't reach the host",
      at: AT,
      fail: failure("cannot cut the host's mounts off"),
    },
  ];
}

/** Last: the root's propagation for what is mounted in the container later. Private and slave it is already. */
export function rootMount({ config }: PlanInput): Step[] {
  const propagation = asked(config);
  if (propagation === undefined) return [];
  const { type, recursive } = propagation;
  if (type === MS.MS_PRIVATE || type === MS.MS_SLAVE) return [];
  return [
    {
      ...change(cell(ROOT), "", recursive, type),
      why:
        type === MS.MS_SHARED
          ? "a peer group of its own: what is mounted below the root appears in its copies"
          : "the root can't be bound anywhere",
      at: AT,
      fail: failure("cannot set the root's propagation"),
    },
  ];
}
