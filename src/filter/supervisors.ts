/**
 * The filters that pid 1, qi-monitor, the gateway and the keeper put on themselves before the payload runs. Whatever is not listed
 * kills the process, and with it the jail: a supervisor that does what it never does has been taken over.
 */
import { always, anyOf, type Calls, type Condition, clear, is, masked } from './conditions.js'
import type { PayloadOptions } from './table.js'

const PROT_EXEC = 4

/** Accept modes other than reading, O_CREAT, O_TRUNC, O_APPEND and the bit of O_TMPFILE. */
const O_ANY_WRITE = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000

const [AF_INET, AF_INET6] = [2, 10]
const [SOCK_STREAM, SOCK_DGRAM] = [1, 2]

/** Whatever flags (SOCK_NONBLOCK, SOCK_CLOEXEC) come with the type. */
const inetSockets = (types: number[]): Condition[] =>
  [AF_INET, AF_INET6].flatMap((family) =>
    types.flatMap((type) => [0, IPPROTO_TCP].map((protocol) => [is(0, family), masked(1, 0xf, type), is(2, protocol)]))
  )

const SECCOMP_IOCTLS = {
  SECCOMP_IOCTL_NOTIF_RECV: 0xc0502100,
  SECCOMP_IOCTL_NOTIF_SEND: 0xc0182101,
  SECCOMP_IOCTL_NOTIF_ID_VALID: 0x40082102,
  SECCOMP_IOCTL_NOTIF_ADDFD: 0x40182103,
  SECCOMP_IOCTL_NOTIF_SET_FLAGS: 0x40082104
}

/** Whether a folder ignores case. */
const FS_IOC_GETFLAGS = 0x80086601

/** Reaps orphans, forwards signals, reports the exit of the payload; `hostSockets`: makes TCP sockets of its network. */
export function initCalls({ hostSockets, withoutNamespaces: tier }: Omit<PayloadOptions, 'guardCreates'>): Calls {
  return {
    ...always(`
      wait4 waitid kill tgkill rt_sigprocmask rt_sigreturn rt_sigtimedwait poll ppoll recvmsg recvfrom read sendmsg sendto write
      close exit exit_group getpid restart_syscall futex`),
    ...(hostSockets ? { socket: inetSockets([SOCK_STREAM]) } : {}),
    ...(tier === undefined ? {} : { ...always(ENDING), openat: [[clear(2, O_ANY_WRITE)]] })
  }
}

/** Without a pid namespace it finds and kills its descendants itself, and removes their temporary folder. */
const ENDING = 'getdents64 lseek fstat newfstatat openat2 fchmodat renameat2 unlinkat geteuid getuid'

/** Done for the payload, on descriptors and names that were checked; shutdown and geteuid are for the end. */
const CHANGES = 'ftruncate fchmodat fchownat utimensat inotify_add_watch fchdir shutdown geteuid'

export interface MonitorOptions extends PayloadOptions {
  /** Launched by root, with listed sockets, which are connected to as the caller (native/monitor/connect.h). */
  asCaller?: boolean
  /** Without a host: it answers `qi-jail ctl` itself, and removes that socket's name. */
  control?: boolean
}

const NAME_CALLS = 'mkdirat mknodat symlinkat linkat renameat renameat2 unlinkat'

/**
 * Answers notifications, keeps time, writes events. Never makes code executable. openat2, which finds the sockets that the
 * payload connects to, has its flags in memory, out of the filter's sight: what holds it to reading is that qi-monitor has
 * no capabilities. openat is held to reading here.
 */
