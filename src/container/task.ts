/** A process by pid and start time, since the kernel gives numbers anew (proc(5), /proc/PID/stat). */
import { readFileSync } from "node:fs";

export interface Stat {
  /** One letter: R, S, D, Z (dead but not waited for), T … */
  state: string;
  /** Field 22, clock ticks since boot. */
  startTime: string;
}

/** Undefined when there is no such process. */
export function readStat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The name, in parentheses, may hold anything; what follows the last one is fields 3 and on.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
}

/** Whether that very process runs; a zombie doesn't. */
export function isAlive(pid: number, startTime: string): boolean {
  if (pid <= 0) return false;
  const stat = readStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}
