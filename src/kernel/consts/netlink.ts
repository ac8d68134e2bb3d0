/** linux/netlink.h, linux/rtnetlink.h, linux/if_link.h and linux/if_addr.h. */
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const NETLINK_ROUTE = 0;
export const SOL_NETLINK = 270;
export const NETLINK_EXT_ACK = 11;

export const NLMSG = { NLMSG_ERROR: 2, NLMSG_DONE: 3 } as const;
export const NLM_F = {
  NLM_F_REQUEST: 1,
  NLM_F_ACK: 4,
  NLM_F_DUMP: 0x300,
  NLM_F_EXCL: 0x200,
  NLM_F_CREATE: 0x400,
} as const;
/** In an answer of NLMSG_ERROR: attributes follow, or the request isn't repeated in it (NETLINK_EXT_ACK). */
export const NLM_F_ACK_TLVS = 0x200;
export const NLM_F_CAPPED = 0x100;
/** linux/netlink.h, `enum nlmsgerr_attrs`. */
export const NLMSGERR_ATTR_MSG = 1;

export const RTM = { RTM_NEWLINK: 16, RTM_GETLINK: 18, RTM_NEWADDR: 20, RTM_GETADDR: 22 } as const;
export const RT_SCOPE_UNIVERSE = 0;

export const IFLA = { IFLA_IFNAME: 3, IFLA_NET_NS_FD: 28 } as const;
export const IFA = {
  IFA_ADDRESS: 1,
  IFA_LOCAL: 2,
  IFA_BROADCAST: 4,
  IFA_FLAGS: 8,
  IFA_RT_PRIORITY: 9,
} as const;
export const IFA_F = {
  IFA_F_NODAD: 0x02,
  IFA_F_HOMEADDRESS: 0x10,
  IFA_F_PERMANENT: 0x80,
  IFA_F_MANAGETEMPADDR: 0x100,
  IFA_F_NOPREFIXROUTE: 0x200,
  IFA_F_MCAUTOJOIN: 0x400,
} as const;
