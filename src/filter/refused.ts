/**
 * What of the table's refusals a policy may lift (`syscalls.allow`), what permissive lets through, and what stays refused
 * whatever either says. A call is in one of three states: in FIXED, with the reason; open to `syscalls.allow` and
 * permissive, if the table refuses it and FIXED does not name it; or allowed by the table in the cases that it lists and
 * no others (JUDGED_REASON).
 */
import { Verdict } from '../plan/layout.gen.js'
import type { Group } from './group.js'
import { SYSCALLS } from './syscalls.gen.js'
import { payloadGroups } from './table.js'

const each = (names: string, reason: string): [string, string][] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => [name, reason])

/** Answered with ENOSYS in the filter itself. */
export const FALLBACKS: readonly string[] = ['clone3', 'openat2']

/** Refused whatever the policy and the mode: name -> why, as the end of a sentence about the call. */
export const FIXED: ReadonlyMap<string, string> = new Map([
  ...each('setns', 'it enters a namespace, and with one its capabilities and mounts'),
  ...FALLBACKS.map((name): [string, string] => [
    name,
    'its flags are in memory that can change after a look; libraries fall back to clone and openat'
  ]),
  ...each(
    'mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree open_tree_attr mount_setattr',
    'the file tree of the jail is final: its mounts are what the denies are made of'
  ),
  ...each('bpf', 'it loads programs into the kernel'),
  ...each('perf_event_open', 'it watches the kernel and other processes, a long line of kernel bugs'),
  ...each('userfaultfd', 'it stops whoever reads the caller’s memory, qi-monitor too, for as long as the caller likes'),
  ...each('io_uring_setup io_uring_enter io_uring_register', 'its operations do not pass this filter'),
  ...each('memfd_secret', 'it makes memory that the watchdog of the memory limit cannot count'),
  ...each('open_by_handle_at lookup_dcookie', 'it opens files by number, past the paths that were granted'),
  ...each('modify_ldt', 'it is 16-bit code’s entry into the kernel, a long line of kernel bugs'),
  ...each('add_key request_key keyctl', 'kernel keyrings are not namespaced: the caller’s keys would be in reach'),
  ...each('settimeofday clock_settime sethostname setdomainname', 'it changes what the host’s clocks and names say'),
  ...each(
    'init_module finit_module delete_module kexec_load kexec_file_load reboot',
    'it replaces or stops parts of the kernel'
  ),
  ...each('swapon swapoff acct quotactl quotactl_fd iopl ioperm vhangup', 'it administers the host'),
  ...each('syslog', 'it reads the log of the host’s kernel'),
  ...each('lsm_set_self_attr', 'it changes the confinement that the host put upon the jail'),
  ...each(
    `_sysctl uselib ustat sysfs create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall
    security vserver set_thread_area get_thread_area epoll_ctl_old epoll_wait_old`,
    'it is gone from the kernel, or of no use for decades'
  )
])

/** They act on a process by its number: without a process namespace of its own that could be one outside of the jail. */
export const ON_PROCESSES: ReadonlySet<string> = new Set(
  'ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise process_mrelease move_pages migrate_pages'.split(
    ' '
  )
)

/** The launch makes these after the filter is on, and no program ends or takes a signal without the rest. */
export const NEEDED: ReadonlySet<string> = new Set(
  'execve exit exit_group rt_sigreturn sendmsg recvfrom close'.split(' ')
)

/** What the table refuses in every case, and FIXED does not name. `personality` harms nobody but its caller. */
export function isOpen(name: string, { calls, otherwise }: Group): boolean {
  if (otherwise === undefined || otherwise === 'enosys' || FIXED.has(name)) return false
  return name === 'personality' || (calls[name]?.length === 0 && otherwise.verdict === Verdict.Refuse)
}

/** For docs, tests and messages: every call's state in the table as most jails have it. */
export function openCalls(): string[] {
  const groups = payloadGroups({ guardCreates: false, hostSockets: false })
  return groups.flatMap((group) => Object.keys(group.calls).filter((name) => isOpen(name, group)))
}

export const isSyscall = (name: string): boolean => Object.hasOwn(SYSCALLS, name)
