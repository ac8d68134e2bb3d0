/** What every command needs: where states are kept, and whom to tell. */

import { KontenaError } from "../error.ts";
import { readText } from "../kernel/files.ts";
import { join, resolve } from "../path.ts";

export interface RuntimeOptions {
  /** Directory of the containers' states; the default depends on the user. */
  root?: string;
  cgroupManager?: "cgroupfs" | "systemd" | "disabled";
  /** Whether to act as for a user without root's rights, whatever the ids say. */
  rootless?: "true" | "false" | "auto";
  /** Whether this process may make more containers than one: what the next can use is left open. */
  makesMany?: boolean;
  /** Whether `start` and `delete` will be commands of an executable that can do without Bun for them. */
  hasFront?: boolean;
  warn(message: string, details?: { at?: string; hint?: string }): void;
  debug(message: string): void;
}

export interface Runtime {
  readonly root: string;
  readonly cgroupManager: "cgroupfs" | "systemd" | "disabled";
  readonly rootless: boolean;
  readonly makesMany: boolean;
  readonly hasFront: boolean;
  warn(message: string, details?: { at?: string; hint?: string }): void;
  debug(message: string): void;
}

/** `/run/kontena` for root; for others below XDG_RUNTIME_DIR, where an empty value counts as none (engines set one). */
function defaultRoot(rootless: boolean): string {
  if (!rootless) return "/run/kontena";
  const base = process.env["XDG_RUNTIME_DIR"];
  return join(base ? base : `/tmp/kontena-${process.geteuid?.() ?? 0}`, base ? "kontena" : "");
}

/**
 * Root of a user namespace is somebody else to the host, and may not write to its /run: rootless engines run their runtime
 * so, with the user's XDG_RUNTIME_DIR. Root in a container of its own has the name as well, and a /run.
 */
function isUserOnHost(): boolean {
  if (process.geteuid?.() !== 0) return true;
  const { XDG_RUNTIME_DIR, USER } = process.env;
  if (!XDG_RUNTIME_DIR || USER === "root") return false;
  return !readText("/proc/self/uid_map").trim().endsWith(" 4294967295");
}

export function openRuntime(options: RuntimeOptions): Runtime {
  if (options.root?.includes("\0"))
    throw new KontenaError("USAGE", `${JSON.stringify(options.root)} is no path of a directory`);
  const asked = options.rootless ?? "auto";
  const rootless = asked === "auto" ? process.geteuid?.() !== 0 : asked === "true";
  const defaultFor = () => defaultRoot(asked === "auto" ? isUserOnHost() : rootless);
  return {
    root: options.root === undefined ? defaultFor() : resolve(options.root),
    cgroupManager: options.cgroupManager ?? "cgroupfs",
    rootless,
    makesMany: options.makesMany ?? false,
    hasFront: options.hasFront ?? false,
    warn: options.warn,
    debug: options.debug,
  };
}
