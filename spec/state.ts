/** runtime.md, "State": what `state` prints and hooks read from their standard input. */
import * as v from "valibot";
import { integer, optional, text } from "./common.ts";

export const STATUSES = ["creating", "created", "running", "stopped"] as const;
export type Status = (typeof STATUSES)[number];

export const StateSchema = v.object({
  /** Version of the spec that the state complies with. */
  ociVersion: text,
  /** The container's id, unique on this host. */
  id: text,
  status: v.picklist(STATUSES),
  /** The container's process as the host sees it; needed while created or running. */
  pid: v.exactOptional(integer(0, Number.MAX_SAFE_INTEGER)),
  /** Absolute path of the bundle. */
  bundle: text,
  /** The config's. */
  annotations: optional.textMap,
});
export type State = v.InferOutput<typeof StateSchema>;
