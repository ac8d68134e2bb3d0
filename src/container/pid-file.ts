/** The file in which an engine looks for a process's pid. */

import { KontenaError } from "../error.ts";
import { errnoText } from "../kernel/errno.ts";
import { codeOf } from "../kernel/files.ts";
import { renameSync, writeFileSync } from "../kernel/fs.ts";

/** Whole or not at all: an engine reads it as soon as it is there. @throws KontenaError USAGE */
export function writePidFile(path: string, pid: number): void {
  const temporary = `${path}.${process.pid}.new`;
  try {
    writeFileSync(temporary, String(pid));
    renameSync(temporary, path);
  } catch (error) {
    const errno = codeOf(error);
    throw new KontenaError("USAGE", `--pid-file: cannot write ${path}: ${errnoText(errno)}`, { path, errno });
  }
}
