/** init's file: a sealed memfd with the interpreter and its bootstrap, told where its plan is. */
import { KontenaError } from "../error.ts";
import { F, F_SEAL, MFD, O } from "../kernel/consts/fcntl.ts";
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC } from "../kernel/consts/mount.ts";
import { ERRNO } from "../kernel/errno.ts";
import { closeSync, fstatSync, writeSync } from "../kernel/fs.ts";
import { rawSyscall, SyscallError, syscall } from "../kernel/libc.ts";
import type { Kit, Told } from "./loader.ts";
import { moveAbove } from "./talk.ts";

/** A descriptor with a number of `above` or more: dup3 in the child must not close it. */
export function newInit(kit: Kit, told: Told, above: number): number {
  return moveAbove(openInit(kit, told), above);
}

let kept: { kit: Kit; told: Told; fd: number; inode: number } | undefined;

const isSame = (a: Told, b: Told) =>
  a.planFd === b.planFd && a.planSize === b.planSize && a.firstOp === b.firstOp;

/**
 * The file of the last birth stays open, for the next one that is like it: the inits of a program that makes many share it, and
 * its memory. Somebody in this program may have closed it meanwhile, and its number be another file's.
 */
export function keptInit(kit: Kit, told: Told, above: number): number {
  if (kept !== undefined && inodeOf(kept.fd) === kept.inode) {
    if (kept.kit === kit && isSame(kept.told, told) && kept.fd >= above) return kept.fd;
    closeSync(kept.fd);
  }
  const fd = newInit(kit, told, above);
  kept = isSealed(fd) ? { kit, told, fd, inode: inodeOf(fd) } : undefined;
  return fd;
}

/** Whether this descriptor is not to be closed. */
export const isKept = (fd: number) => kept?.fd === fd;

/** A file that could be written to would carry from one container to the next (CVE-2019-5736): it is for one birth. */
function isSealed(fd: number): boolean {
  const seals = rawSyscall("fcntl", fd, F.F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL.F_SEAL_WRITE) !== 0;
}

/** −1 for none. */
function inodeOf(fd: number): number {
  try {
    return fstatSync(fd).ino;
  } catch {
    return -1;
  }
}

function openInit({ init, toldAt }: Kit, told: Told): number {
  const image = init.slice();
  const view = new DataView(image.buffer);
  for (const name in toldAt)
    for (const at of toldAt[name as keyof Told])
      view.setBigUint64(at, BigInt(told[name as keyof Told]), true);
  const flags = MFD.MFD_CLOEXEC | MFD.MFD_ALLOW_SEALING;
  let fd = rawSyscall("memfd_create", "kontena-init", flags | MFD.MFD_EXEC);
  // Kernels before 6.3 don't know MFD_EXEC and need no such leave.
  if (fd === -ERRNO.EINVAL) fd = rawSyscall("memfd_create", "kontena-init", flags);
  // vm.memfd_noexec=2: root has another file system in memory.
  if (fd === -ERRNO.EACCES) return openInitOnTmpfs(image);
  if (fd < 0) throw new SyscallError("memfd_create", -fd);
  writeSync(fd, image);
  const seals = F_SEAL.F_SEAL_SEAL | F_SEAL.F_SEAL_SHRINK | F_SEAL.F_SEAL_GROW | F_SEAL.F_SEAL_WRITE;
  syscall("fcntl", fd, F.F_ADD_SEALS, seals);
  return fd;
}

/** The same on a tmpfs that is mounted nowhere and goes with its last descriptor. */
function openInitOnTmpfs(image: Uint8Array): number {
  const context = rawSyscall("fsopen", "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0)
    throw new KontenaError("HOST_UNSUPPORTED", "this machine forbids programs in memory", {
      syscall: "memfd_create",
      errno: "EACCES",
      hint: "vm.memfd_noexec is 2: set it to 0 or 1, or run kontena as root",
    });
  syscall("fsconfig", context, FSCONFIG.FSCONFIG_CMD_CREATE, 0, 0, 0);
  const mount = syscall("fsmount", context, FSMOUNT_CLOEXEC, 0);
  const file = syscall("openat", mount, "init", O.O_CREAT | O.O_WRONLY | O.O_CLOEXEC, 0o500);
  writeSync(file, image);
  closeSync(file);
  const fd = syscall("openat", mount, "init", O.O_RDONLY | O.O_CLOEXEC, 0);
  closeSync(mount);
  closeSync(context);
  return fd;
}
