/** sys/mman.h. */
export const PROT = { PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 } as const;
/** MAP_FIXED_NOREPLACE: Linux 4.17. */
export const MAP = {
  MAP_SHARED: 1,
  MAP_PRIVATE: 2,
  MAP_ANONYMOUS: 0x20,
  MAP_FIXED_NOREPLACE: 0x100000,
} as const;
export const MADV = { MADV_DONTNEED: 4 } as const;
