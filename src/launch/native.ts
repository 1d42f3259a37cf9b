import type { FilterSpec } from '../filter/types.js'

/** `code` -1: ended by that signal; `signal` 0: by none. */
interface WaitStatus {
  code: number
  signal: number
}

/** The addon's whole surface (native/binding). Every function converts in, calls core, converts out. */
export interface NativeAddon {
  /** struct sock_filter[] as bytes; throws {code: 'QI_FILTER', errno} */
  compileFilter(spec: FilterSpec): Uint8Array
  /** null when qi-monitor would accept the bytes, else what is wrong with them. */
  checkPlan(plan: Uint8Array): string | null
  /** landlockAbi etc., each probed by a call. */
  probeHost(): {
    uid: number
    gid: number
    capEffective: bigint
    initialUserNamespace: boolean
    landlockAbi: number
    userNotif: boolean
    waitKillableRecv: boolean
    netnsCookie: boolean
    mountSetattr: boolean
  }
  /**
   * Seals `plan` into a memfd and starts qi-monitor. `stdio[i]`: a descriptor to inherit, or -1 for a new pipe, or -2 for
   * /dev/null. Returns qi-monitor's pid and pidfd, our ends of the pipes (-1 where none) and of the control socket.
   * `auditFd` -1 for none.
   */
  spawn(options: {
    monitor: string
    plan: Uint8Array
    stdio: [number, number, number]
    auditFd: number
    /** Of qi-monitor itself, `K=V`; empty unless a test needs one. */
    environment?: string[]
  }): {
    pid: number
    pidfd: number
    control: number
    pipes: [number, number, number]
  }
  /**
   * execve(2): this process becomes `file`, with no jail. Returns never; throws {syscall, errno} where it failed, and then
   * signals do what they do by default, and no more than `openFiles` are its soft limit.
   */
  execute(file: string, argv: Buffer[], environment: Buffer[], openFiles: number): never
  /**
   * Seals `plan` and makes this process qi-monitor, with `argv` as it is to be seen, our environment and our standard
   * streams. Returns never; throws {errno, syscall} as `spawn` when that failed, EBUSY when this process has children.
   */
  becomeMonitor(options: {
    monitor: string
    plan: Uint8Array
    stdio: [number, number, number]
    auditFd: number
    argv: string[]
  }): never
  /** A few bytes into a socket, now; false when it does not take them all. */
  send(socket: number, text: string): boolean
  /** Sends a signal to qi-monitor through its pidfd. */
  kill(pidfd: number, signal: number): void
  /** The wait status, once qi-monitor is gone; closes the pidfd. */
  reap(pid: number, pidfd: number): WaitStatus | Promise<WaitStatus>
  /** lgetxattr(2), 255 bytes at most; null when it is not there or not to be read. */
  getXattr(path: string, name: string): string | null
  /**
   * What network rules (src/network/text.ts) say of a host, by the code that decides for a jail; a name is taken to lead to
   * a public address. `rule`: index among the rules for hosts, -1 for none. null for rules or a host that cannot be read.
   */
  judgeHost(
    rules: string,
    host: string,
    port: number,
    udp: boolean
  ): { allowed: boolean; ask: boolean; permit: boolean; inspect: boolean; reason: string; rule: number } | null
  /** What caller and host are (native/cache/facts.h); null where plans are not kept. */
  callerFacts(): Buffer | null
  /** What signs kept plans, made where it is missing (native/cache/secret.h); null where there can be none. */
  cacheSecret(): Buffer | null
  /** SipHash-2-4 of 16 bytes under a key of 16; null for another key. */
  keyedHash(key: Buffer, data: Buffer): Buffer | null
  /** getrandom(2): up to 256 bytes; throws {errno, syscall}. */
  randomBytes(size: number): Buffer
  /** Whether every path of a CacheLooks (src/cache/observe.ts) looks as it did; false for anything else. */
  areAsBefore(looks: Buffer): boolean
  /** errno number -> name, e.g. 13 -> EACCES */
  errnoName(errno: number): string
}
