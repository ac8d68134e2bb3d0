/** Extended attributes from one open file to another (xattr(7)). */
import { ERRNO } from "../kernel/errno.ts";
import { rawSyscall, SyscallError } from "../kernel/libc.ts";

/** XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h. */
const MOST = 65536;

/** The label is the copy's own; what overlay keeps for itself means nothing elsewhere. */
const isOther = (name: string) => name === "security.selinux" || name.startsWith("trusted.overlay.");

/** What the copy's file system or the caller's rights don't allow is left out: the file is a whole one without. */
const LEFT_OUT = new Set<number>([-ERRNO.EOPNOTSUPP, -ERRNO.EPERM]);

function names(file: number): string[] {
  const list = new Uint8Array(MOST);
  const length = rawSyscall("flistxattr", file, list, list.length);
  if (length === -ERRNO.EOPNOTSUPP) return [];
  if (length < 0) throw new SyscallError("flistxattr", -length);
  return new TextDecoder().decode(list.subarray(0, length)).split("\0").filter(Boolean);
}

/** Access control lists, capabilities of programs and users' own attributes among them. */
export function copyXattrs(from: number, to: number): void {
  for (const name of names(from)) {
    if (isOther(name)) continue;
    const value = new Uint8Array(MOST);
    const size = rawSyscall("fgetxattr", from, name, value, value.length);
    if (size === -ERRNO.ENODATA || LEFT_OUT.has(size)) continue;
    if (size < 0) throw new SyscallError("fgetxattr", -size);
    const result = rawSyscall("fsetxattr", to, name, value, size, 0);
    if (result < 0 && !LEFT_OUT.has(result)) throw new SyscallError("fsetxattr", -result);
  }
}
