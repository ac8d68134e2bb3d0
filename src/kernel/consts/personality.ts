/** sys/personality.h: execution domains. */
export const PER = { PER_LINUX: 0, PER_LINUX32: 8 } as const;
