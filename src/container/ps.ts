/** ps: the processes of a container as the host sees them. */

import { KontenaError } from "../error.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { statSync } from "../kernel/fs.ts";
import { loadState } from "./directory.ts";
import { containerProcesses } from "./processes.ts";
import type { Runtime } from "./runtime.ts";

/** Host pids in rising order; none of a stopped container whose cgroup is empty. @throws KontenaError NOT_FOUND */
export function processes(runtime: Runtime, id: string): number[] {
  const { state } = loadState(runtime, id);
  return state === undefined ? [] : containerProcesses(state);
}

export interface ProcessInfo {
  pid: number;
  ppid: number;
  /** Effective, as the host counts. */
  uid: number;
  /** Controlling terminal: its device number, 0 for none. */
  tty: number;
  /** Milliseconds since 1970. */
  started: number;
  /** Milliseconds on a processor. */
  cpu: number;
  /** The command line, or the name in brackets when there is none. */
  command: string;
}

/** /proc counts in ticks of USER_HZ, which is 100 wherever Linux runs. */
const MS_PER_TICK = 10;

/** What ps(1) reads too: /proc/PID/stat and cmdline (proc(5)). Processes that end meanwhile are left out. */
export function describeProcesses(pids: readonly number[]): ProcessInfo[] {
  const uptime = Number(readText("/proc/uptime").split(" ")[0]) * 1000;
  const boot = Date.now() - uptime;
  return pids.flatMap((pid) => {
    try {
      const { uid } = statSync(`/proc/${pid}`);
      return [parseProcess(pid, uid, boot, readText(`/proc/${pid}/stat`), readText(`/proc/${pid}/cmdline`))];
    } catch (error) {
      if (["ENOENT", "ESRCH"].includes(codeOf(error))) return [];
      throw error;
    }
  });
}

/** @param boot milliseconds since 1970 */
export function parseProcess(
  pid: number,
  uid: number,
  boot: number,
  stat: string,
  cmdline: string,
): ProcessInfo {
  // The name, in parentheses, may hold anything; what follows the last one is fields 3 and on.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]);
  const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
  const words = cmdline.replace(/\0+$/, "").replaceAll("\0", " ");
  return {
    pid,
    ppid: field(4),
    uid,
    tty: field(7),
    started: boot + field(22) * MS_PER_TICK,
    cpu: (field(14) + field(15)) * MS_PER_TICK,
    command: words === "" ? `[${name}]${fields[0] === "Z" ? " <defunct>" : ""}` : words,
  };
}

/**
 * The lines of ps(1) that are about these processes, and its head, as runc does it.
 * @param options words for ps(1)
 * @throws KontenaError HOST_UNSUPPORTED without ps(1), USAGE for what it refuses, or when its table has no column PID
 */
export function psLines(pids: readonly number[], options: readonly string[]): string[] {
  const path = Bun.which("ps", { PATH: process.env["PATH"] || "/usr/local/bin:/usr/bin:/bin" });
  if (path === null)
    throw new KontenaError("HOST_UNSUPPORTED", "ps(1) isn't on this host, which options of it need", {
      hint: "without options, `kontena ps` reads /proc by itself",
    });
  const { exitCode, stdout, stderr } = Bun.spawnSync([path, ...options]);
  // BusyBox and procps alike end with 1 when nothing was found; that is known by a head without rows.
  const lines = stdout.toString().split("\n").filter(Boolean);
  if (exitCode !== 0 && lines.length === 0)
    throw new KontenaError("USAGE", `ps: ps(1) ended with ${exitCode}: ${firstLine(stderr.toString())}`);
  return filterLines(lines, pids);
}

const firstLine = (text: string) => text.split("\n").find((line) => line.trim() !== "") ?? "";

/** The head, and the rows whose column PID is one of these. */
export function filterLines(lines: readonly string[], pids: readonly number[]): string[] {
  const [head = "", ...rows] = lines;
  const column = head.trim().split(/\s+/).indexOf("PID");
  if (column < 0)
    throw new KontenaError("USAGE", "ps: couldn't find PID field in ps output", {
      hint: "the rows of other processes are known by it: add pid to the columns",
    });
  const wanted = new Set(pids);
  return [head, ...rows.filter((row) => wanted.has(Number(row.trim().split(/\s+/)[column])))];
}
