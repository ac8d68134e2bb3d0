/** Errors of files, in the form that node has for them. */
import { ERRNO, errnoName, errnoText } from "./errno.ts";
import { rawSyscall, type SyscallArg } from "./libc.ts";
import type { SyscallName } from "./syscalls.ts";

/** What node:fs throws: `ENOENT: no such file or directory, open '/nowhere'`. */
export class FileError extends Error {
  override readonly name = "FileError";
  readonly code: string;
  constructor(
    /** −errno, as node has it. */
    readonly errno: number,
    readonly syscall: string,
    readonly path?: string,
  ) {
    const code = errnoName(-errno);
    super(`${code}: ${errnoText(code)}, ${syscall}${path === undefined ? "" : ` '${path}'`}`);
    this.code = code;
  }
}

/** What a call is named in errors, by what the kernel has. */
const NAMES: Partial<Record<SyscallName, string>> = {
  openat: "open",
  mkdirat: "mkdir",
  unlinkat: "unlink",
  renameat2: "rename",
  fchmodat: "chmod",
  readlinkat: "readlink",
  statx: "stat",
  faccessat2: "access",
  getdents64: "scandir",
};

/** A NUL would cut a path short. */
export function whole(path: string): string {
  if (path.includes("\0")) throw new FileError(-ERRNO.EINVAL, "open", path);
  return path;
}

/** Calls the kernel, again when a signal interrupted it. @throws FileError, with the path when there is one */
export function call(path: string | undefined, name: SyscallName, ...args: SyscallArg[]): number {
  for (;;) {
    const result = rawSyscall(name, ...args);
    if (result >= 0) return result;
    if (result !== -ERRNO.EINTR) throw new FileError(result, NAMES[name] ?? name, path);
  }
}
