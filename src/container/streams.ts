/**
 * The standard streams of a program of another user. They are the caller's files, which that user may not open again by
 * their names /dev/stdin, /dev/stdout and /dev/stderr: the file's permissions count. So they become the user's, as with
 * runc and crun.
 */
import { constants, fchownSync, fstatSync } from "../kernel/fs.ts";
import { isNew, type ProcessInput } from "../plan/input.ts";
import { hostIdOf } from "../plan/mappings.ts";

/** Gives files to the program's user; what can't be given away stays as it is, and works as far as it is open. */
export function giveStreams({ config }: ProcessInput, fds: readonly number[] = [0, 1, 2]): void {
  const uid = config.process?.user?.uid ?? 0;
  const owner = isNew(config, "user") ? hostIdOf(config.linux?.uidMappings ?? [], uid) : uid;
  if (owner === undefined) return;
  for (const fd of fds)
    try {
      const { uid: now, gid, mode } = fstatSync(fd);
      // /dev/null is everybody's; and the caller's terminal stays the caller's, who goes on using it.
      const device = (mode & constants.S_IFMT) === constants.S_IFCHR;
      if (now !== owner && !device) fchownSync(fd, owner, gid);
    } catch {
      // EPERM and EROFS; EINVAL of a file system without owners; EBADF of a stream that the caller has closed.
    }
}
