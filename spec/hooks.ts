/** config.md, "POSIX-platform Hooks": programs run at points of the container's life, in the listed order. */
import * as v from "valibot";
import { integer, optional, text } from "./common.ts";

/** In the order in which they run. */
export const HOOK_NAMES = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
export type HookName = (typeof HOOK_NAMES)[number];

export const HookSchema = v.object({
  /** The program: absolute, in the runtime's mounts except for `startContainer`. */
  path: text,
  /** Its argv, with argv[0]. */
  args: optional.texts,
  /** Its environment, `NAME=value`. */
  env: optional.texts,
  /** Seconds after which the hook is ended and has failed. */
  timeout: v.exactOptional(integer(1, Number.MAX_SAFE_INTEGER)),
});
export type Hook = v.InferOutput<typeof HookSchema>;

const hooks = v.exactOptional(v.array(HookSchema));

export const HooksSchema = v.object({
  /** During create, in the runtime's namespaces; deprecated for the next three. */
  prestart: hooks,
  /** During create, in the runtime's namespaces, before the root is pivoted. */
  createRuntime: hooks,
  /** During create, in the container's namespaces, before the root is pivoted. */
  createContainer: hooks,
  /** During start, in the container's namespaces, just before the program. */
  startContainer: hooks,
  /** After the program was started, in the runtime's namespaces. */
  poststart: hooks,
  /** After the container was deleted, in the runtime's namespaces. */
  poststop: hooks,
});
export type Hooks = v.InferOutput<typeof HooksSchema>;
