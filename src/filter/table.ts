/**
 * The payload's system calls: an allow-list for current Node, Python, Go, Rust and JVM servers. Every known call is in
 * exactly one group (test/filter checks it). What is allowed passes in the filter; what is not is answered by
 * qi-monitor, which records it. The lethal list is not here: x32 and foreign architectures always kill the process.
 */
import { Verdict } from '../plan/layout.gen.js'
import type { SyscallChoices } from './choices.js'
import { always, anyOf, type Condition, clear, is, masked, never } from './conditions.js'
import { ask, EINVAL, ENOSYS, EPERM, type Group, refuse } from './group.js'
import { mediated } from './mediated.js'
import { socketGroups } from './sockets.js'
import { type TierOptions, withoutNamespaces } from './tier.js'

/** NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. 0x80 is no valid exit signal of clone(2) either. */
const CLONE_NEW_ANY = 0x7e020080
const SET_ID_BITS = 0o6000
const O_CREAT = 0o100
const O_TMPFILE_BIT = 0o20000000
const FILTER_FLAG_NEW_LISTENER = 8
const S_IFMT = 0o170000

const PRCTL: Readonly<Record<string, number>> = {
  PR_SET_PDEATHSIG: 1,
  PR_GET_PDEATHSIG: 2,
  PR_GET_DUMPABLE: 3,
  PR_SET_DUMPABLE: 4,
  PR_GET_KEEPCAPS: 7,
  PR_GET_TIMING: 13,
  PR_SET_NAME: 15,
  PR_GET_NAME: 16,
  PR_GET_SECCOMP: 21,
  PR_SET_SECCOMP: 22,
  PR_CAPBSET_READ: 23,
  PR_GET_TSC: 25,
  PR_GET_SECUREBITS: 27,
  PR_SET_TIMERSLACK: 29,
  PR_GET_TIMERSLACK: 30,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_GET_CHILD_SUBREAPER: 37,
  PR_SET_NO_NEW_PRIVS: 38,
  PR_GET_NO_NEW_PRIVS: 39,
  PR_GET_TID_ADDRESS: 40,
  PR_SET_THP_DISABLE: 41,
  PR_GET_THP_DISABLE: 42,
  PR_GET_SPECULATION_CTRL: 52,
  PR_SET_MDWE: 65,
  PR_GET_MDWE: 66,
  PR_GET_AUXV: 0x41555856,
  PR_SET_VMA: 0x53564d41,
  // arm64 processor state of the caller alone
  PR_SVE_SET_VL: 50,
  PR_SVE_GET_VL: 51,
  PR_PAC_RESET_KEYS: 54,
  PR_SET_TAGGED_ADDR_CTRL: 55,
  PR_GET_TAGGED_ADDR_CTRL: 56,
  PR_PAC_SET_ENABLED_KEYS: 60,
  PR_PAC_GET_ENABLED_KEYS: 61,
  PR_SME_SET_VL: 63,
  PR_SME_GET_VL: 64,
  PR_GET_SHADOW_STACK_STATUS: 74,
  PR_SET_SHADOW_STACK_STATUS: 75,
  PR_LOCK_SHADOW_STACK_STATUS: 76
}
const [PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET] = [47, 1]

/** All but F_SETLEASE (1024), F_NOTIFY (1026), F_SETDELEG (1040) and later ones, in few questions: it is called often. */
const FCNTL: Condition[] = [
  [masked(1, 0xfffffc00, 0)],
  [masked(1, 0xfffffffc, 1028)],
  [masked(1, 0xfffffff8, 1032)],
  [is(1, 1025)],
  [is(1, 1027)]
]

