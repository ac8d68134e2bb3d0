/** Where errors, warnings and debug lines go: standard error for people, the --log file for engines. */

import { KontenaError } from "../error.ts";
import { openSync, writeSync } from "../kernel/fs.ts";
import { wantsColor, writeAll } from "./output.ts";

export type Level = "error" | "warning" | "debug";
const RANK: Readonly<Record<Level, number>> = { error: 0, warning: 1, debug: 2 };

export interface LogOptions {
  /** Appended to, never truncated: engines share one file among all calls on a container and read the last error in it. */
  file?: string | undefined;
  format: "text" | "json";
  level: Level;
}

export interface Log {
  /** `details` are added to a JSON line, after the fields that engines read. */
  error(message: string, details?: Record<string, unknown>): void;
  warn(message: string, details?: { at?: string; hint?: string }): void;
  /** A message that costs something to put together is given as a function. */
  debug(message: string | (() => string)): void;
}

/** One line of a log: the fields that podman and containerd's shim look for come first; time is RFC 3339. */
export function logLine(
  format: "text" | "json",
  level: Level,
  message: string,
  time: Date,
  details?: Record<string, unknown>,
): string {
  const stamp = time.toISOString();
  if (format === "text") return `time="${stamp}" level=${level} msg=${JSON.stringify(message)}\n`;
  return `${JSON.stringify({ level, msg: message, time: stamp, ...(details && { error: details }) })}\n`;
}

/** What a terminal would take for an order. Names in a config are anybody's, and errors repeat them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is for
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

function printable(text: string): string {
  return text.replace(CONTROL, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** The line for a person, on standard error. */
export function terminalLine(level: Level, message: string, color: boolean): string {
  const word = level === "error" ? "" : `${level}: `;
  const shown = printable(message);
  if (!color) return `kontena: ${word}${shown}\n`;
  const paint = level === "error" ? 31 : level === "warning" ? 33 : 2;
  return `\x1b[${paint}mkontena: ${word}\x1b[0m${shown}\n`;
}

/** Writes to standard error, come what may: an error while reporting an error has nowhere to go. */
function tell(text: string): void {
  try {
    writeAll(2, text);
  } catch {}
}

/**
 * Opens the log. Without a file all lines go to standard error, as JSON if that is asked for. With one, everything goes to the file, and
 * only errors to standard error as well: without a terminal that descriptor is the container's own, and warnings of the
 * runtime would turn up in the output of its program.
 *
 * Throws USAGE when the file can't be opened.
 */
export function openLog({ file, format, level }: LogOptions): Log {
  const fd = file === undefined ? undefined : openFile(file);
  const write = (at: Level, message: string, details?: Record<string, unknown>): void => {
    if (RANK[at] > RANK[level]) return;
    const line = (): string => logLine(format, at, message, new Date(), details);
    if (fd !== undefined) append(fd, line());
    if (fd === undefined && format === "json") tell(line());
    else if (fd === undefined || at === "error") tell(terminalLine(at, message, wantsColor(2)));
  };
  return {
    error: (message, details) => write("error", message, details),
    warn: (message, details) =>
      write(
        "warning",
        [details?.at, message].filter(Boolean).join(": ") + (details?.hint ? ` (${details.hint})` : ""),
      ),
    debug: (message) => {
      if (level === "debug") write("debug", typeof message === "string" ? message : message());
    },
  };
}

/** One write(2) per line, so that lines of several processes don't mix. A full disk mustn't hide the error itself. */
function append(fd: number, line: string): void {
  try {
    writeSync(fd, line);
  } catch {}
}

function openFile(file: string): number {
  const kind = /^(syslog|journald):/.exec(file)?.[1];
  if (kind !== undefined) throw new KontenaError("USAGE", `--log ${kind}: not in this version yet`);
  const path = file.replace(/^file:/, "");
  try {
    return openSync(path, "a", 0o644);
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
    throw new KontenaError("USAGE", `--log: can't append to ${path}: ${errno}`, {
      errno,
      path,
      syscall: "open",
    });
  }
}

/**
 * The log options of a command line that couldn't be understood: whoever gave --log wants to read there why.
 */
export function guessLogOptions(words: readonly string[]): LogOptions {
  const value = (name: string): string | undefined => {
    for (const [i, word] of words.entries()) {
      if (word === "--") return undefined;
      if (word === `--${name}`) return words[i + 1];
      if (word.startsWith(`--${name}=`)) return word.slice(name.length + 3);
    }
    return undefined;
  };
  return {
    file: value("log") || undefined,
    format: value("log-format") === "json" ? "json" : "text",
    level: "warning",
  };
}
