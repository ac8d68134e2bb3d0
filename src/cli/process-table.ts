/** The table of `ps -ef`, without ps(1): same columns, same order, so that scripts that cut it go on working. */
import type { ProcessInfo } from "../container/ps.ts";
import { printable } from "./columns.ts";

const two = (n: number) => String(n).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = 86_400_000;

/** `09:14` today, `Nov24` before, `2025` in other years, in local time. */
export function startTime(started: number, now: number): string {
  const [then, today] = [new Date(started), new Date(now)];
  if (then.getFullYear() !== today.getFullYear()) return String(then.getFullYear());
  if (now - started < DAY && then.getDate() === today.getDate())
    return `${two(then.getHours())}:${two(then.getMinutes())}`;
  return `${MONTHS[then.getMonth()]}${two(then.getDate())}`;
}

/** `00:01:02`, with days in front when there are any. */
export function cpuTime(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const days = Math.floor(seconds / 86_400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two);
  return `${days > 0 ? `${days}-` : ""}${clock.join(":")}`;
}

/** Name of a terminal by its device number (devices.txt): pts/0, tty1, ttyS0; `?` for none. */
export function terminalName(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (device === 0) return "?";
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
  return major === 5 && minor === 1 ? "console" : `${major}:${minor}`;
}

/** CPU time as a share of the process's life, in whole percent, 99 at most, as ps(1) has it. */
function share({ cpu, started }: ProcessInfo, now: number): number {
  return now <= started ? 0 : Math.min(99, Math.floor((100 * cpu) / (now - started)));
}

/** @param now milliseconds since 1970 */
export function processTable(processes: readonly ProcessInfo[], now: number): string {
  const rows = processes.map((p) => [
    String(p.uid),
    String(p.pid),
    String(p.ppid),
    String(share(p, now)),
    startTime(p.started, now),
    terminalName(p.tty),
    cpuTime(p.cpu),
    printable(p.command),
  ]);
  const all = [["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], ...rows];
  const widths = [8, 7, 7, 2, 5, 8, 8];
  const isNumber = (i: number) => i >= 1 && i <= 3;
  const line = (row: string[]) =>
    row
      .map((cell, i) =>
        isNumber(i) ? cell.padStart(widths[i] ?? 0) : i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell,
      )
      .join(" ");
  return all.map((row) => `${line(row)}\n`).join("");
}
