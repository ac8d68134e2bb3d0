/** What the runtime opens for mounts: sources that init couldn't reach, and user namespaces that ids are mapped by. */
import type { Mount } from "../../spec/mounts.ts";
import { CAPABILITIES } from "../kernel/consts/capability.ts";
import { checkedIdMap, idMapCell, type Mapped } from "./idmap.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { parseOptions } from "./options.ts";
import { isBind } from "./source.ts";

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

function handleOf(input: PlanInput, mount: Mount, index: number): (TreeHandle | MappingHandle)[] {
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
  return idMap === undefined ? [] : [{ kind: "mapping", cell: idMapCell(at), at, mapped: idMap.mapped }];
}

export function mountHandles(input: PlanInput): (TreeHandle | MappingHandle)[] {
  return (input.config.mounts ?? []).flatMap((mount, i) => handleOf(input, mount, i));
}
