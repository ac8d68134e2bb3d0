/** linux/seccomp.h. */

/** First argument of seccomp(2). */
export const SECCOMP_SET_MODE_FILTER = 1;

/** Second argument of seccomp(2). WAIT_KILLABLE_RECV is Linux 5.19; the others are older than what kontena needs. */
export const SECCOMP_FILTER_FLAG = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_NEW_LISTENER: 8,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH: 16,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
} as const;

/** What a filter returns: the action in the upper half, its data (an error number, say) in the lower. */
export const SECCOMP_RET = {
  SECCOMP_RET_KILL_PROCESS: 0x8000_0000,
  SECCOMP_RET_KILL_THREAD: 0x0000_0000,
  SECCOMP_RET_TRAP: 0x0003_0000,
  SECCOMP_RET_ERRNO: 0x0005_0000,
  SECCOMP_RET_USER_NOTIF: 0x7fc0_0000,
  SECCOMP_RET_TRACE: 0x7ff0_0000,
  SECCOMP_RET_LOG: 0x7ffc_0000,
  SECCOMP_RET_ALLOW: 0x7fff_0000,
} as const;

/** Offsets in `struct seccomp_data`, which a filter reads. */
export const SECCOMP_DATA = { nr: 0, arch: 4 } as const;

/** linux/filter.h: the longest program that the kernel takes, in instructions of 8 bytes. */
export const BPF_MAXINSNS = 4096;
export const SOCK_FILTER_SIZE = 8;
