/** linux/bpf.h: what a filter of a cgroup's devices needs. */

/** Commands of bpf(2). */
export const BPF = {
  BPF_PROG_LOAD: 5,
  BPF_PROG_ATTACH: 8,
  BPF_PROG_DETACH: 9,
  BPF_PROG_GET_FD_BY_ID: 13,
  BPF_OBJ_GET_INFO_BY_FD: 15,
  BPF_PROG_QUERY: 16,
} as const;

export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
/** enum bpf_attach_type. */
export const BPF_CGROUP_DEVICE = 6;

/** Flags of BPF_PROG_ATTACH; BPF_F_REPLACE: Linux 5.6. */
export const BPF_F = { BPF_F_ALLOW_MULTI: 2, BPF_F_REPLACE: 4 } as const;
