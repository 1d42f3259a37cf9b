/**
 * What changes in the payload's system calls where there are no namespaces: calls that a private root, a pid namespace, an
 * ipc namespace or an empty network made harmless are decided by qi-monitor, or refused.
 */
import { Verdict } from '../plan/layout.gen.js'
import { anyOf, type Condition, clear, is, isNull, masked, never } from './conditions.js'
import { ask, EACCES, ENOSYS, EPERM, type Group, refuse } from './group.js'
import { PLAIN_IOCTLS } from './ioctls.js'

const O_CHANGES = 0o3 | 0o100 | 0o1000 | 0o20000000 // O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, the bit of O_TMPFILE
const [PR_SET_DUMPABLE, SUID_DUMP_USER] = [4, 1]
const OWNER_IOCTLS = ['FIOSETOWN', 'SIOCSPGRP']

/** All but F_SETSIG, F_SETOWN and F_SETOWN_EX, leases and their kin (table.ts), and what no libc asks for. fcntl(2) */
const FCNTL = [
  0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 16, 36, 37, 38, 1025, 1027, 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038
]

const groups = (prctl: Condition[]): Group[] => [
  {
    name: 'changes',
    reason:
      'Landlock cannot take a protected name out of a writable folder, and knows no attributes: qi-monitor makes every ' +
      'change to the granted folders itself.',
    calls: {
      open: [[clear(1, O_CHANGES)]],
      openat: [[clear(2, O_CHANGES)]],
      ...never(`
        creat mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2 unlink unlinkat rmdir
        truncate chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat utimensat inotify_add_watch`)
    },
    otherwise: ask(Verdict.Change)
  },
  {
    name: 'old-times',
    reason: 'Every libc sets times by utimensat.',
    calls: never('utime utimes futimesat'),
    otherwise: refuse(ENOSYS)
  },
  {
    name: 'attributes',
    reason: 'Landlock does not know extended attributes, which the caller’s other programs trust.',
    calls: never(`
      setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setxattrat removexattrat`),
    otherwise: refuse(95) // EOPNOTSUPP: as on a file system without them
  },
  {
    name: 'steering',
    reason: 'Limits and scheduling of others than the caller: qi-monitor tells those of the jail from the others.',
    calls: {
      prlimit64: [[is(0, 0)], [isNull(2)]],
      sched_setparam: [[is(0, 0)]],
      sched_setscheduler: [[is(0, 0)]],
      sched_setaffinity: [[is(0, 0)]],
      sched_setattr: [[is(0, 0)]],
      ...never('setpriority ioprio_set')
    },
    otherwise: ask(Verdict.Process)
  },
  {
    name: 'process-descriptors',
    reason: 'A folder of /proc is one, too, of whomever it is; every library falls back to numbers.',
    calls: never('pidfd_open pidfd_send_signal'),
    otherwise: 'enosys'
  },
  {
    name: 'owners',
    reason: 'Whom the kernel signals when a descriptor is ready: it asks for the user only. Leases, as ever.',
    calls: { fcntl: anyOf(1, FCNTL) },
    otherwise: refuse(EPERM)
  },
  {
    name: 'ipc',
    reason: 'System V and POSIX queues of the host: there is no ipc namespace.',
    calls: never(`
      shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend
      mq_timedreceive mq_notify mq_getsetattr`),
    otherwise: refuse(EPERM)
  },
  {
    name: 'process-options',
    reason:
      'Of a process that hides its memory from its own user qi-monitor, which is that user, cannot decide the calls.',
    calls: { prctl },
    otherwise: refuse(EPERM)
  },
  {
    name: 'ioctl',
    reason: 'As ever, without those that name whom the kernel signals.',
    calls: {
      ioctl: anyOf(
        1,
        Object.entries(PLAIN_IOCTLS)
          .filter(([name]) => !OWNER_IOCTLS.includes(name))
          .map(([, command]) => command)
      )
    },
    otherwise: ask(Verdict.Ioctl)
  }
]

const SOL_SOCKET = 1
const PROTOCOLS = [0, 6, 17, 41, 58, 136, 255, 263, 270, 282, 284] // IP, TCP, UDP, IPv6, ICMPv6, …, MPTCP
const NAMING = [16, 34, 76] // SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD

const isNaming = ([level, name]: Condition): boolean =>
  level?.value === BigInt(SOL_SOCKET) && NAMING.includes(Number(name?.value))

/** A condition says what a number is, not what it is not. */
const ANY_OPTION: Condition[] = [
  ...PROTOCOLS.map((level): Condition => [is(1, level)]),
  ...Array.from({ length: 100 }, (_, name): Condition => [is(1, SOL_SOCKET), is(2, name)])
]

const socketNames = (listed: Condition[], shared: boolean): Group => ({
  name: 'socket-names',
  reason:
    'A local socket that asks who speaks is given a name in the host’s abstract namespace when it connects (unix(7), autobind).',
  calls: { setsockopt: (shared ? ANY_OPTION : listed).filter((each) => !isNaming(each)) },
  otherwise: refuse(EPERM)
})

const SIGNALS: Group[] = [
  {
    name: 'signals-to',
    reason:
      'All the caller’s processes are in sight, and this Landlock has no scopes: qi-monitor tells the jail’s from the others.',
    calls: never('kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo'),
    otherwise: ask(Verdict.Process)
  }
]

const [AF_UNIX, SOCK_STREAM, SOCK_SEQPACKET] = [1, 1, 5]
const local = [SOCK_STREAM, SOCK_SEQPACKET].map((type): Condition => [is(0, AF_UNIX), masked(1, 0xf, type)])

/** Without a network namespace a socket is the host's: none but local ones. */
const NO_NETWORK: Group[] = [
  {
    name: 'socket-families',
    reason: 'No network: without a network namespace every other socket is one of the host’s.',
    calls: { socket: local, socketpair: local },
    otherwise: refuse(EACCES)
  }
]

export interface TierOptions {
  /** The host's; else none. */
  network: boolean
  /** Landlock keeps signals inside. A call that is asked about may be interrupted, so the kernel's own word is preferred. */
  scoped: boolean
}

/** `all`: of a jail with namespaces. A call that is decided otherwise here leaves the group it was in. */
export function withoutNamespaces(all: Group[], { network, scoped }: TierOptions): Group[] {
  const { prctl = [], ...options } = all.find((group) => group.name === 'process-options')?.calls ?? {}
  const dumpable = ([first]: Condition) => first?.arg === 0 && first.value === BigInt(PR_SET_DUMPABLE)
  const cases = [...prctl.filter((each) => !dumpable(each)), [is(0, PR_SET_DUMPABLE), is(1, SUID_DUMP_USER)]]
  const { setsockopt = [] } = all.find((group) => group.name === 'socket-options')?.calls ?? {}
  const names = socketNames(setsockopt, network)
  const ours = [...groups(cases), names, ...(network ? [] : NO_NETWORK), ...(scoped ? [] : SIGNALS)]
  for (const group of ours) if (group.name === 'process-options') Object.assign(group.calls, options)
  const moved = new Set(ours.flatMap(({ calls }) => Object.keys(calls)))
  const kept = all.map((group) => ({
    ...group,
    calls: Object.fromEntries(Object.entries(group.calls).filter(([name]) => !moved.has(name)))
  }))
  return [...kept.filter(({ calls }) => Object.keys(calls).length > 0), ...ours]
}