const COMMON: Group[] = [
  {
    name: 'file-io',
    reason: 'Reading and writing descriptors that are already open.',
    calls: always(`
      read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3
      flock fsync fdatasync sync syncfs sync_file_range fallocate ftruncate fadvise64 readahead sendfile splice tee vmsplice
      copy_file_range getdents getdents64 pipe pipe2 io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
      cachestat memfd_create`)
  },
  {
    name: 'leases',
    reason:
      'A lease on a file, or a delegation of a folder, that may only be read keeps the host’s own programs waiting for up to ' +
      'lease-break-time, again and again; F_NOTIFY tells of every change.',
    calls: { fcntl: FCNTL },
    otherwise: refuse(EINVAL) // as on a file system without leases
  },
  {
    name: 'file-names',
    reason: 'Looking up, removing and describing files; mounts, permissions and Landlock decide which.',
    calls: always(`
      stat lstat fstat newfstatat statx access faccessat faccessat2 readlink readlinkat statfs fstatfs truncate getcwd chdir
      fchdir umask unlink unlinkat rmdir chown fchown lchown fchownat utime utimes futimesat utimensat setxattr lsetxattr
      fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr setxattrat
      getxattrat listxattrat removexattrat file_getattr inotify_init inotify_init1 inotify_add_watch inotify_rm_watch`)
  },
  {
    name: 'memory',
    reason: 'The caller’s own address space; JIT compilers need executable mappings.',
    calls: always(`
      mmap munmap mprotect mremap madvise msync mincore brk mlock mlock2 munlock mlockall munlockall mseal map_shadow_stack
      pkey_mprotect pkey_alloc pkey_free membarrier mbind set_mempolicy get_mempolicy set_mempolicy_home_node`)
  },
  {
    name: 'processes',
    reason: 'Starting, waiting for and limiting processes of the jail.',
    calls: always(`
      fork vfork execve execveat exit exit_group wait4 waitid set_tid_address getpid getppid gettid getpgid getpgrp setpgid
      getsid setsid getrlimit setrlimit prlimit64 getrusage times getpriority setpriority ioprio_get ioprio_set pidfd_open
      sched_yield sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max
      sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity sched_setattr sched_getattr getcpu
      arch_prctl set_robust_list get_robust_list rseq uretprobe uprobe`)
  },
  {
    name: 'identity',
    reason: 'Without capabilities the kernel itself decides; nothing can be gained.',
    calls: always(`
      getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid setfsuid
      setfsgid setgroups capget capset lsm_get_self_attr lsm_list_modules landlock_create_ruleset landlock_add_rule
      landlock_restrict_self`)
  },
  {
    name: 'signals',
    reason: 'Signals reach the jail’s own process namespace only.',
    calls: always(`
      kill tkill tgkill pidfd_send_signal rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait
      rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend sigaltstack signalfd signalfd4 pause restart_syscall`)
  },
  {
    name: 'waiting',
    reason: 'Event loops, locks between threads and timers.',
    calls: always(`
      poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
      futex futex_waitv futex_wake futex_wait futex_requeue timerfd_create timerfd_settime timerfd_gettime timer_create
      timer_settime timer_gettime timer_getoverrun timer_delete nanosleep clock_nanosleep alarm getitimer setitimer`)
  },
  {
    name: 'information',
    reason: 'Clocks, randomness and what the machine is.',
    calls: always('time gettimeofday clock_gettime clock_getres getrandom uname sysinfo')
  },
  {
    name: 'ipc',
    reason: 'System V and POSIX queues of the jail’s own ipc namespace.',
    calls: always(`
      shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend
      mq_timedreceive mq_notify mq_getsetattr`)
  },
  {
    name: 'namespaces',
    reason: 'A namespace of its own would give the payload capabilities and mounts that undo the write denies.',
    calls: { clone: [[clear(0, CLONE_NEW_ANY)]], unshare: [[clear(0, CLONE_NEW_ANY)]], ...never('setns') },
    otherwise: refuse(EPERM)
  },
  {
    name: 'flags-in-memory',
    reason: 'What they would do is in memory the filter cannot read; every libc falls back to clone and openat.',
    calls: never('clone3 openat2'),
    otherwise: 'enosys'
  },
  {
    name: 'mounts',
    reason: 'The file tree of the jail is final.',
    calls: never(`
      mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree open_tree_attr mount_setattr
      statmount listmount`),
    otherwise: refuse(EPERM)
  },
  {
    name: 'set-id-bits',
    reason:
      'A file in a writable grant belongs to the caller on the host: with a set-id bit it would run as the caller.',
    calls: {
      chmod: [[clear(1, SET_ID_BITS)]],
      fchmod: [[clear(1, SET_ID_BITS)]],
      fchmodat: [[clear(2, SET_ID_BITS)]],
      fchmodat2: [[clear(2, SET_ID_BITS)]]
    },
    otherwise: refuse(EPERM)
  },
  {
    name: 'file-attributes',
    reason: 'Project ids and immutability are not for a payload to set.',
    calls: never('file_setattr'),
    otherwise: refuse(EPERM)
  },
  {
    name: 'process-options',
    reason: 'Naming, death signals and hardening pass; faking one’s own image, tracer or personality does not.',
    calls: {
      prctl: [...anyOf(0, Object.values(PRCTL)), [is(0, PR_CAP_AMBIENT), is(1, PR_CAP_AMBIENT_IS_SET)]],
      personality: anyOf(0, [0, 0xffffffff])
    },
    otherwise: refuse(EPERM)
  },
  {
    name: 'nested-filters',
    reason: 'A filter on top may only take away; a second listener could not be installed and would hide refusals.',
    calls: {
      // strict mode, a filter, and the two questions about what the kernel supports
      seccomp: [[is(0, 0)], [is(0, 1), clear(1, FILTER_FLAG_NEW_LISTENER)], [is(0, 2)], [is(0, 3)]]
    },
    otherwise: refuse(EPERM)
  },
  {
    name: 'other-processes',
    reason: 'Reading or steering another process is how one payload process escapes another’s limits.',
    calls: never(`
      ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise process_mrelease move_pages migrate_pages`),
    otherwise: refuse(EPERM)
  },
  {
    name: 'kernel-surface',
    reason: 'Large, privileged or young kernel interfaces that servers do not need; io_uring bypasses this filter.',
    calls: never(`
      bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register memfd_secret fanotify_init fanotify_mark
      name_to_handle_at open_by_handle_at lookup_dcookie modify_ldt`),
    otherwise: refuse(EPERM)
  },
  {
    name: 'keys',
    reason: 'Kernel keyrings are not namespaced: the caller’s keys would be in reach.',
    calls: never('add_key request_key keyctl'),
    otherwise: refuse(EPERM)
  },
  {
    name: 'administration',
    reason: 'The clock, modules, swap, accounting and names of the host.',
    calls: never(`
      settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname init_module finit_module delete_module
      kexec_load kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd iopl ioperm vhangup syslog
      lsm_set_self_attr`),
    otherwise: refuse(EPERM)
  },
  {
    name: 'obsolete',
    reason: 'Gone from the kernel, or of no use for decades.',
    calls: never(`
      _sysctl uselib ustat sysfs create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall
      security vserver set_thread_area get_thread_area epoll_ctl_old epoll_wait_old remap_file_pages`),
    otherwise: refuse(ENOSYS)
  }
]

