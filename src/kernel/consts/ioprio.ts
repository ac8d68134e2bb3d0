/** linux/ioprio.h: a class and a level in one integer. */
export const IOPRIO_CLASS = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 } as const;
export const IOPRIO_CLASS_SHIFT = 13;
/** Whose: a process, 0 for the caller. */
export const IOPRIO_WHO_PROCESS = 1;
