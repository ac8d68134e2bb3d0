/**
 * Plans kept on disk, beside the states, for the next command: the last few that `run` made.
 *
 *     <root>/@plans/NAME         the plan's bytes, the text that it is the plan of, what else is known of it as JSON, two sizes
 *     <root>/@plans/NAME.calls   the calls of all ops, which only an error needs
 *
 * NAME is a quick hash of the text. It only finds the file: the text itself decides, to the byte.
 */

import { join } from "node:path";
import type { Kit } from "../init/loader.ts";
import { readBytes, readText } from "../kernel/files.ts";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "../kernel/fs.ts";
import type { Remembered } from "./compile.ts";
import type { KnownCalls } from "./failure.ts";
import type { Runtime } from "./runtime.ts";

/** The sources that a build was made from; there only in the compiled program. */
declare const KONTENA_BUILD: string | undefined;
export const buildOf = () => (typeof KONTENA_BUILD === "undefined" ? undefined : KONTENA_BUILD);

/** `@` is in no id: this is no container. */
const STORE = "@plans";
const MOST_STORED = 16;
/** 64 bits, in hexadecimal. */
const PLAN_NAME = /^[0-9a-f]{16}$/;
const CALLS = ".calls";

/** Last in the file: how many bytes the plan has, and the text. */
const SIZE_DIGITS = 12;

/** A kit in JSON: its bytes in base64. */
interface KeptKit {
  code: string;
  loader: { bytes: string; firstOp: number; cells: Readonly<Record<string, number>> };
  init: string;
  planFdAt: readonly number[];
}

const toKept = ({ code, loader, init, planFdAt }: Kit): KeptKit => ({
  code: code.toBase64(),
  loader: { ...loader, bytes: loader.bytes.toBase64() },
  init: init.toBase64(),
  planFdAt,
});

const fromKept = ({ code, loader, init, planFdAt }: KeptKit): Kit => ({
  code: Uint8Array.fromBase64(code),
  loader: { ...loader, bytes: Uint8Array.fromBase64(loader.bytes) },
  init: Uint8Array.fromBase64(init),
  planFdAt,
});

/** What is said of a stored plan. */
interface Head
  extends Pick<Remembered, "namespaces" | "handles" | "pauses" | "startCalls" | "sources" | "warnings"> {
  parkedSize: number;
  firstOp: number;
  kit: KeptKit;
  cells: [string, number][];
  buffers: [string, number][];
}

/** Where the plan of a text would be. */
export function planPath(runtime: Pick<Runtime, "root">, text: Uint8Array): string {
  return join(runtime.root, STORE, Bun.hash(text).toString(16).padStart(16, "0"));
}

/** Keeps the plan of `key`; one of sources that change as one works on them is no use to the next command. */
export function keepPlan(runtime: Runtime, key: string, plan: Remembered): void {
  if (buildOf() === undefined) return;
  const text = new TextEncoder().encode(key);
  const path = planPath(runtime, text);
  const directory = join(runtime.root, STORE);
  const { encoded, kit, namespaces, handles, pauses, startCalls, sources, warnings } = plan;
  const { bytes, parkedSize, firstOp, cells, buffers } = encoded;
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    makeRoom(directory);
    const calls = Object.fromEntries(
      encoded.ops.map(({ address, call: { call, at, fail } }) => [address, { call, at, fail }]),
    );
    const head: Head = {
      ...{ namespaces, handles, pauses, startCalls, sources, warnings, parkedSize, firstOp },
      ...{ cells: [...cells], buffers: [...buffers], kit: toKept(kit) },
    };
    // The calls first: a plan that is there is whole.
    keep(`${path}${CALLS}`, JSON.stringify(calls));
    const sizes = [bytes, text].map(({ length }) => String(length).padStart(SIZE_DIGITS)).join("");
    keep(path, Buffer.concat([bytes, text, Buffer.from(`${JSON.stringify(head)}${sizes}`)]));
  } catch (error) {
    runtime.debug(`the plan is not kept: ${(error as Error).message}`);
  }
}

function keep(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.new`;
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
  for (const name of names)
    if (!kept.has(name.replace(CALLS, ""))) rmSync(join(directory, name), { force: true });
}

/** Empty when the file is gone: the error is less exact then. */
function readCalls(path: string): KnownCalls {
  try {
    return JSON.parse(readText(path)) as KnownCalls;
  } catch {
    return {};
  }
}

/** The plan that was made of this text, if it is whole: one that can't be read is made anew. */
export function readPlan(runtime: Runtime, key: string): Remembered | undefined {
  if (buildOf() === undefined) return undefined;
  try {
    return read(runtime, new TextEncoder().encode(key));
  } catch (error) {
    runtime.debug(`a kept plan can't be used: ${(error as Error).message}`);
    return undefined;
  }
}

function read(runtime: Runtime, key: Uint8Array): Remembered | undefined {
  const path = planPath(runtime, key);
  const stored = readBytes(path);
  if (stored === undefined) return undefined;
  const text = new TextDecoder();
  const end = stored.length - 2 * SIZE_DIGITS;
  const size = Number(text.decode(stored.subarray(end, -SIZE_DIGITS)));
  const keySize = Number(text.decode(stored.subarray(-SIZE_DIGITS)));
  if (!(size > 0 && keySize > 0 && size + keySize < end)) throw new RangeError(`${path} is cut off`);
  if (Buffer.compare(stored.subarray(size, size + keySize), key) !== 0) return undefined;
  const head = JSON.parse(text.decode(stored.subarray(size + keySize, end))) as Head;
  const { namespaces, handles, pauses, startCalls, sources, warnings, parkedSize, firstOp } = head;
  let calls: KnownCalls | undefined;
  const known = (address: string) => {
    calls ??= readCalls(`${path}${CALLS}`);
    return calls[address];
  };
  const encoded = {
    bytes: stored.subarray(0, size),
    parkedSize,
    firstOp,
    cells: new Map(head.cells),
    buffers: new Map(head.buffers),
    ops: [],
  };
  const kit = fromKept(head.kit);
  return { namespaces, handles, pauses, encoded, kit, known, startCalls, sources, warnings };
}