/** Without O_CREAT the mode register is whatever was left in it, so it counts only where a file is made. */
const openCases = (flags: number): Condition[] => [
  [clear(flags, O_CREAT | O_TMPFILE_BIT)],
  [clear(flags + 1, SET_ID_BITS)]
]
const nodeCases = (mode: number): Condition[] =>
  [0, 0o100000, 0o010000, 0o140000].map((type) => [masked(mode, S_IFMT | SET_ID_BITS, type)]) // file, FIFO, socket

const CREATES: Group[] = [
  {
    name: 'new-names',
    reason: 'Making and renaming names; mounts, permissions and Landlock decide where.',
    calls: always('mkdir mkdirat symlink symlinkat link linkat rename renameat renameat2')
  },
  {
    name: 'new-files',
    reason: 'No device nodes, and no set-id bits: a new file in a writable grant belongs to the caller on the host.',
    calls: {
      open: openCases(1),
      openat: openCases(2),
      creat: [[clear(1, SET_ID_BITS)]],
      mknod: nodeCases(1),
      mknodat: nodeCases(2)
    },
    otherwise: refuse(EPERM)
  }
]

const GUARDED_CREATES: Group[] = [
  {
    name: 'new-names',
    reason:
      'Some names must not come to be: the path is in memory, so qi-monitor reads it once and makes the name itself.',
    calls: {
      open: [[clear(1, O_CREAT | O_TMPFILE_BIT)]],
      openat: [[clear(2, O_CREAT | O_TMPFILE_BIT)]],
      ...never('creat mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2')
    },
    otherwise: ask(Verdict.Create)
  }
]

export interface PayloadOptions {
  /** Calls that create names are decided by qi-monitor (PlanFlag.GuardCreates). */
  guardCreates: boolean
  /** TCP sockets are made by qi-monitor in the host's network (PlanFlag.AllowListNetwork). */
  hostSockets: boolean
  /** The network is the host's (PlanFlag.ShareHostNetwork). */
  sharedNetwork?: boolean
  /** Calls that take paths are passed up to be seen (PlanFlag.ObserveFiles). */
  observeFiles?: boolean
  /** Names are denied by pattern (PlanFlag.Mediate). */
  mediates?: boolean
  /** There are no namespaces (PlanFlag.WithoutNamespaces). */
  withoutNamespaces?: TierOptions
  /** What the policy changes. */
  choices?: SyscallChoices
  /** What `syscalls.allow` could lift is recorded and let through (PlanFlag.Permissive). */
  permissive?: boolean
  /** No process namespace: numbers of processes may be those of the host's. */
  sharedProcesses?: boolean
  /** Imported profiles are asked, too: qi-monitor has to know the calls that the table allows as well. */
  imported?: boolean
}

export function payloadGroups(options: PayloadOptions): Group[] {
  const { guardCreates, hostSockets, sharedNetwork = false, mediates, withoutNamespaces: tier } = options
  const common = [...COMMON, ...socketGroups(hostSockets, sharedNetwork), ...(guardCreates ? GUARDED_CREATES : CREATES)]
  const groups = tier === undefined ? common : withoutNamespaces(common, tier)
  return mediates ? mediated(groups) : groups
}
