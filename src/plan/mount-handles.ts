/** What the runtime opens for mounts: sources that init couldn't reach, and user namespaces that ids are mapped by. */
import type { Mount } from "../../spec/mounts.ts";
import { CAPABILITIES } from "../kernel/consts/capability.ts";
import { flagsOf } from "./attach.ts";
import { checkedIdMap, idMapCell, type Mapped } from "./idmap.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { mountContext } from "./labels.ts";
import { needsMount2 } from "./legacy-mount.ts";
import { type ParsedOptions, parseOptions } from "./options.ts";
import { deviceName, isBind } from "./source.ts";

/** A copy of the mounts at a bind mount's source, attached nowhere. */
export interface TreeHandle {
  kind: "tree";
  cell: string;
  at: string;
  source: string;
  destination: string;
  /** With what is mounted below. */
  recursive: boolean;
  /** A symlink at the end is the source itself. */
  noFollow: boolean;
  /** Mounts under the copy are no peers of the host's. */
  cutOff: boolean;
  idMap?: { recursive: boolean; mapped: Mapped };
}

/** A user namespace that is nobody's: its mappings are what counts. */
export interface MappingHandle {
  kind: "mapping";
  cell: string;
  at: string;
  mapped: Mapped;
}

/** A file system on a device, mounted and attached nowhere. */
export interface DeviceHandle {
  kind: "device";
  cell: string;
  at: string;
  type: string;
  source: string;
  destination: string;
  /** What fsconfig(2) gets: flags first, then the options with their places. */
  flags: readonly string[];
  data: ParsedOptions["data"];
  /** MOUNT_ATTR_* for fsmount(2). */
  set: number;
}

export const treeCell = (at: string) => `${at} tree`;

/** Whether the runtime may copy mounts: CAP_SYS_ADMIN. */
function mayMount({ host }: PlanInput): boolean {
  return ((host.permitted >> BigInt(CAPABILITIES.indexOf("CAP_SYS_ADMIN"))) & 1n) === 1n;
}

/**
 * Root of a user namespace can't search a directory of mode 0700 that belongs to the host's root, and takes copies of the
 * host's mounts with locked flags. The runtime that may do so copies them outside, as runc does.
 */
export function opensOutside(input: PlanInput, mount: Mount, isMapped: boolean): boolean {
  return isBind(mount) && (isMapped || (hasNamespace(input.config, "user") && mayMount(input)));
}

/**
 * A block device is opened when its file system is made, and the device rules of the container's cgroup, where init is by
 * then, don't allow that: they are about the program. runc mounts before it sets them.
 */
export function isDevice({ host }: PlanInput, mount: Mount, options: ParsedOptions): boolean {
  return host.sources[deviceName(mount)] !== undefined && !needsMount2(mount, options);
}

function deviceHandle(input: PlanInput, mount: Mount, options: ParsedOptions, at: string): DeviceHandle {
  const { type = "none", source = "", destination } = mount;
  const data = [...options.data, ...mountContext(input, type, false)];
  const set = flagsOf(options);
  const cell = `${at} mount`;
  return { kind: "device", cell, at, type, source, destination, flags: options.flags, data, set };
}

type MountHandle = TreeHandle | MappingHandle | DeviceHandle;

function handleOf(input: PlanInput, mount: Mount, index: number): MountHandle[] {
  const at = `mounts[${index}]`;
  const options = parseOptions(mount.options ?? []);
  if (options.words.has("remount")) return [];
  const idMap = checkedIdMap(input.config, mount, options);
  if (opensOutside(input, mount, idMap !== undefined))
    return [
      {
        kind: "tree",
        cell: treeCell(at),
        at,
        source: mount.source ?? "",
        destination: mount.destination,
        recursive: options.bind === "recursive",
        noFollow: options.words.has("sourceNoFollow"),
        cutOff: !(input.config.linux?.rootfsPropagation ?? "").endsWith("shared"),
        ...(idMap === undefined ? {} : { idMap }),
      },
    ];
  return [
    ...(isDevice(input, mount, options) ? [deviceHandle(input, mount, options, at)] : []),
    ...(idMap === undefined
      ? []
      : [{ kind: "mapping" as const, cell: idMapCell(at), at, mapped: idMap.mapped }]),
  ];
}

export function mountHandles(input: PlanInput): MountHandle[] {
  return (input.config.mounts ?? []).flatMap((mount, i) => handleOf(input, mount, i));
}
