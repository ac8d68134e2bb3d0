/** signal.h and asm-generic/signal.h, the same numbers on x86-64 and arm64. */
export const SIGCHLD = 17;
export const SIGKILL = 9;
export const SIG = { SIG_BLOCK: 0, SIG_UNBLOCK: 1, SIG_SETMASK: 2 } as const;
/** Bytes of the kernel's own sigset_t, which the rt_sig* calls want to be told. */
export const SIGSET_SIZE = 8;
/** The handler of `struct sigaction` for a signal that is ignored. */
export const SIG_IGN = 1n;
