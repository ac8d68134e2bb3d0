/** Opens what init is to be born with (plan/handles.ts). */

import { KontenaError } from "../error.ts";
import { AT_FDCWD, F, O } from "../kernel/consts/fcntl.ts";
import { NS_GET_NSTYPE } from "../kernel/consts/nsfs.ts";
import { ERRNO, errnoName, errnoText } from "../kernel/errno.ts";
import { closeSync } from "../kernel/fs.ts";
import { rawSyscall, syscall } from "../kernel/libc.ts";
import type { Handle, NamespaceHandle } from "../plan/handles.ts";
import { NAMESPACES } from "../plan/namespaces.ts";

/** The descriptor of a handle. `consoleFd` is there when there is one of that kind. @throws KontenaError */
export function openHandle(handle: Handle, consoleFd: number | undefined): number {
  switch (handle.kind) {
    case "namespace":
      return openNamespace(handle);
    case "given":
      return syscall("fcntl", handle.fd, F.F_DUPFD_CLOEXEC, 3);
    case "console":
      return syscall("fcntl", consoleFd, F.F_DUPFD_CLOEXEC, 3);
    case "tree":
      return forMounts().openTree(handle);
    case "device":
      return forMounts().openDevice(handle);
    case "mapping":
      return forMounts().openMapping(handle);
  }
}

/** Few mounts need one. */
function forMounts() {
  return require("./mount-handles.ts") as typeof import("./mount-handles.ts");
}

/** A path of the config may be anything: it must be a namespace, and of the type that it is given as (ioctl_ns(2)). */
function openNamespace({ type, path, at }: NamespaceHandle): number {
  const fail = (message: string, errno?: string, hint?: string) =>
    new KontenaError("NAMESPACE_FAILED", `cannot join the ${type} namespace ${path}: ${message}`, {
      at,
      path,
      ...(errno === undefined ? {} : { errno }),
      ...(hint === undefined ? {} : { hint }),
    });
  // O_NONBLOCK: a FIFO would wait for a writer.
  const fd = rawSyscall("openat", AT_FDCWD, path, O.O_RDONLY | O.O_CLOEXEC | O.O_NONBLOCK | O.O_NOCTTY, 0);
  if (fd < 0) throw fail(errnoText(errnoName(-fd)), errnoName(-fd));
  const flag = rawSyscall("ioctl", fd, NS_GET_NSTYPE, 0);
  if (flag === NAMESPACES[type].flag) return fd;
  closeSync(fd);
  const found = Object.entries(NAMESPACES).find(([, namespace]) => namespace.flag === flag)?.[0];
  if (found !== undefined) throw fail(`it is a ${found} namespace`);
  throw fail(
    "it is not a namespace",
    flag === -ERRNO.ENOTTY ? undefined : errnoName(-flag),
    "a path such as /proc/PID/ns/net, or a bind mount of one",
  );
}
