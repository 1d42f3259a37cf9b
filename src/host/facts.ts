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
}
