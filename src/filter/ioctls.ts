/** ioctl(2) commands (asm-generic, the same on x64 and arm64): decided by the register, which no thread can change. */

/** Passed by the filter itself, because servers issue them often. Anything in neither list is asked of qi-monitor. */
export const PLAIN_IOCTLS: Readonly<Record<string, number>> = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCSETSW: 0x5403,
  TCSETSF: 0x5404,
  TCGETS2: 0x802c542a,
  TCSETS2: 0x402c542b,
  TCSETSW2: 0x402c542c,
  TCSETSF2: 0x402c542d,
  TCSBRK: 0x5409,
  TCXONC: 0x540a,
  TCFLSH: 0x540b,
  TCSBRKP: 0x5425,
  TIOCSCTTY: 0x540e,
  TIOCNOTTY: 0x5422,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCGSID: 0x5429,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  TIOCOUTQ: 0x5411,
  TIOCGETD: 0x5424,
  TIOCPKT: 0x5420,
  TIOCGPTN: 0x80045430,
  TIOCSPTLCK: 0x40045431,
  TIOCGPTLCK: 0x80045439,
  TIOCGPTPEER: 0x5441,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
  FIOASYNC: 0x5452,
  FIOQSIZE: 0x5460,
  FIOSETOWN: 0x8901,
  SIOCSPGRP: 0x8902,
  FIOGETOWN: 0x8903,
  SIOCGPGRP: 0x8904,
  SIOCATMARK: 0x8905,
  FICLONE: 0x40049409,
  FICLONERANGE: 0x4020940d,
  FS_IOC_GETFLAGS: 0x80086601,
  FS_IOC_GETVERSION: 0x80087601,
  FS_IOC_FSGETXATTR: 0x801c581f,
  FS_IOC_FIEMAP: 0xc020660b
}

/**
 * What interfaces and addresses there are (netdevice(7)), in the network that the socket is of: refused by qi-monitor, unless the
 * jail shares the host's. getifaddrs(3) asks by netlink, which only ever tells of the jail's own.
 */
export const INTERFACE_IOCTLS: Readonly<Record<string, number>> = {
  SIOCGIFNAME: 0x8910,
  SIOCGIFCONF: 0x8912,
  SIOCGIFFLAGS: 0x8913,
  SIOCGIFADDR: 0x8915,
  SIOCGIFDSTADDR: 0x8917,
  SIOCGIFBRDADDR: 0x8919,
  SIOCGIFNETMASK: 0x891b,
  SIOCGIFMETRIC: 0x891d,
  SIOCGIFMTU: 0x8921,
  SIOCGIFHWADDR: 0x8927,
  SIOCGIFINDEX: 0x8933,
  SIOCGIFTXQLEN: 0x8942,
  SIOCGIFMAP: 0x8970
}

/** Refused by qi-monitor (Verdict.Ioctl); the reason each is dangerous on a descriptor the caller handed in. */
export const REFUSED_IOCTLS: Readonly<Record<string, { command: number; reason: string }>> = {
  TIOCSTI: { command: 0x5412, reason: 'types into the terminal of the caller (CVE-2017-5226)' },
  TIOCLINUX: { command: 0x541c, reason: 'pastes the selection into a virtual console' },
  TIOCCONS: { command: 0x541d, reason: 'redirects the system console' },
  TIOCSETD: { command: 0x5423, reason: 'loads a line discipline, a long line of kernel bugs' },
  TIOCVHANGUP: { command: 0x5437, reason: 'hangs up the terminal of the caller' },
  KDSETMODE: { command: 0x4b3a, reason: 'switches the virtual console to graphics' },
  KDSKBMODE: { command: 0x4b45, reason: 'changes how the keyboard of the console is read' },
  KDSKBENT: { command: 0x4b47, reason: 'remaps keys of the console' },
  KDSKBSENT: { command: 0x4b49, reason: 'binds text to function keys of the console' },
  VT_SETMODE: { command: 0x5602, reason: 'takes control of virtual console switching' },
  VT_ACTIVATE: { command: 0x5606, reason: 'switches the virtual console' },
  BTRFS_IOC_SNAP_CREATE: { command: 0x50009401, reason: 'creates a name without a call that creates names' },
  BTRFS_IOC_SUBVOL_CREATE: { command: 0x5000940e, reason: 'creates a name without a call that creates names' },
  BTRFS_IOC_SNAP_DESTROY: { command: 0x5000940f, reason: 'removes a tree by one name' },
  BTRFS_IOC_SNAP_CREATE_V2: { command: 0x50009417, reason: 'creates a name without a call that creates names' },
  BTRFS_IOC_SUBVOL_CREATE_V2: { command: 0x50009418, reason: 'creates a name without a call that creates names' }
}