export function monitorCalls({
  guardCreates,
  hostSockets,
  asCaller,
  control,
  observeFiles,
  mediates,
  withoutNamespaces: tier
}: MonitorOptions): Calls {
  const changesFiles = mediates === true || tier !== undefined
  return {
    ...always(`
      read pread64 readv write writev pwrite64 recvmsg recvfrom sendmsg sendto epoll_wait epoll_pwait epoll_ctl epoll_create1 poll ppoll
      process_vm_readv close fstat fstatfs newfstatat statx readlink readlinkat openat2 getdents64 pidfd_open pidfd_getfd
      pidfd_send_signal kill waitid wait4 timerfd_create timerfd_settime clock_gettime clock_nanosleep getrandom connect bind getsockname
      getpeername getsockopt setsockopt setitimer fcntl rt_sigreturn rt_sigprocmask exit exit_group getpid gettid futex
      restart_syscall brk munmap mremap madvise lseek umask`),
    mmap: [[clear(2, PROT_EXEC)]],
    mprotect: [[clear(2, PROT_EXEC)]],
    ioctl: anyOf(1, [...Object.values(SECCOMP_IOCTLS), ...(mediates ? [FS_IOC_GETFLAGS] : [])]),
    openat: guardCreates || changesFiles ? [[]] : [[clear(2, O_ANY_WRITE)]],
    // Files only; where names are made for the payload, every unlink is needed.
    ...(control ? { ...always('accept4'), unlinkat: [[is(2, 0)]] } : {}),
    ...(guardCreates ? always(NAME_CALLS) : {}),
    ...(asCaller ? always('setfsuid setfsgid') : {}),
    ...(observeFiles ? always('faccessat faccessat2') : {}),
    ...(changesFiles ? always(`${NAME_CALLS} ${CHANGES}`) : {}),
    ...(hostSockets
      ? { ...always(HOST_SOCKET_CALLS), socket: inetSockets([SOCK_STREAM]), clone: [[is(0, OWN_TABLE)]] }
      : {})
  }
}

/** Rules go to the gateway in a memfd; dup3 moves registrations of epoll sets (native/monitor/swap.h). */
const HOST_SOCKET_CALLS = 'listen memfd_create dup3'

/** CLONE_VM, CLONE_VFORK and SIGCHLD: a child that shares everything but the table of descriptors, and is waited for. */
const OWN_TABLE = 0x100 | 0x4000 | 17

const SOL_SOCKET = 1
const IPPROTO_TCP = 6
const SO_ERROR = 4
const SO_KEEPALIVE = 9
const SO_LINGER = 13
const TCP_NODELAY = 1

/**
 * Talks to resolvers and hosts outside, and to the jail over sockets that it was given. It reads the most hostile bytes of
 * all, so it opens no file, starts nothing, sees no other process, and makes plain TCP and UDP sockets only. It listens
 * nowhere: no bind, no listen.
 */
export function gatewayCalls(): Calls {
  return {
    ...always(`
      connect accept4 shutdown getsockname recvfrom recvmsg sendto sendmsg splice pipe2 close read write pread64
      epoll_ctl epoll_wait epoll_pwait poll ppoll clock_gettime getrandom brk munmap mremap madvise futex rt_sigreturn exit
      exit_group restart_syscall`),
    socket: inetSockets([SOCK_STREAM, SOCK_DGRAM]),
    getsockopt: [[is(1, SOL_SOCKET), is(2, SO_ERROR)]],
    setsockopt: [
      [is(1, SOL_SOCKET), is(2, SO_KEEPALIVE)],
      [is(1, SOL_SOCKET), is(2, SO_LINGER)],
      [is(1, IPPROTO_TCP), is(2, TCP_NODELAY)]
    ],
    mmap: [[clear(2, PROT_EXEC)]],
    mprotect: [[clear(2, PROT_EXEC)]]
  }
}

const SIGKILL = 9
const AT_REMOVEDIR = 0x200

/**
 * Waits until qi-monitor asks for the end of the jail's cgroup or is gone, then ends it by descriptors that it was given.
 * Nothing of the jail's reaches it but the numbers of processes that it kills. `control`: it removes the name of the control
 * socket too, once it has seen that it is one.
 */
export function keeperCalls({ control }: Pick<MonitorOptions, 'control'>): Calls {
  return {
    ...always('recvmsg sendmsg poll ppoll pread64 write close exit exit_group rt_sigreturn restart_syscall'),
    kill: [[is(1, SIGKILL)]],
    ...(control ? always('fstat newfstatat') : {}),
    unlinkat: [[is(2, AT_REMOVEDIR)], ...(control ? [[is(2, 0)]] : [])]
  }
}
