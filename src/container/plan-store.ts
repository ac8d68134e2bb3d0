/**
 * Plans kept on disk, beside the states, for the next command: the last few that `run` made.
 *
 *     <root>/@plans/NAME         sections one after the other, then their sizes: the plan's bytes, the text that it is the
 *                                plan of, what start has to know, the kit's three parts, and the rest as JSON
 *     <root>/@plans/NAME.calls   the calls of all ops, which only an error needs
 *     <root>/@plans/seen         the names of the last plans that weren't kept
 *
 * A plan is kept when it is made for the second time: most configs that an engine writes are used once.
 *
 * NAME is a quick hash of the text. It only finds the file: the text itself decides, to the byte.
 */

import { mayRound, parseJson, stringifyJson } from "../../spec/json.ts";
import type { Asked } from "../cgroup/asked.ts";
import type { Kit } from "../init/loader.ts";
import { readOwnBytes } from "../kernel/files.ts";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "../kernel/fs.ts";
import { basename, join } from "../path.ts";
import type { Remembered } from "./compile.ts";
import { isRoot } from "./directory.ts";
import type { KnownCalls } from "./failure.ts";
import type { Runtime } from "./runtime.ts";
import { joinSections, splitSections } from "./sections.ts";

/** The sources that a build was made from; there only in the compiled program. */
declare const KONTENA_BUILD: string | undefined;
export const buildOf = () => (typeof KONTENA_BUILD === "undefined" ? undefined : KONTENA_BUILD);

/** `@` is in no id: this is no container. */
export const STORE = "@plans";
/** How the names of kits begin (kit-store.ts). */
export const KIT = "kit-";
const MOST_STORED = 16;
/** 64 bits, in hexadecimal. */
const PLAN_NAME = /^[0-9a-f]{16}$/;
const CALLS = ".calls";
/** Of a file that is being written. */
const NEW = ".new";
const SEEN = "seen";
/** How many names are remembered. */
const MOST_SEEN = 64;

const SECTIONS = 7;

/** The plan's bytes, its text, start's calls, the kit's interpreter, list and init, the head. */
type Sections = [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];

/** What is said of a stored plan. */
interface Head extends Omit<Remembered, "encoded" | "kit" | "known" | "startCalls" | "asked"> {
  asked?: Asked;
  /** The same in JSON of its own, when it has integers that JSON.parse would round. */
  askedText?: string;
  parkedSize: number;
  firstOp: number;
  cells: [string, number][];
  buffers: [string, number][];
  kit: KitHead;
}

/** What of a kit isn't bytes. */
export type KitHead = Pick<Kit, "toldAt"> & Pick<Kit["loader"], "firstOp" | "cells">;

/** The interpreter, the loader's list, init's file. */
export type KitParts = [code: Uint8Array, list: Uint8Array, init: Uint8Array];

export function takeApart({ code, loader: { bytes, firstOp, cells }, init, toldAt }: Kit): {
  parts: KitParts;
  head: KitHead;
} {
  return { parts: [code, bytes, init], head: { firstOp, cells, toldAt } };
}

export function putTogether([code, bytes, init]: KitParts, { firstOp, cells, toldAt }: KitHead): Kit {
  return { code, loader: { bytes, firstOp, cells }, init, toldAt };
}

/** Where the plan of a text would be. */
export function planPath(runtime: Pick<Runtime, "root">, text: string): string {
  return join(runtime.root, STORE, Bun.hash(text).toString(16).padStart(16, "0"));
}

/** Keeps the plan of `key`; one of sources that change as one works on them is no use to the next command. */
export function keepPlan(runtime: Runtime, key: string, plan: Remembered): void {
  if (buildOf() === undefined) return;
  const text = new TextEncoder().encode(key);
  const path = planPath(runtime, key);
  const directory = join(runtime.root, STORE);
  const { encoded, kit, known: _, startCalls, asked, ...rest } = plan;
  const { bytes, parkedSize, firstOp, cells, buffers } = encoded;
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!wasSeen(directory, basename(path))) return;
    makeRoom(directory);
    const calls = Object.fromEntries(
      encoded.ops.map(({ address, call: { call, at, fail } }) => [address, { call, at, fail }]),
    );
    const askedText = stringifyJson(asked);
    const { parts, head: kitHead } = takeApart(kit);
    const head: Head = {
      ...rest,
      ...(mayRound(askedText) ? { askedText } : { asked }),
      ...{ parkedSize, firstOp, cells: [...cells], buffers: [...buffers] },
      kit: kitHead,
    };
    // The calls first: a plan that is there is whole.
    keep(`${path}${CALLS}`, JSON.stringify(calls));
    keep(
      path,
      joinSections([bytes, text, startCalls(), ...parts, new TextEncoder().encode(JSON.stringify(head))]),
    );
  } catch (error) {
    runtime.debug(`the plan is not kept: ${(error as Error).message}`);
  }
}

