/**
 * Who writes the id mappings of a new user namespace (user_namespaces(7)): the runtime, where the kernel takes them from it,
 * else the set-user-ID programs of the shadow suite, which know what ranges the administrator has given to whom.
 */
import type { IdMapping } from "../../spec/common.ts";
import { isNew, type ProcessInput } from "./input.ts";

export type MappingsName = "uidMappings" | "gidMappings";
export const MAPPINGS = ["uidMappings", "gidMappings"] as const satisfies readonly MappingsName[];

/** linux/capability.h: CAP_SETUID and CAP_SETGID, a bit each. The list of all is too long a load for create. */
const CAPABILITY = { uidMappings: 1n << 7n, gidMappings: 1n << 6n } as const;

function isCapable({ host }: ProcessInput, name: MappingsName): boolean {
  return (host.permitted & CAPABILITY[name]) !== 0n;
}

/** The one mapping that takes no rights: an id of the container that stands for the caller's own. */
function isOwn({ host }: ProcessInput, name: MappingsName, mappings: readonly IdMapping[]): boolean {
  const [only] = mappings;
  const own = name === "uidMappings" ? host.uid : host.gid;
  return mappings.length === 1 && only?.size === 1 && only.hostID === own;
}

/** Whether newuidmap(1) or newgidmap(1) has to write these. Root asks nobody; the kernel tells it what it may. */
export function takesHelper(input: ProcessInput, name: MappingsName): boolean {
  if (input.host.uid === 0 || isCapable(input, name)) return false;
  return !isOwn(input, name, input.config.linux?.[name] ?? []);
}

/**
 * Whether setgroups(2) is denied in the container for good. Without CAP_SETGID the kernel takes a mapping of one's own gid
 * only from who has given it up: a group may be there to keep somebody out (CVE-2014-8989).
 */
export function groupsDenied(input: ProcessInput): boolean {
  if (!isNew(input.config, "user") || isCapable(input, "gidMappings")) return false;
  return isOwn(input, "gidMappings", input.config.linux?.gidMappings ?? []);
}

/** The host's id of an id in the container; undefined for one that isn't mapped. */
export function hostIdOf(mappings: readonly IdMapping[], id: number): number | undefined {
  const range = mappings.find((m) => id >= m.containerID && id < m.containerID + m.size);
  return range === undefined ? undefined : range.hostID + id - range.containerID;
}
