/**
 * Descriptors that the runtime opens and init is born with: for what init can't reach by itself, or what has to be looked at
 * before it is used. Each facility names those that it wants; container/handles.ts opens them.
 */
import type { PlanInput } from "./input.ts";
import { namespaceHandles } from "./join.ts";
import { type DeviceHandle, type MappingHandle, mountHandles, type TreeHandle } from "./mount-handles.ts";
import type { NamespaceType } from "./namespaces.ts";
import { terminalHandles } from "./terminal.ts";

interface Common {
  /** Cell that holds the descriptor's number in init. */
  cell: string;
  /** Place in config.json. */
  at: string;
}

/** A namespace to join: a file that setns(2) takes. */
export interface NamespaceHandle extends Common {
  kind: "namespace";
  type: NamespaceType;
  path: string;
}

/** The connection to whoever waits for the master end of a terminal. */
export interface ConsoleHandle extends Common {
  kind: "console";
}

/** A descriptor that the runtime has already. */
export interface GivenHandle extends Omit<Common, "at"> {
  kind: "given";
  fd: number;
}

export type Handle =
  | NamespaceHandle
  | TreeHandle
  | MappingHandle
  | DeviceHandle
  | ConsoleHandle
  | GivenHandle;

/** Pure: what to open, in the order in which init gets it. */
export function planHandles(input: PlanInput): Handle[] {
  return [...namespaceHandles(input), ...mountHandles(input), ...terminalHandles(input)];
}
