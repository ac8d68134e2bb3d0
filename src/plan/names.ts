/**
 * Names of cells, buffers and files that init's plan and the runtime have in common. By themselves, since the way of a kept
 * plan needs them and nothing of the planner.
 */
import { S_IF } from "../kernel/consts/stat.ts";

/** Descriptor of the root file system's top, from root.ts. */
export const ROOT = "root";
/** What covers masked directories, from paths.ts. */
export const MASK_DIRECTORY = "mask for directories";
/** The same once more, open until the first directory is masked. */
export const MASK_UNUSED = "unused mask for directories";
/** The descriptors that init keeps until the root is entered: each has a number of its own, above all others. */
export const SLOTS = [ROOT, MASK_DIRECTORY, MASK_UNUSED] as const;
export type Slot = (typeof SLOTS)[number];

/** Cells with the bounds of the numbers that are nobody's: below the kept descriptors, and above them. */
export const LOWEST = "lowest descriptor";
export const BELOW = "last descriptor below the kept ones";
export const ABOVE = "first descriptor above the kept ones";
export const ABOVE_SLOTS = "first descriptor of the root and the mask";

/** Buffer in which the kernel leaves the pid of the second stage, as the runtime sees it (32 bits). */
export const SECOND_STAGE = "pid of the second stage";

/** Where getcwd(2) writes: an answer that doesn't begin with `/` is outside of the root (CVE-2024-21626). */
export const CWD_BUFFER = "getcwd";
/** The program's path, chosen by TypeScript among the candidates when init has looked at them. */
export const EXEC_PATH = "path of the program";

/** What init has found out about the candidate of this number. */
export const lookupCells = (index: number) => ({
  stat: `statx result ${index}`,
  access: `faccessat2 result ${index}`,
  buffer: `statx ${index}`,
});

/** Cell of the state directory's descriptor; given by the runtime, the only way out of the container that init keeps. */
export const STATE_DIRECTORY = "state directory";

/** init's name (prctl(2), PR_SET_NAME): tells a parked init from the program that comes after it. */
export const INIT_NAME = "kontena-init";
/** What init writes when it goes on: the program follows, or a failure record. */
export const READY = "R";

/** Cell of the descriptor that the agent answers through. The runtime looks here: no call of init's tells that it is there. */
export const LISTENER = "seccomp listener";
/** The FIFO, in the state directory, on which `start` says that the agent has the listener. */
export const LISTENER_FIFO = "listener.fifo";

/** How the names of the pauses begin at which a tmpfs is filled. */
export const COPY_UP = "copy up ";

/** S_IFMT bits (inode(7)) of what `type` of a device says. */
export const FILE_TYPE = { c: S_IF.S_IFCHR, b: S_IF.S_IFBLK, p: S_IF.S_IFIFO } as const;
