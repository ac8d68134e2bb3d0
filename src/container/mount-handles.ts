/** Opens what mounts need of the runtime (plan/mount-handles.ts): copies of trees, and user namespaces with mappings. */

import type { IdMapping } from "../../spec/common.ts";
import { KontenaError } from "../error.ts";
import { inNewUserNamespace } from "../init/holder.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, O } from "../kernel/consts/fcntl.ts";
import {
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR,
  MS,
  OPEN_TREE,
} from "../kernel/consts/mount.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { codeOf } from "../kernel/files.ts";
import { closeSync, writeFileSync } from "../kernel/fs.ts";
import { rawSyscall, type SyscallArg, syscall } from "../kernel/libc.ts";
import { encodeStruct, type MountAttr } from "../kernel/structs.ts";
import type { SyscallName } from "../kernel/syscalls.ts";
import { IDMAP_HINTS, type Mapped } from "../plan/idmap.ts";
import type { DeviceHandle, MappingHandle, TreeHandle } from "../plan/mount-handles.ts";

function failed(
  { source, destination }: TreeHandle,
  what: string,
  errno: string,
  at: string,
  hint?: string,
): KontenaError {
  return new KontenaError(
    "MOUNT_FAILED",
    `cannot bind ${source} to ${destination}${what}: ${errnoText(errno)}`,
    { at, errno, path: source, ...(hint === undefined ? {} : { hint }) },
  );
}

/** @throws KontenaError MOUNT_FAILED, ID_MAPPING_FAILED, NAMESPACE_FAILED */
export function openTree(handle: TreeHandle): number {
  const { source, recursive, noFollow, cutOff, idMap, at } = handle;
  const flags =
    OPEN_TREE.OPEN_TREE_CLONE |
    OPEN_TREE.OPEN_TREE_CLOEXEC |
    (recursive ? AT_RECURSIVE : 0) |
    (noFollow ? AT_SYMLINK_NOFOLLOW : 0);
  const tree = rawSyscall("open_tree", AT_FDCWD, source, flags);
  if (tree < 0) throw failed(handle, "", errnoName(-tree), `${at}.source`);
  try {
    if (cutOff) change(handle, tree, AT_RECURSIVE, { propagation: MS.MS_SLAVE }, "");
    if (idMap !== undefined) mapTree(handle, tree, idMap.mapped, idMap.recursive);
    return tree;
  } catch (error) {
    closeSync(tree);
    throw error;
  }
}

function change(handle: TreeHandle, tree: number, flags: number, attr: MountAttr, what: string): void {
  const bytes = encodeStruct("mount_attr", attr);
  const result = rawSyscall("mount_setattr", tree, "", AT_EMPTY_PATH | flags, bytes, bytes.length);
  if (result >= 0) return;
  const errno = errnoName(-result);
  const hint = attr.userns_fd === undefined ? undefined : IDMAP_HINTS[errno as keyof typeof IDMAP_HINTS];
  throw failed(handle, what, errno, handle.at, hint);
}

function mapTree(handle: TreeHandle, tree: number, mapped: Mapped, recursive: boolean): void {
  const userns_fd = openMapping({ kind: "mapping", cell: "", at: handle.at, mapped });
  try {
    const attr = { attr_set: MOUNT_ATTR.MOUNT_ATTR_IDMAP, userns_fd };
    change(handle, tree, recursive ? AT_RECURSIVE : 0, attr, ": cannot map its ids");
  } finally {
    closeSync(userns_fd);
  }
}

const LOG_SIZE = 480;

/** The kernel's own words on what it has refused. */
function messageOf(context: number): string {
  const log = new Uint8Array(LOG_SIZE);
  const length = rawSyscall("read", context, log, log.length);
  return length > 0
    ? new TextDecoder()
        .decode(log.subarray(0, length))
        .trim()
        .replace(/^[a-z] /, "")
    : "";
}

/** fsopen, a fsconfig for each option, create, fsmount: as init does it for other file systems. @throws KontenaError */
export function openDevice({ type, source, destination, flags, data, set, at }: DeviceHandle): number {
  let context = -1;
  const call = (where: string, name: SyscallName, ...args: SyscallArg[]): number => {
    const result = rawSyscall(name, ...args);
    if (result >= 0) return result;
    const errno = errnoName(-result);
    const said = context < 0 ? "" : messageOf(context);
    throw new KontenaError("MOUNT_FAILED", `cannot mount "${type}" on ${destination}: ${errnoText(errno)}`, {
      ...{ at: where, syscall: name, errno, path: destination },
      ...(said === "" ? {} : { hint: `the kernel said: ${said}` }),
    });
  };
  const config = (where: string, command: number, key?: string, value?: string) =>
    call(where, "fsconfig", context, command, key ?? 0, value ?? 0, 0);
  try {
    context = call(`${at}.type`, "fsopen", type, FSOPEN_CLOEXEC);
    config(`${at}.source`, FSCONFIG.FSCONFIG_SET_STRING, "source", source);
    for (const flag of flags) config(`${at}.options`, FSCONFIG.FSCONFIG_SET_FLAG, flag);
    for (const { key, value, index } of data) {
      const where = index === undefined ? at : `${at}.options[${index}]`;
      const command = value === undefined ? FSCONFIG.FSCONFIG_SET_FLAG : FSCONFIG.FSCONFIG_SET_STRING;
      config(where, command, key, value);
    }
    config(at, FSCONFIG.FSCONFIG_CMD_CREATE);
    return call(`${at}.options`, "fsmount", context, FSMOUNT_CLOEXEC, set);
  } finally {
    if (context >= 0) closeSync(context);
  }
}

const open = (path: string): number => syscall("openat", AT_FDCWD, path, O.O_RDONLY | O.O_CLOEXEC, 0);

/** The descriptor of a user namespace with these mappings. */
export function openMapping({ mapped, at }: MappingHandle): number {
  if ("path" in mapped) return open(mapped.path);
  return inNewUserNamespace((pid) => {
    write(pid, "uid_map", mapped.uidMappings, at);
    write(pid, "gid_map", mapped.gidMappings, at);
    return open(`/proc/${pid}/ns/user`);
  });
}

function write(pid: number, file: string, mappings: readonly IdMapping[], at: string): void {
  const lines = mappings.map((m) => `${m.containerID} ${m.hostID} ${m.size}\n`).join("");
  try {
    writeFileSync(`/proc/${pid}/${file}`, lines);
  } catch (error) {
    const errno = codeOf(error);
    throw new KontenaError(
      "ID_MAPPING_FAILED",
      `cannot map the ids of a mount, ${file}: ${errnoText(errno)}`,
      {
        at,
        errno,
        hint:
          errno === "EINVAL"
            ? "ranges may not overlap, and 340 is the most"
            : "mapping ids of the host takes CAP_SETUID and CAP_SETGID there",
      },
    );
  }
}
