/** linux/nsfs.h: what a namespace's file answers to ioctl(2); see ioctl_ns(2). */

/** The CLONE_NEW* flag of the namespace's type. Linux 4.11. */
export const NS_GET_NSTYPE = 0xb703;
