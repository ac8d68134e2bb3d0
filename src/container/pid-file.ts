/** The file in which an engine looks for a process's pid. */

import { KontenaError } from "../error.ts";
import { O } from "../kernel/consts/fcntl.ts";
import { errnoText } from "../kernel/errno.ts";
import { codeOf } from "../kernel/files.ts";
import { closeSync, openSync, renameSync, rmSync, writeSync } from "../kernel/fs.ts";

/** Whole or not at all: an engine reads it as soon as it is there. @throws KontenaError USAGE */
export function writePidFile(path: string, pid: number): void {
  const temporary = `${path}.${process.pid}.new`;
  // One that is there is a dead process's, or somebody's link to elsewhere.
  rmSync(temporary, { force: true });
  try {
    const fd = openSync(temporary, O.O_WRONLY | O.O_CREAT | O.O_EXCL, 0o666);
    try {
      writeSync(fd, String(pid));
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    const errno = codeOf(error);
    if (errno !== "EEXIST") rmSync(temporary, { force: true });
    throw new KontenaError("USAGE", `--pid-file: cannot write ${path}: ${errnoText(errno)}`, { path, errno });
  }
}
