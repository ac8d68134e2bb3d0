/**
 * Kits (init/kit.ts) by their shape: in this process, and on disk beside the plans, for the next command. A config that was never
 * seen has a shape that was, as a rule; and a kit takes assembler and encoder, which is a tenth of what such a config costs.
 *
 *     <root>/@plans/kit-BUILD-SHAPE   the kit's three parts, and the rest as JSON
 */
import type { Kit, Shape } from "../init/loader.ts";
import { mkdirSync } from "../kernel/fs.ts";
import { join } from "../path.ts";
import {
  buildOf,
  KIT,
  type KitHead,
  type KitParts,
  keep,
  putTogether,
  readKept,
  STORE,
  takeApart,
} from "./plan-store.ts";
import type { Runtime } from "./runtime.ts";
import { joinSections, splitSections } from "./sections.ts";

/** The interpreter, the loader's list, init's file, the head. */
const SECTIONS = 4;

const known = new Map<string, Kit>();
/** Made here, and not on disk yet. */
const made = new Map<string, Kit>();

const nameOf = ({ namespaces, lastCap, preserved, handed }: Shape) =>
  `${KIT}${buildOf() ?? ""}-${[namespaces.toString(16), lastCap, preserved, handed].join("-")}`;

/** The kit for a shape. */
export function kitOf(runtime: Runtime, shape: Shape): Kit {
  const name = nameOf(shape);
  let kit = known.get(name) ?? readKit(runtime, name);
  if (kit === undefined) {
    const { makeKit } = require("../init/kit.ts") as typeof import("../init/kit.ts");
    kit = makeKit(shape);
    made.set(name, kit);
  }
  known.set(name, kit);
  return kit;
}

/** It is code that this process runs: from a file that is this user's, or root's, and nobody else's. */
function readKit(runtime: Runtime, name: string): Kit | undefined {
  if (buildOf() === undefined) return undefined;
  try {
    const stored = readKept(runtime, name);
    const sections = stored && splitSections(stored, SECTIONS);
    if (sections === undefined) return undefined;
    const [code, list, init, json] = sections as [...KitParts, Uint8Array];
    return putTogether([code, list, init], JSON.parse(new TextDecoder().decode(json)) as KitHead);
  } catch (error) {
    runtime.debug(`a kept kit can't be used: ${(error as Error).message}`);
    return undefined;
  }
}

/** Keeps what was made here; the root's directory is there by now. Never a reason to fail. */
export function keepKits(runtime: Runtime): void {
  if (made.size === 0 || buildOf() === undefined) return;
  try {
    const directory = join(runtime.root, STORE);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const [name, kit] of made) {
      const { parts, head } = takeApart(kit);
      keep(join(directory, name), joinSections([...parts, new TextEncoder().encode(JSON.stringify(head))]));
    }
  } catch (error) {
    runtime.debug(`a kit is not kept: ${(error as Error).message}`);
  }
  made.clear();
}
