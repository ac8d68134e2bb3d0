/**
 * The vocabulary of shortcuts (shortcuts.ts). init's interpreter has no arithmetic: numbers are compared by the offset of an open
 * file (lseek(2)), which nobody reads by.
 */
import { type Arg, type Call, cell, type Outcome, type Words, words } from "../init/step.ts";
import { POLL } from "../kernel/consts/socket.ts";

const SEEK_SET = 0;
const SEEK_CUR = 1;

/** Cell of a regular file's descriptor, whose offset it is. */
export const SCALE = "a file to count by";

/** Cells with the descriptor of the container's process, and of what waits for it. */
export const PROCESS = "the process's descriptor";
export const EPOLL = "epoll";

/** The way back: outside of a block, the end of all steps. */
export const orBack = { otherwise: "leave" } as const;

/** The same after a result of 0, which needs a call. */
export const backFrom = (descriptor: string): Outcome => [
  { call: "close", args: [cell(descriptor)], why: "leave it to the command", after: "leave", ...orBack },
];

const EPOLL_CTL_ADD = 1;

/** Has {@link EPOLL} wait for a descriptor: for something to read, or an end. */
export const watch = (descriptor: string): Call => ({
  call: "epoll_ctl",
  args: [cell(EPOLL), EPOLL_CTL_ADD, cell(descriptor), words(POLL.POLLIN, 0)],
  why: "for what is said, or an end",
  ...orBack,
});

/** A result of 0 when nothing was there for so many milliseconds; −1 is for ever. */
export const awaitOne = (milliseconds: number): Call => ({
  call: "epoll_pwait",
  args: [cell(EPOLL), words(0, 0), 1, milliseconds, 0, 8],
  why: "wait for one of them",
  ...orBack,
});

export interface Num {
  at: Words;
  cell: Arg;
  /** Makes it 0, which it has to be before a call reads some of its bytes. */
  clear: Call;
}

/** A number that a call reads from somewhere. */
export const number = (name: string): Num => ({
  at: words(cell(name)),
  cell: cell(name),
  clear: {
    call: "lseek",
    args: [cell(SCALE), 0, SEEK_SET],
    save: name,
    why: `make room for ${name}`,
    ...orBack,
  },
});

/** Gives a number a value. */
export const set = ({ clear }: Num, value: number, why: string): Call => ({
  ...clear,
  args: [cell(SCALE), value, SEEK_SET],
  why,
});

/** Goes on when the number is the one, and takes `otherwise` when it isn't. */
export function isEqual(of: Num, value: number, otherwise: Outcome, why: string): Call[] {
  const same = { zero: "next", after: "leave", otherwise } as const;
  const put = { call: "lseek", args: [cell(SCALE), of.cell, SEEK_SET], why, otherwise } as const;
  if (value === 0) return [{ ...put, ...same }];
  return [put, { call: "lseek", args: [cell(SCALE), -value, SEEK_CUR], why, ...same }];
}

/** Goes on when the number isn't that one. */
export function isOther(of: Num, value: number, otherwise: Outcome, why: string): Call[] {
  return [
    { call: "lseek", args: [cell(SCALE), of.cell, SEEK_SET], why, otherwise: "next" },
    { call: "lseek", args: [cell(SCALE), -value, SEEK_CUR], why, zero: otherwise, otherwise: "next" },
  ];
}

/** At most seven characters as a number, as memory has them. */
export const little = (text: string): number =>
  [...new TextEncoder().encode(text)].reduceRight((sum, byte) => sum * 256 + byte, 0);

export const succeed: Call = { call: "exit_group", args: [0], why: "all is done" };
