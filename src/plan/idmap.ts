/**
 * Idmapped mounts (config.md, "Linux mount options": idmap, ridmap; mount_setattr(2), MOUNT_ATTR_IDMAP). A file's owner
 * `containerID` on the file system is seen as `hostID` through the mount. The kernel takes the mapping as the descriptor of a
 * user namespace; the file system must be the caller's, so for a bind mount the runtime does all of it, outside.
 */
import type { IdMapping } from "../../spec/common.ts";
import type { Config } from "../../spec/config.ts";
import type { Mount } from "../../spec/mounts.ts";
import { type Call, cell, type Failure, words } from "../init/step.ts";
import { AT_EMPTY_PATH } from "../kernel/consts/fcntl.ts";
import { MOUNT_ATTR } from "../kernel/consts/mount.ts";
import type { ParsedOptions } from "./options.ts";

/** New mappings, or the path of a user namespace that has them. */
export type Mapped = { uidMappings: IdMapping[]; gidMappings: IdMapping[] } | { path: string };

export interface IdMap {
  /** With what is mounted below. */
  recursive: boolean;
  mapped: Mapped;
}

type Ids = "uids" | "gids";
const PROPERTY = { uids: "uidMappings", gids: "gidMappings" } as const;

/** Why a mount's mappings can't be had, where in the mount that is. */
export interface IdMapProblem {
  at: string;
  message: string;
}

const refused = (at: string, message: string): IdMapProblem => ({ at, message });
const isProblem = (value: object): value is IdMapProblem => "message" in value;

const TRIPLET = /^(@?)(\d+)-(\d+)-(\d+)$/;
const MOST_ID = 2 ** 32 - 1;

/** The host's id of an id in the container. */
function onHost(mappings: readonly IdMapping[], id: number, size: number): number | undefined {
  const range = mappings.find((m) => id >= m.containerID && id + size <= m.containerID + m.size);
  return range === undefined ? undefined : range.hostID + id - range.containerID;
}

/** `0-1000-10#10-2000-5`: first id, the id that it is seen as, how many; with `@`, the second is one of the container's. */
function triplets(config: Config, text: string, ids: Ids): IdMapping[] | string {
  const mappings: IdMapping[] = [];
  for (const part of text.split("#")) {
    const match = TRIPLET.exec(part);
    const [containerID, id, size] = (match ?? []).slice(2).map(Number);
    if (containerID === undefined || id === undefined || size === undefined || size === 0)
      return `"${part}" is no mapping: expected FIRST-SEEN_AS-COUNT`;
    if (Math.max(containerID, id) + size > MOST_ID) return `"${part}" exceeds the ids that there are`;
    const hostID = match?.[1] === "@" ? onHost(config.linux?.[PROPERTY[ids]] ?? [], id, size) : id;
    if (hostID === undefined) return `"${part}" isn't within one range of linux.${PROPERTY[ids]}`;
    mappings.push({ containerID, hostID, size });
  }
  return mappings;
}

/** crun's way: `idmap=uids=0-1000-10;gids=0-1000-10`. */
function fromText(config: Config, text: string, at: string): Mapped | IdMapProblem {
  const found: Partial<Record<Ids, IdMapping[]>> = {};
  for (const part of text.split(";")) {
    const equals = part.indexOf("=");
    const name = part.slice(0, equals);
    if (name !== "uids" && name !== "gids") return refused(at, `"${part}" is neither uids=… nor gids=…`);
    const mappings = triplets(config, part.slice(equals + 1), name);
    if (typeof mappings === "string") return refused(at, mappings);
    found[name] = mappings;
  }
  const { uids, gids } = found;
  if (uids === undefined || gids === undefined) return refused(at, "needs both uids=… and gids=…");
  return { uidMappings: uids, gidMappings: gids };
}

/** The container's own mappings: those of its config, or of the namespace that it joins. */
function ofContainer({ linux }: Config, at: string): Mapped | IdMapProblem {
  const user = linux?.namespaces?.find(({ type }) => type === "user");
  if (user?.path !== undefined) return { path: user.path };
  const { uidMappings = [], gidMappings = [] } = linux ?? {};
  if (user === undefined || uidMappings.length === 0 || gidMappings.length === 0)
    return refused(
      at,
      "needs uidMappings and gidMappings: the container has no user namespace whose mappings could be meant",
    );
  return { uidMappings, gidMappings };
}

/** How a mount's ids are mapped; undefined when they aren't. `mounts[3]` is an `at`. */
export function idMapOf(
  config: Config,
  mount: Mount,
  options: Pick<ParsedOptions, "idmap">,
  at: string,
): IdMap | IdMapProblem | undefined {
  const { uidMappings = [], gidMappings = [] } = mount;
  const { idmap } = options;
  if (idmap === undefined && uidMappings.length === 0) return undefined;
  const place = idmap === undefined ? at : `${at}.options[${idmap.index}]`;
  const asked =
    idmap?.text !== undefined
      ? fromText(config, idmap.text, place)
      : uidMappings.length > 0
        ? { uidMappings, gidMappings }
        : ofContainer(config, place);
  return isProblem(asked) ? asked : { recursive: idmap?.recursive ?? false, mapped: asked };
}

/** The same where the config has been checked. */
export function checkedIdMap(
  config: Config,
  mount: Mount,
  options: Pick<ParsedOptions, "idmap">,
): IdMap | undefined {
  const map = idMapOf(config, mount, options, "");
  return map === undefined || isProblem(map) ? undefined : map;
}

export const idMapCell = (at: string) => `${at} user namespace`;

/** What helps where the kernel doesn't map the ids of a mount. */
export const IDMAP_HINTS = {
  EINVAL:
    "this file system can't map ids: ext4, xfs and btrfs can, overlay since Linux 5.19, tmpfs since 6.3",
  EPERM: "only who may mount the file system maps its ids: root of the user namespace that it belongs to",
} as const;

/** Maps the ids of init's own file system, not attached yet. */
export function mapIds(mount: string, at: string, fail: Failure): Call {
  return {
    call: "mount_setattr",
    args: [cell(mount), "", AT_EMPTY_PATH, words(MOUNT_ATTR.MOUNT_ATTR_IDMAP, 0, 0, cell(idMapCell(at))), 32],
    why: "its ids are mapped",
    at,
    fail: { ...fail, message: `${fail.message}: cannot map its ids`, hints: IDMAP_HINTS },
  };
}
