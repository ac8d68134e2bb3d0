/** Devices and links that every container has (config-linux.md, "Default Devices"; runtime-linux.md, "/dev symbolic links"). */
import { buffer, type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { MOVE_MOUNT, OPEN_TREE } from "../kernel/consts/mount.ts";
import { makedev, S_IF } from "../kernel/consts/stat.ts";
import { STATX_BASIC_STATS, STATX_SIZE } from "../kernel/structs.ts";
import { openOrMake, relative, sweep } from "./destination.ts";
import { hasNamespace, isNew, type PlanInput } from "./input.ts";

export interface Node {
  path: string;
  type: "c" | "b" | "p";
  major: number;
  minor: number;
  mode: number;
}

/** Numbers from the kernel's admin-guide/devices.txt. */
const DEFAULT_DEVICES: readonly (readonly [name: string, major: number, minor: number])[] = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
];

const LINKS: readonly (readonly [target: string, name: string])[] = [
  ["/proc/self/fd", "fd"],
  ["/proc/self/fd/0", "stdin"],
  ["/proc/self/fd/1", "stdout"],
  ["/proc/self/fd/2", "stderr"],
  ["pts/ptmx", "ptmx"],
];

/** A file that was there before must be the device that it stands for; TypeScript looks when the batch is done. */
export interface DeviceCheck {
  path: string;
  at: string | undefined;
  buffer: string;
  major: number;
  minor: number;
}

const DEV = "/dev";

/** Whether /dev is the container's own: with the host's bound there, the devices are as the host has them. */
function ownsDev({ config }: PlanInput): boolean {
  if (!hasNamespace(config, "mount")) return false;
  return !(config.mounts ?? []).some(
    (m) =>
      relative(m.destination) === "dev" &&
      (m.type === "bind" || m.options?.some((o) => o === "bind" || o === "rbind")),
  );
}

/** mknod(2) of a device takes CAP_MKNOD in the first user namespace. */
function mayMakeNodes({ config, host }: PlanInput): boolean {
  return !isNew(config, "user") && host.firstUserNamespace;
}

function failure(path: string): Failure {
  return { code: "DEVICE_FAILED", message: `cannot make ${path}`, path };
}

export function devices(input: PlanInput): Step[] {
  if (!ownsDev(input)) return [];
  const why = "where the devices are made";
  const open = openOrMake({
    path: DEV,
    kind: "directory",
    save: DEV,
    at: undefined,
    why,
    fail: failure(DEV),
  });
  return [
    open,
    ...DEFAULT_DEVICES.flatMap(([name, major, minor]) => defaultDevice(input, name, major, minor)),
    ...LINKS.map(
      ([target, name]): Call => ({
        call: "symlinkat",
        args: [target, cell(DEV), name],
        why: `${DEV}/${name}`,
        on: { EEXIST: "next" },
        fail: failure(`${DEV}/${name}`),
      }),
    ),
    ...sweep("temporary"),
  ];
}

/** What has to be true of the files that stood in the way of a default device. */
export function deviceChecks(input: PlanInput): DeviceCheck[] {
  if (!ownsDev(input)) return [];
  return DEFAULT_DEVICES.map(([name, major, minor]) => ({
    path: `${DEV}/${name}`,
    at: undefined,
    buffer: `statx ${DEV}/${name}`,
    major,
    minor,
  }));
}

function defaultDevice(input: PlanInput, name: string, major: number, minor: number): Step[] {
  const path = `${DEV}/${name}`;
  const look: Call = {
    call: "statx",
    args: [cell(DEV), name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, buffer(`statx ${path}`, STATX_SIZE)],
    why: `there is a ${path} already: is it the device?`,
    fail: failure(path),
  };
  return [
    {
      call: "mknodat",
      args: [cell(DEV), name, S_IF.S_IFCHR | 0o666, makedev(major, minor)],
      why: path,
      on: { EEXIST: [look], ...(mayMakeNodes(input) ? {} : { EPERM: bindFromHost(name) }) },
      fail: failure(path),
    },
  ];
}

/** In a user namespace mknod of a device is refused: the host's own is bound onto an empty file. */
function bindFromHost(name: string): Step[] {
  const path = `${DEV}/${name}`;
  const fail = failure(path);
  const file = `file ${path}`;
  const tree = `tree ${path}`;
  return [
    {
      call: "mknodat",
      args: [cell(DEV), name, S_IF.S_IFREG | 0o644, 0],
      why: "an empty file to bind the host's device to",
      on: { EEXIST: "next" },
      fail,
    },
    {
      call: "openat2",
      args: [
        cell(DEV),
        name,
        struct("open_how", { flags: O.O_PATH | O.O_CLOEXEC, resolve: RESOLVE.RESOLVE_NO_SYMLINKS }),
        24,
      ],
      why: "that file",
      save: file,
      fail,
    },
    {
      call: "open_tree",
      args: [AT_FDCWD, path, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC],
      why: "the host's device",
      save: tree,
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
      fail,
    },
  ];
}
