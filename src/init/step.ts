/**
 * The vocabulary of plans: system calls as data. plan/ writes lists of steps, init/ encodes and runs them, `explain` prints
 * them, errors point into them.
 */
import type { ErrorCode } from "../error.ts";
import type { ErrnoName } from "../kernel/errno.ts";
import type { StructName, StructValues } from "../kernel/structs.ts";
import type { SyscallName } from "../kernel/syscalls.ts";

/** A 64-bit place in plan memory with a name; a call's result is saved there, later calls use it. */
export interface Cell {
  cell: string;
}

type StructOf<N extends StructName> = { struct: N; value: StructValues[N] };
/** A struct in plan memory; the argument is its address. */
export type Struct = { [N in StructName]: StructOf<N> }[StructName];

/** Memory that the kernel writes and TypeScript reads when the batch is done, or the other way round. */
export interface Buffer {
  buffer: string;
  size: number;
  /** A string that it holds from the first, to be replaced before init runs: what differs between equal plans. */
  text?: string;
}

/** An array of strings that ends in a null pointer, as execve(2) takes it. */
export interface Strings {
  strings: readonly string[];
}

/** Memory as it is, 8-byte aligned: a program for the kernel, a name that isn't text. */
export interface Bytes {
  bytes: Uint8Array;
  /** What it is, for people. */
  name: string;
}

/**
 * 64-bit words that the kernel reads as one struct: an integer as it is, the address of a nested argument, or a cell, which
 * then lies in here: the call that saves it writes it where this one reads it (a descriptor in a control message, say). Such a
 * cell is at home in one list of words at most.
 */
export interface Words {
  words: readonly Arg[];
}

/** One argument: an integer, a NUL-terminated string, or the kinds above. */
export type Arg = number | bigint | string | Cell | Struct | Buffer | Strings | Bytes | Words;

/** What happens after a call: the step behind it, the call again, the enclosing block anew or its end, init's exit, other steps. */
export type Outcome = "next" | "again" | "restart" | "leave" | "exit" | readonly Step[];

/** How a failure is told. The error number's text is put behind `message`. */
export interface Failure {
  code: ErrorCode;
  message: string;
  path?: string;
  /** The message says it all: the step can't but fail, and its error number is no news. */
  plain?: true;
  /** What may help, by error number. */
  hints?: Partial<Record<ErrnoName, string>>;
  /** The error's code for certain error numbers, where it differs from `code`. */
  codes?: Partial<Record<ErrnoName, ErrorCode>>;
}

/** One system call. */
export interface Call {
  call: SyscallName;
  args: readonly Arg[];
  /** For people: what this call is for. */
  why: string;
  /** The place in config.json that it comes from; none for what every container gets. */
  at?: string | undefined;
  /** Name of the cell that keeps the result (or −errno). */
  save?: string;
  /** After a success, where it isn't the next step: the end of the enclosing block. */
  after?: "leave";
  /** Expected error numbers, two at most: an op has room for no more. */
  on?: Partial<Record<ErrnoName, Outcome>>;
  /** After a result of 0: end of file of a read, the child's side of a fork. */
  zero?: Outcome;
  /** After any other error number; without it, the failure is recorded and init exits. */
  otherwise?: Outcome;
  /** How the failure is told. */
  fail?: Failure;
  /** Cell of a file system context (fsopen(2)) whose message log says more of a failure. */
  log?: string;
}

/** Steps that belong together; a call in it can leave it. */
export interface Block {
  block: readonly Step[];
}

/** init says that it is there (unless `silent`) and waits for TypeScript to say go on. */
export interface Pause {
  pause: string;
  why: string;
  silent?: true;
}

export type Step = Call | Block | Pause;

/** A part of the plan with a name, in the order of order.ts. */
export interface Phase {
  phase: string;
  steps: readonly Step[];
}

export const cell = (name: string): Cell => ({ cell: name });
export const struct = <N extends StructName>(name: N, value: StructValues[N]): Struct =>
  ({ struct: name, value }) as Struct;
export const words = (...list: Arg[]): Words => ({ words: list });
export const buffer = (name: string, size: number, text?: string): Buffer =>
  text === undefined ? { buffer: name, size } : { buffer: name, size, text };

/** The outcomes of a call that are steps of their own. */
export function branches(call: Call): (readonly Step[])[] {
  const outcomes = [...Object.values(call.on ?? {}), call.zero, call.otherwise];
  return outcomes.filter((o): o is readonly Step[] => Array.isArray(o));
}

/** Every call in `steps`, those of blocks and outcomes included, in the order of the text. */
export function* calls(steps: readonly Step[]): Generator<Call> {
  for (const step of steps) {
    if ("block" in step) yield* calls(step.block);
    else if ("call" in step) {
      yield step;
      for (const branch of branches(step)) yield* calls(branch);
    }
  }
}

/** The steps of some phases, one after the other. */
export function stepsOf(phases: readonly Phase[]): Step[] {
  return phases.flatMap((p) => p.steps);
}
