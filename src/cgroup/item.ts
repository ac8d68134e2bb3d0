/** What a limit becomes: values for control files, or the reason why there are none. Data only. */

/** One value for one control file of the container's cgroup. */
export interface Write {
  /** The kernel's name of the controller in the hierarchy that has it; `cgroup` for files of v2's core. */
  controller: string;
  version: 1 | 2;
  file: string;
  value: string;
  /** Place in config.json. */
  at: string;
  /** After init's birth only: nobody could be born under it. */
  late?: boolean;
}

/** A limit that can't be applied here. */
export interface Refusal {
  refused: string;
  at: string;
  hint?: string;
}

/** A limit that has no effect any more, on any kernel that is new enough. */
export interface Notice {
  notice: string;
  at: string;
}

export type Item = Write | Refusal | Notice;

/** What the translation has to know of the container's cgroup; asked only when it is needed. */
export interface Facts {
  /** Which hierarchy has the controller, by its name in each version (blkio is io in v2); undefined: none has. */
  where(v1: string, v2?: string): 1 | 2 | undefined;
  /** Why a controller that the host has isn't there for the container; undefined when the host has none. */
  why?(controller: string): string | undefined;
  /** What a control file holds, trimmed; undefined when it isn't there. */
  read(controller: string, file: string): string | undefined;
}

/** Engines written in Go write 0 for a value that nobody has set, where 0 has no meaning as a limit. */
export function isSet<T extends number | bigint>(value: T | undefined): value is T {
  return value !== undefined && value !== 0;
}

/** The error for a limit whose controller isn't there. */
export function lacking(at: string, controller: string, facts?: Facts): Refusal {
  const refused = facts?.why?.(controller);
  if (refused !== undefined) return { refused, at };
  return {
    refused: `this host has no cgroup controller "${controller}"`,
    at,
    hint: "it is not in the kernel, switched off (cgroup_disable=), or its hierarchy isn't mounted",
  };
}

/** The error for a limit of v1 that has no equivalent in v2 (config-linux.md, "Unified": the runtime must say so). */
export function onlyV1(at: string): Refusal {
  return { refused: "cgroup v2 has nothing like it", at, hint: "it exists on cgroup v1 only" };
}
