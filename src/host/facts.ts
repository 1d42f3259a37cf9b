/** Where a jail's own cgroup would come from. Found by reading, nothing is asked or changed (src/host/cgroup.ts). */
export interface CgroupFacts {
  /** The hierarchy that memory, cpu and io belong to here. */
  version: 2 | 1 | 'none'
  /** Where cgroup v2 is mounted. */
  mount?: string
  /**
   * `subtree`: a group that was delegated to the caller; `scope`: systemd is asked for one; `root`: the hierarchy's root, by
   * root where no systemd manages it.
   */
  source: 'subtree' | 'scope' | 'root' | 'none'
  /** Of the group below which the jail's is made: a folder in `mount`; with `subtree` and `root`. */
  path?: string
  /** Where systemd is asked, with `scope`. */
  busSocket?: string
  /** What can be limited there: memory, cpu, io, pids. */
  controllers: string[]
  /** A process that is in the way there and may be moved to a leaf of its own: the command line tool's. */
  launcherPid?: number
  /** Why there is none, or none of a better kind; empty for a subtree. */
  reason: string
}

/** Whether this caller gets the namespaces of a jail: found by making them, as a launch does. */
export interface UserNamespaces {
  usable: boolean
  /** What is not to be had, and the kernel's answer; empty where all are. */
  reason: string
  /** What to change on this host, where it is known. */
  remedy?: string
}

/**
 * What this host's kernel and caller allow, as plain data: `resolve` and `build` are pure functions of it, so a test can
 * state any host it likes. Probed by calling the kernel, never by version (src/host/probe.ts).
 */
export interface HostFacts {
  arch: 'x64' | 'arm64'
  /** uname -r, for reports only; nothing is decided on it. */
  kernel: string
  uid: number
  gid: number
  /** euid 0 with CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID in the initial user namespace. */
  privileged: boolean
  /** Landlock ABI, 0 when the kernel has none. landlock_create_ruleset(2) */
  landlockAbi: number
  seccomp: {
    /** SECCOMP_RET_USER_NOTIF is available. */
    userNotif: boolean
    /** SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (5.19). */
    waitKillableRecv: boolean
  }
  /** mount_setattr(2), 5.12; without it id-mapped mounts are not to be had. */
  mountSetattr: boolean
  /** SO_NETNS_COOKIE, 5.14; an allow-list of hosts needs it. */
  netnsCookie: boolean
  /** Not asked before somebody wants to know: it takes milliseconds. Absent: taken for usable. */
  readonly userNamespaces?: UserNamespaces
  cgroup: CgroupFacts
}