/** Whether this plan was to be kept before; from now on it was. */
function wasSeen(directory: string, name: string): boolean {
  const path = join(directory, SEEN);
  const names = textOf(readOwnBytes(path)).split("\n");
  if (names.includes(name)) return true;
  keep(path, [...names.slice(1 - MOST_SEEN), name].join("\n"));
  return false;
}

export function keep(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}${NEW}`;
  writeFileSync(temporary, content, { mode: 0o600 });
  renameSync(temporary, path);
}

/** The oldest plan makes room for one more, both its files; what a killed process has left goes too. */
function makeRoom(directory: string): void {
  const names = readdirSync(directory);
  const plans = names.filter((name) => PLAN_NAME.test(name));
  const age = (name: string) => statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const old = plans
    .map((name) => ({ name, time: age(name) }))
    .sort((one, other) => one.time - other.time)
    .slice(0, Math.max(0, plans.length - MOST_STORED + 1))
    .map(({ name }) => name);
  const kept = new Set(plans.filter((name) => !old.includes(name)));
  const ownKits = `${KIT}${buildOf() ?? ""}-`;
  const stays = (name: string) =>
    name === SEEN || kept.has(name.replace(CALLS, "")) || (name.startsWith(ownKits) && !name.endsWith(NEW));
  for (const name of names) if (!stays(name)) rmSync(join(directory, name), { force: true });
}

const textOf = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

/**
 * What is kept will be executed, and is looked for before anybody has looked at the root: so directories and file have to be the
 * caller's, or root's. @throws KontenaError STATE_INVALID
 */
export function readKept(runtime: Pick<Runtime, "root">, name: string): Uint8Array | undefined {
  const directory = join(runtime.root, STORE);
  return isRoot(runtime.root) && isRoot(directory) ? readOwnBytes(join(directory, name)) : undefined;
}

/** Empty when the file is gone: the error is less exact then. */
function readCalls(path: string): KnownCalls {
  try {
    return JSON.parse(textOf(readOwnBytes(path))) as KnownCalls;
  } catch {
    return {};
  }
}

/** The plan that was made of this text, if it is whole: one that can't be read is made anew. */
export function readPlan(runtime: Runtime, key: string): Remembered | undefined {
  if (buildOf() === undefined) return undefined;
  try {
    return read(runtime, key);
  } catch (error) {
    runtime.debug(`a kept plan can't be used: ${(error as Error).message}`);
    return undefined;
  }
}

function read(runtime: Runtime, key: string): Remembered | undefined {
  const path = planPath(runtime, key);
  const stored = readKept(runtime, basename(path));
  if (stored === undefined) return undefined;
  const sections = splitSections(stored, SECTIONS);
  if (sections === undefined) throw new RangeError(`${path} is cut off`);
  const [bytes, text, startCalls, code, loader, init, json] = sections as Sections;
  const decoder = new TextDecoder();
  if (decoder.decode(text) !== key) return undefined;
  const {
    parkedSize,
    firstOp,
    cells,
    buffers,
    kit,
    asked = {},
    askedText,
    ...rest
  } = JSON.parse(decoder.decode(json)) as Head;
  let calls: KnownCalls | undefined;
  return {
    ...rest,
    isStored: true,
    asked: askedText === undefined ? asked : (parseJson(askedText) as Asked),
    startCalls: () => startCalls,
    known: (address) => {
      calls ??= readCalls(`${path}${CALLS}`);
      return calls[address];
    },
    encoded: { bytes, parkedSize, firstOp, cells: new Map(cells), buffers: new Map(buffers), ops: [] },
    kit: putTogether([code, loader, init], kit),
  };
}
