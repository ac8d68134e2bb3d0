/** The home of a user in a container's passwd file, which may be anything: it is the image's. */
import { AT_FDCWD, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { closeSync, fstatSync, openSync, readBounded } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { encodeStruct } from "../kernel/structs.ts";
import { homeIn } from "../plan/home.ts";

/** No passwd file is as long. */
const MOST_BYTES = 4 * 1024 * 1024;
/** What no variable of the environment can hold, or what wouldn't be the same there. */
const isUnfit = (text: string) => /[\0\uFFFD]/.test(text);

/** @param top a directory; no symlink leads out of it. `/` where nothing is found */
export function homeOf(top: string, path: string, uid: number): string {
  try {
    const home = homeIn(readIn(top, path), uid);
    return isUnfit(home) ? "/" : home;
  } catch {
    return "/";
  }
}

/** A FIFO would wait for a writer, and opening a device can do anything: only a regular file is opened at all. */
function readIn(top: string, path: string): string {
  const root = openSync(top, O.O_PATH | O.O_DIRECTORY);
  let found = -1;
  try {
    const how = encodeStruct("open_how", { flags: O.O_PATH | O.O_CLOEXEC, resolve: RESOLVE.RESOLVE_IN_ROOT });
    found = rawSyscall("openat2", root, path, how, how.length);
    if (found < 0 || !fstatSync(found).isFile()) return "";
    const file = rawSyscall("openat", AT_FDCWD, `/proc/self/fd/${found}`, O.O_RDONLY | O.O_CLOEXEC, 0);
    if (file < 0) return "";
    try {
      return readBounded(file, MOST_BYTES);
    } finally {
      closeSync(file);
    }
  } finally {
    if (found >= 0) closeSync(found);
    closeSync(root);
  }
}
