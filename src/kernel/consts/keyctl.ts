/** linux/keyctl.h: operations of keyctl(2). */
export const KEYCTL = { KEYCTL_JOIN_SESSION_KEYRING: 1, KEYCTL_SETPERM: 5 } as const;

/** linux/key.h: who may do what with a key; possessor, owner, group, others: a byte each. */
export const KEY = {
  KEY_POS_ALL: 0x3f000000,
  KEY_USR_VIEW: 0x00010000,
  KEY_USR_READ: 0x00020000,
  KEY_USR_SEARCH: 0x00080000,
  KEY_USR_LINK: 0x00100000,
  KEY_OTH_SEARCH: 0x00000008,
} as const;
