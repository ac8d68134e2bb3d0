/**
 * Shortcuts: what `create` leaves beside the state for the commands that come after it, as ops that are encoded already. The
 * executable's front (scripts/front/) maps such a file and runs it, without Bun having begun. It ends the process when all went
 * as usual; else it returns, and the command goes its ordinary way.
 */
import { encodePlan } from "./encode.ts";
import { LOG, LOG_SIZE, putText } from "./memory.ts";
import type { Step } from "./step.ts";

/** Where the front maps one: behind the executable and the heap of a program that hasn't begun. */
export const SHORTCUT_BASE = 0x2000_0000;

/** What the front looks at, as 64-bit words: in the place of the message log, which a shortcut has no use for. */
export const SHORTCUT_HEADER = {
  magic: LOG,
  /** Bytes of the whole file. */
  size: LOG + 8,
  /** Addresses: of the cells that get the descriptors of the root and the container's directory, and of the first op. */
  root: LOG + 16,
  directory: LOG + 24,
  firstOp: LOG + 32,
  /** Address of the id, a text. */
  id: LOG + 40,
} as const;

const ID_AT = LOG + 48;

/** The last character is the version of this form. */
export const SHORTCUT_MAGIC = "KONTENA1";

/** Cells: the root of the states, and the container's directory in it, which is locked. */
export const STATES = "directory of the states";
export const OWN = "directory of the container";

/** The front calls it with both descriptors; the end of the steps is the way back to it. */
export function encodeShortcut(id: string, steps: readonly Step[]): Uint8Array {
  const { bytes, cells, firstOp } = encodePlan(
    { create: steps, start: [] },
    { [STATES]: -1, [OWN]: -1 },
    { base: SHORTCUT_BASE, end: "return" },
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const put = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);
  bytes.set(new TextEncoder().encode(SHORTCUT_MAGIC), SHORTCUT_HEADER.magic);
  put(SHORTCUT_HEADER.size, bytes.length);
  put(SHORTCUT_HEADER.root, SHORTCUT_BASE + (cells.get(STATES) as number));
  put(SHORTCUT_HEADER.directory, SHORTCUT_BASE + (cells.get(OWN) as number));
  put(SHORTCUT_HEADER.firstOp, firstOp);
  put(SHORTCUT_HEADER.id, SHORTCUT_BASE + ID_AT);
  putText(bytes, ID_AT, id, LOG + LOG_SIZE - ID_AT);
  return bytes;
}
