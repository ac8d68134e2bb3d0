/** The file in which an engine looks for a process's pid. */
import { renameSync, writeFileSync } from "node:fs";

/** Whole or not at all: an engine reads it as soon as it is there. */
export function writePidFile(path: string, pid: number): void {
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, String(pid));
  renameSync(temporary, path);
}
