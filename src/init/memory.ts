/**
 * Plan memory: where what lies in it, and how it is read. Apart from the encoder, which a plan that is kept doesn't need.
 *
 *   0     failure record: errno, address of the failing op
 *   16    the byte of the conversation
 *   24    result of the last call before execve
 *   32    message log of a file system context
 *   …     cells, then the ops and data of `start`
 *   ── page border: parked, init unmaps what lies behind it ──
 *   …     the ops, data and buffers of `create`
 */
import type { Call } from "./step.ts";

/** Where plan memory is mapped in every init. */
export const PLAN_BASE = 0x1000_0000;
export const PAGE = 4096;

export const RECORD = 0;
export const BYTE = 16;
export const LAST = 24;
export const LOG = 32;
export const LOG_SIZE = 480;
export const CELLS = LOG + LOG_SIZE;

/** Bytes at the head of plan memory that hold the record and the log. */
export const HEAD_SIZE = CELLS;

/** Exit status of an init that stopped at a failed step; the record says which. */
export const EXIT_FAILED = 1;

/** Cells that the loader fills before init's first op. */
export const SOCKET = "init socket";
export const PARK_ADDRESS = "create section";
export const PARK_LENGTH = "create section's length";

/** Cell of the last call before execve, in the head: a death of init before it can be told from the program's own. */
export const LAST_CALL = "last call before execve";

/** A cell's value before any call has saved one: no result of a call looks like it. */
export const UNSET = -0x7fff_ffff_ffff_ffffn;

export interface EncodedPlan {
  readonly bytes: Uint8Array;
  /** Bytes of the section that stays mapped while init is parked. */
  readonly parkedSize: number;
  readonly firstOp: number;
  /** Offsets of the named cells and buffers in plan memory. */
  readonly cells: ReadonlyMap<string, number>;
  readonly buffers: ReadonlyMap<string, number>;
  /** Ops in order; their addresses tell a failure's call. */
  readonly ops: readonly { readonly address: number; readonly call: Call }[];
}

const encoder = new TextEncoder();

/** A string with its NUL in memory of a given size. @throws RangeError when it doesn't fit */
export function putText(bytes: Uint8Array, at: number, text: string, size: number): void {
  if (text.includes("\0")) throw new RangeError(`no room for ${JSON.stringify(text)} in ${size} bytes`);
  const { written, read } = encoder.encodeInto(text, bytes.subarray(at, at + size - 1));
  if (read < text.length) throw new RangeError(`no room for ${JSON.stringify(text)} in ${size} bytes`);
  bytes.fill(0, at + written, at + size);
}

/** Whether init had nothing left to do but execve, as the head of plan memory tells. */
export function reachedExecve(head: Uint8Array): boolean {
  return new DataView(head.buffer, head.byteOffset, head.byteLength).getBigInt64(LAST, true) !== UNSET;
}

function offsetIn(offsets: ReadonlyMap<string, number>, name: string): number {
  const at = offsets.get(name);
  if (at === undefined) throw new RangeError(`the plan has no "${name}"`);
  return at;
}

/** The call of the op at an address, which is in decimal; undefined when no op is there. */
export function callOf({ ops }: Pick<EncodedPlan, "ops">, address: string): Call | undefined {
  return ops.find((op) => String(op.address) === address)?.call;
}

/** Offset of the named cell in plan memory. */
export function cellOffset(plan: Pick<EncodedPlan, "cells">, name: string): number {
  return offsetIn(plan.cells, name);
}

/** Offset of the named buffer in plan memory. */
export function bufferOffset(plan: Pick<EncodedPlan, "buffers">, name: string): number {
  return offsetIn(plan.buffers, name);
}

/** What init wrote on a failure: undefined when no step has failed. */
export interface FailureRecord {
  errno: number;
  /** Address of the op. */
  op: number;
  /** The kernel's own words (fsopen(2), "message retrieval"), `""` when there are none. */
  log: string;
}

/** Reads the failure record from the first bytes of plan memory. */
export function readRecord(bytes: Uint8Array): FailureRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const errno = Number(view.getBigUint64(RECORD, true));
  if (errno === 0) return undefined;
  const log = bytes.subarray(LOG, LOG + LOG_SIZE);
  const end = log.indexOf(0);
  return {
    errno,
    op: Number(view.getBigUint64(RECORD + 8, true)),
    // A message begins with its level and a space: "e tmpfs: Bad value for 'size'".
    log: new TextDecoder()
      .decode(log.subarray(0, end < 0 ? LOG_SIZE : end))
      .replace(/^[ewi] /, "")
      .trim(),
  };
}
