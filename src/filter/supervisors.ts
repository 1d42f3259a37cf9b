/**
 * The filters that pid 1 and qi-monitor put on themselves once the payload runs. Whatever is not listed kills the process,
 * and with it the jail: a supervisor that does what it never does has been taken over.
 */
import { always, anyOf, type Calls, clear } from './conditions.js'

const PROT_EXEC = 4

/** Accept modes other than reading, O_CREAT, O_TRUNC, O_APPEND and the bit of O_TMPFILE. */
const O_ANY_WRITE = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000

const SECCOMP_IOCTLS = {
  SECCOMP_IOCTL_NOTIF_RECV: 0xc0502100,
  SECCOMP_IOCTL_NOTIF_SEND: 0xc0182101,
  SECCOMP_IOCTL_NOTIF_ID_VALID: 0x40082102,
  SECCOMP_IOCTL_NOTIF_ADDFD: 0x40182103,
  SECCOMP_IOCTL_NOTIF_SET_FLAGS: 0x40082104
}

/** Reaps orphans, forwards signals and reports the exit of the payload. */
export const INIT_CALLS: Calls = always(`
  wait4 waitid kill tgkill rt_sigprocmask rt_sigreturn rt_sigtimedwait poll ppoll recvmsg recvfrom read sendmsg sendto write
  close exit exit_group getpid restart_syscall futex`)

const NAME_CALLS = 'mkdirat mknodat symlinkat linkat renameat renameat2 unlinkat'

/**
 * Answers notifications, keeps time, writes events. Never makes code executable. openat2, which finds the sockets that the
 * payload connects to, has its flags in memory, out of the filter's sight: what holds it to reading is that qi-monitor has
 * no capabilities. openat is held to reading here.
 */
export function monitorCalls({ guardCreates }: { guardCreates: boolean }): Calls {
  return {
    ...always(`
      read pread64 readv write writev pwrite64 recvmsg recvfrom sendmsg sendto epoll_wait epoll_pwait epoll_ctl epoll_create1 poll ppoll
      process_vm_readv close fstat newfstatat statx readlink readlinkat openat2 getdents64 pidfd_open pidfd_getfd
      pidfd_send_signal kill waitid wait4 timerfd_create timerfd_settime clock_gettime clock_nanosleep getrandom connect bind getsockname
      getpeername getsockopt setsockopt fcntl rt_sigreturn rt_sigprocmask exit exit_group getpid gettid futex
      restart_syscall brk munmap mremap madvise lseek umask`),
    mmap: [[clear(2, PROT_EXEC)]],
    mprotect: [[clear(2, PROT_EXEC)]],
    ioctl: anyOf(1, Object.values(SECCOMP_IOCTLS)),
    openat: guardCreates ? [[]] : [[clear(2, O_ANY_WRITE)]],
    ...(guardCreates ? always(NAME_CALLS) : {})
  }
}
