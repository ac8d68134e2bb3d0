import { nearest } from "../../spec/nearest.ts";
import { KontenaError } from "../error.ts";

/** Signal numbers of signal(7); x86-64 and arm64 have the same. */
export const SIGNALS = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  IOT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  POLL: 29,
  PWR: 30,
  SYS: 31,
} as const satisfies Readonly<Record<string, number>>;

/** The C libraries keep 32 and 33 (musl: 34 too) for themselves; people who write RTMIN mean glibc's. */
const RTMIN = 34;
const RTMAX = 64;

function realTime(name: string): number | undefined {
  const match = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (!match) return undefined;
  const base = match[1] === "MIN" ? RTMIN : RTMAX;
  const number = base + (match[2] === "-" ? -1 : 1) * Number(match[3] ?? 0);
  return number >= RTMIN && number <= RTMAX ? number : undefined;
}

/**
 * The number of a signal given as 9, KILL, SIGKILL or kill; real-time ones as RTMIN+1 or RTMAX-1. 0 only asks whether the process is there.
 * Throws USAGE with the legal names.
 */
export function parseSignal(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const known = Object.hasOwn(SIGNALS, name) ? SIGNALS[name as keyof typeof SIGNALS] : realTime(name);
  if (known !== undefined) return known;
  if (/^\d{1,3}$/.test(text) && Number(text) <= RTMAX) return Number(text);

  const names = Object.keys(SIGNALS);
  const meant = /^-\w+$/.test(text) ? text.slice(1) : nearest(name, names);
  throw new KontenaError("USAGE", `kill: unknown signal "${text}"`, {
    hint: `${meant === undefined ? "" : `did you mean ${meant}? `}legal are 0 to ${RTMAX}, RTMIN+n, RTMAX-n and ${names.join(", ")}`,
  });
}
