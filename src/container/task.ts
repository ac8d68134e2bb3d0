/** A process by pid and start time, since the kernel gives numbers anew (proc(5), /proc/PID/stat). */
import { readPiece } from "../kernel/files.ts";

export interface Stat {
  /** The process's name, which it can change itself. */
  name: string;
  /** One letter: R, S, D, Z (dead but not waited for), T … */
  state: string;
  /** Field 22, clock ticks since boot. */
  startTime: string;
  /** Of a zombie, the signal that killed it; 0 for none, and when the caller may not know. */
  signal: number;
}

/** Undefined when there is no such process. */
export function readStat(pid: number): Stat | undefined {
  const text = readPiece(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name, in parentheses, may hold anything; what follows the last one is fields 3 and on.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
  return {
    name,
    state: fields[0] ?? "",
    startTime: fields[19] ?? "",
    signal: Number(fields[49] ?? 0) & 0x7f,
  };
}

/** What /proc tells of that very process; undefined when it has ended, and of a zombie. */
export function liveStat(pid: number, startTime: string): Stat | undefined {
  if (pid <= 0) return undefined;
  const stat = readStat(pid);
  if (stat === undefined || stat.startTime !== startTime) return undefined;
  return stat.state === "Z" || stat.state === "X" ? undefined : stat;
}

/** Whether that very process runs. */
export function isAlive(pid: number, startTime: string): boolean {
  return liveStat(pid, startTime) !== undefined;
}
