/** Names of units, and where systemd puts them (systemd.unit(5), systemd.slice(5)). */
import { KontenaError } from "../../error.ts";
import type { Instance } from "./manager.ts";

export interface ScopeName {
  slice: string;
  unit: string;
  /** Path of the unit's cgroup below that of the manager. */
  path: string;
}

const MOST = 255;
/** What a unit's name may consist of. */
const VALID = /^[\w:.\\-]+$/;

function refused(cgroupsPath: string, why: string): KontenaError {
  return new KontenaError("CONFIG_INVALID", `"${cgroupsPath}": ${why}`, {
    at: "linux.cgroupsPath",
    hint: 'with the systemd manager it is "slice:prefix:name", for example "system.slice:kontena:web1"',
  });
}

/** A container's id may hold what a unit's name may not. */
function escapeName(id: string): string {
  return id.replace(/[^\w:.-]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** `a-b.slice` is in `a.slice`, which is in the root slice. Undefined for what is no slice's name. */
export function slicePath(slice: string): string | undefined {
  if (slice === "-.slice") return "";
  const name = slice.slice(0, -".slice".length);
  if (!slice.endsWith(".slice") || name === "" || !VALID.test(name)) return undefined;
  const parts = name.split("-");
  if (parts.includes("")) return undefined;
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join("-")}.slice`).join("");
}

/**
 * The scope of a container: of `linux.cgroupsPath` as `slice:prefix:name`, the form that runc, crun and the engines use,
 * where an empty prefix leaves the name alone. Without it, system.slice or the user's user.slice.
 * @throws KontenaError CONFIG_INVALID
 */
export function scopeName(cgroupsPath: string | undefined, id: string, instance: Instance): ScopeName {
  const usual = instance === "system" ? "system.slice" : "user.slice";
  const given = cgroupsPath || `${usual}:kontena:${escapeName(id)}`;
  const parts = given.split(":");
  const [slice = "", prefix = "", name = ""] = parts;
  if (parts.length !== 3 || name === "") throw refused(given, "isn't a slice, a prefix and a name");
  if (name.endsWith(".slice")) throw refused(given, "a container needs a scope, which a slice is not");
  const unit = `${prefix === "" ? "" : `${prefix}-`}${name}.scope`;
  if (!VALID.test(unit) || unit.length > MOST) throw refused(given, `"${unit}" is no name of a unit`);
  const directory = slicePath(slice || usual);
  if (directory === undefined) throw refused(given, `"${slice}" is no name of a slice`);
  return { slice: slice || usual, unit, path: `${directory}/${unit}` };
}
