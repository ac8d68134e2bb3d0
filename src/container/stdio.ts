/** Standard streams of a program that aren't the runtime's own: for callers of the library. */
import { KontenaError } from "../error.ts";
import type { Placed } from "../init/spawn.ts";
import { F } from "../kernel/consts/fcntl.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { rawSyscall } from "../kernel/libc.ts";
import type { Descriptors } from "./birth.ts";

/** Descriptors of this process that become a program's standard input, output and error. */
export type Stdio = readonly [number, number, number];

/**
 * Where init finds them. Copies, since one may have the number that another one is to get; they are no more this process's
 * when init is born.
 * @throws KontenaError USAGE for one that isn't open
 */
export function placeStreams(stdio: Stdio | undefined, { own }: Descriptors): Placed[] {
  return (stdio ?? []).map((fd, inInit) => {
    const copy = rawSyscall("fcntl", fd, F.F_DUPFD_CLOEXEC, 3);
    if (copy >= 0) return { ours: own(copy), inInit };
    const errno = errnoName(-copy);
    throw new KontenaError("USAGE", `stdio[${inInit}]: descriptor ${fd}: ${errnoText(errno)}`, { errno });
  });
}
