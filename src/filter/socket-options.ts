/**
 * Socket options (asm-generic, the same on x64 and arm64) that a payload may set where its TCP sockets are the host's.
 * Both numbers are in registers, which no thread can change. Left out, and what each would do there: IP_OPTIONS, IPV6_RTHDR
 * and IPV6_2292PKTOPTIONS route by way of any host; SO_BINDTODEVICE, SO_BINDTOIFINDEX, IP_UNICAST_IF, IPV6_UNICAST_IF and
 * IPV6_PKTINFO pick another interface (past a VPN); TCP_FASTOPEN_CONNECT connects with the first bytes; TCP_ULP puts another
 * protocol on top; TCP_MD5SIG, TCP_AO and TCP_REPAIR rewrite a connection; MCAST_* and JOIN_ANYCAST speak to the host's
 * network; SO_ATTACH_* run programs in the kernel.
 */
const OPTIONS: Readonly<Record<string, { level: number; names: Record<string, number> }>> = {
  SOL_SOCKET: {
    level: 1,
    names: {
      SO_DEBUG: 1,
      SO_REUSEADDR: 2,
      SO_DONTROUTE: 5,
      SO_BROADCAST: 6,
      SO_SNDBUF: 7,
      SO_RCVBUF: 8,
      SO_KEEPALIVE: 9,
      SO_OOBINLINE: 10,
      SO_NO_CHECK: 11,
      SO_PRIORITY: 12,
      SO_LINGER: 13,
      SO_BSDCOMPAT: 14,
      SO_REUSEPORT: 15,
      SO_PASSCRED: 16,
      SO_RCVLOWAT: 18,
      SO_SNDLOWAT: 19,
      SO_RCVTIMEO: 20,
      SO_SNDTIMEO: 21,
      SO_TIMESTAMP: 29,
      SO_PASSSEC: 34,
      SO_TIMESTAMPNS: 35,
      SO_MARK: 36,
      SO_TIMESTAMPING: 37,
      SO_RXQ_OVFL: 40,
      SO_PEEK_OFF: 42,
      SO_SELECT_ERR_QUEUE: 45,
      SO_BUSY_POLL: 46,
      SO_MAX_PACING_RATE: 47,
      SO_INCOMING_CPU: 49,
      SO_ZEROCOPY: 60,
      SO_TXTIME: 61,
      SO_TIMESTAMP_NEW: 63,
      SO_TIMESTAMPNS_NEW: 64,
      SO_TIMESTAMPING_NEW: 65,
      SO_RCVTIMEO_NEW: 66,
      SO_SNDTIMEO_NEW: 67,
      SO_PREFER_BUSY_POLL: 69,
      SO_BUSY_POLL_BUDGET: 70,
      SO_BUF_LOCK: 72,
      SO_TXREHASH: 74,
      SO_PASSPIDFD: 76
    }
  },
  IPPROTO_IP: {
    level: 0,
    names: {
      IP_TOS: 1,
      IP_TTL: 2,
      IP_RECVOPTS: 6,
      IP_PKTINFO: 8,
      IP_MTU_DISCOVER: 10,
      IP_RECVERR: 11,
      IP_RECVTTL: 12,
      IP_RECVTOS: 13,
      IP_FREEBIND: 15,
      IP_RECVORIGDSTADDR: 20,
      IP_MINTTL: 21,
      IP_BIND_ADDRESS_NO_PORT: 24,
      IP_MULTICAST_IF: 32,
      IP_MULTICAST_TTL: 33,
      IP_MULTICAST_LOOP: 34,
      IP_ADD_MEMBERSHIP: 35,
      IP_DROP_MEMBERSHIP: 36,
      IP_MULTICAST_ALL: 49,
      IP_LOCAL_PORT_RANGE: 51
    }
  },
  IPPROTO_TCP: {
    level: 6,
    names: {
      TCP_NODELAY: 1,
      TCP_MAXSEG: 2,
      TCP_CORK: 3,
      TCP_KEEPIDLE: 4,
      TCP_KEEPINTVL: 5,
      TCP_KEEPCNT: 6,
      TCP_SYNCNT: 7,
      TCP_LINGER2: 8,
      TCP_DEFER_ACCEPT: 9,
      TCP_WINDOW_CLAMP: 10,
      TCP_QUICKACK: 12,
      TCP_CONGESTION: 13,
      TCP_THIN_LINEAR_TIMEOUTS: 16,
      TCP_THIN_DUPACK: 17,
      TCP_USER_TIMEOUT: 18,
      TCP_FASTOPEN: 23,
      TCP_NOTSENT_LOWAT: 25,
      TCP_SAVE_SYN: 27,
      TCP_INQ: 36,
      TCP_TX_DELAY: 37
    }
  },
  IPPROTO_UDP: {
    level: 17,
    names: {
      UDP_CORK: 1,
      UDP_NO_CHECK6_TX: 101,
      UDP_NO_CHECK6_RX: 102,
      UDP_SEGMENT: 103,
      UDP_GRO: 104
    }
  },
  IPPROTO_IPV6: {
    level: 41,
    names: {
      IPV6_UNICAST_HOPS: 16,
      IPV6_MULTICAST_IF: 17,
      IPV6_MULTICAST_HOPS: 18,
      IPV6_MULTICAST_LOOP: 19,
      IPV6_ADD_MEMBERSHIP: 20,
      IPV6_DROP_MEMBERSHIP: 21,
      IPV6_MTU_DISCOVER: 23,
      IPV6_MTU: 24,
      IPV6_RECVERR: 25,
      IPV6_V6ONLY: 26,
      IPV6_MULTICAST_ALL: 29,
      IPV6_RECVPKTINFO: 49,
      IPV6_RECVHOPLIMIT: 51,
      IPV6_RECVHOPOPTS: 53,
      IPV6_RECVRTHDR: 56,
      IPV6_RECVDSTOPTS: 58,
      IPV6_RECVPATHMTU: 60,
      IPV6_DONTFRAG: 62,
      IPV6_RECVTCLASS: 66,
      IPV6_TCLASS: 67,
      IPV6_AUTOFLOWLABEL: 70,
      IPV6_ADDR_PREFERENCES: 72,
      IPV6_MINHOPCOUNT: 73,
      IPV6_RECVORIGDSTADDR: 74,
      IPV6_FREEBIND: 78
    }
  },
  SOL_NETLINK: {
    level: 270,
    names: {
      NETLINK_ADD_MEMBERSHIP: 1,
      NETLINK_DROP_MEMBERSHIP: 2,
      NETLINK_PKTINFO: 3,
      NETLINK_BROADCAST_ERROR: 4,
      NETLINK_NO_ENOBUFS: 5,
      NETLINK_CAP_ACK: 10,
      NETLINK_EXT_ACK: 11,
      NETLINK_GET_STRICT_CHK: 12
    }
  }
}

export const SOCKET_OPTIONS: [level: number, name: number][] = Object.values(OPTIONS).flatMap(({ level, names }) =>
  Object.values(names).map((name): [number, number] => [level, name])
)
