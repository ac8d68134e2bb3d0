/**
 * The mounts of a container whose end is waited for. They go with the last reference to their namespace: when that is the
 * program's own, the kernel takes them apart, and waits for all processors, before it tells of the program's end. One more
 * reference, and the end is told first.
 */
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { closeSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";

let held: number | undefined;

/** Refers to the mount namespace of a process (namespaces(7)), if it can be had; the one before is let go. */
export function holdMounts(pid: number): void {
  releaseMounts();
  const fd = rawSyscall("openat", AT_FDCWD, `/proc/${pid}/ns/mnt`, O.O_RDONLY | O.O_CLOEXEC, 0);
  if (fd >= 0) held = fd;
}

export function releaseMounts(): void {
  if (held === undefined) return;
  const fd = held;
  held = undefined;
  closeSync(fd);
}
