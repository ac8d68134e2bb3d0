/** sys/stat.h. */
export const S_IFMT = 0o170000;
export const S_IF = {
  S_IFIFO: 0o010000,
  S_IFCHR: 0o020000,
  S_IFDIR: 0o040000,
  S_IFBLK: 0o060000,
  S_IFREG: 0o100000,
  S_IFLNK: 0o120000,
} as const;

/** A device number as mknod(2) takes it: the kernel's 32-bit huge encoding (linux/kdev_t.h, new_encode_dev). */
export function makedev(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
