import { QiError } from '../errors.js'
import { loadAddon } from './locate.js'
import { STEPS } from './steps.gen.js'

interface StepFailure {
  step: number
  errno: number
  detail: string
}

/** Known causes, by step and errno: what the reader can change. The first that fits is told. */
const HINTS: { steps: string[]; errno: string[]; hint: string }[] = [
  {
    steps: ['CloneJail'],
    errno: ['EPERM', 'EACCES'],
    hint: 'user namespaces are forbidden here: inside a qi-jail they always are; in a container allow them in its seccomp profile; on Debian set kernel.unprivileged_userns_clone=1'
  },
  {
    steps: ['CloneJail'],
    errno: ['ENOSPC'],
    hint: 'no user namespace is left: raise user.max_user_namespaces, or this runs inside another qi-jail'
  },
  {
    steps: ['CloneJail'],
    errno: ['EINVAL', 'ENOSYS'],
    hint: 'the kernel was built without one of the namespaces (CONFIG_USER_NS, CONFIG_NET_NS, …)'
  },
  {
    steps: ['MapUsers', 'MapGroups'],
    errno: ['EPERM', 'EACCES'],
    hint: 'the id map was refused: on Ubuntu 24.04 set kernel.apparmor_restrict_unprivileged_userns=0 or load an AppArmor profile that allows userns'
  },
  {
    steps: ['PrivateMounts', 'MountRoot', 'LoopbackUp', 'SetHostname'],
    errno: ['EPERM', 'EACCES'],
    hint: 'the new user namespace got no capabilities: on Ubuntu 24.04 set kernel.apparmor_restrict_unprivileged_userns=0 or load an AppArmor profile that allows userns'
  },
  {
    steps: ['MountProc'],
    errno: ['EPERM'],
    hint: 'this container hides parts of /proc: run it with an unmasked /proc (--security-opt systempaths=unconfined)'
  },
  {
    steps: ['RecordLaunch'],
    errno: ['ENOSPC', 'EDQUOT', 'EFBIG', 'EPIPE', 'EIO'],
    hint: 'the audit file takes no more: make room, or name another; nothing runs that cannot be recorded'
  },
  {
    steps: ['CloseFds'],
    errno: ['EISDIR', 'EBADF'],
    hint: 'a standard stream is a directory, which would be a way out of the jail: redirect it from a file, a pipe or /dev/null'
  },
  {
    steps: ['OpenGrant', 'IdMapGrant'],
    errno: ['ENOSYS'],
    hint: 'launches by root need Linux 5.12: launch as an ordinary user on this kernel'
  },
  {
    steps: ['IdMapGrant'],
    errno: ['EINVAL', 'EPERM', 'EOPNOTSUPP'],
    hint: 'the file system of this grant has no id-mapped mounts: launch as an ordinary user, or keep the folder on ext4, xfs, btrfs or tmpfs'
  },
  {
    steps: ['OpenJailRoot'],
    errno: ['ENOSYS', 'EPERM'],
    hint: 'write-denies on names that do not exist yet need openat2 and statx (Linux 5.8): lift them, or allow the calls in this container’s seccomp profile'
  },
  {
    steps: ['OpenGrant', 'BindGrant'],
    errno: ['ENOENT', 'ELOOP', 'ENOTDIR'],
    hint: 'the path changed while the jail was built; try again'
  },
  {
    steps: ['OpenGrant', 'BindGrant', 'DenyPath'],
    errno: ['ENOSPC'],
    hint: 'too many mounts: raise fs.mount-max, or grant fewer paths'
  },
  {
    steps: ['BindDevice'],
    errno: ['ENODEV', 'ENOENT'],
    hint: 'the host’s /dev lacks this device or has another in its place'
  },
  {
    steps: ['InstallFilter'],
    errno: ['EBUSY'],
    hint: 'a supervisor with a seccomp listener is above this process: qi-jail cannot be nested inside it'
  },
  {
    steps: ['LandlockRuleset', 'LandlockRestrict'],
    errno: ['ENOSYS', 'EOPNOTSUPP'],
    hint: 'Landlock is not enabled: add it to the kernel’s lsm= list'
  },
  {
    steps: ['ForkPayload', 'CloneJail'],
    errno: ['EAGAIN'],
    hint: 'the process limit of this user is reached (ulimit -u)'
  },
  {
    steps: ['StartGateway'],
    errno: ['ENOPROTOOPT'],
    hint: 'an allow-list of hosts needs Linux 5.14 (SO_NETNS_COOKIE): launch without hosts on this kernel'
  },
  {
    steps: ['OpenRelays'],
    errno: ['EADDRINUSE'],
    hint: 'the same port is asked for twice: list each UDP and inspected port once'
  },
  { steps: ['MountRoot'], errno: ['ENOMEM', 'ENOSPC'], hint: 'not enough memory for the private tmpfs' }
]

/** Steps whose failure is the command's, not ours: sysexits of a shell. */
const EXEC_CODES: Record<string, `QI_${string}`> = {
  ENOENT: 'QI_COMMAND_NOT_FOUND',
  EACCES: 'QI_COMMAND_NOT_EXECUTABLE',
  ENOEXEC: 'QI_COMMAND_NOT_EXECUTABLE',
  E2BIG: 'QI_ARGV_TOO_LARGE'
}

/** A failed step as an error: which step, what the kernel said, on what, and the remedy where one is known. */
export function launchError({ step, errno, detail }: StepFailure): QiError {
  const known = STEPS[step]
  const name = loadAddon().errnoName(errno)
  const stepName = known?.name ?? `step ${step}`
  const hint = HINTS.find((entry) => entry.steps.includes(stepName) && entry.errno.includes(name))?.hint
  const on = detail ? `: ${detail}` : ''
  const code = (stepName === 'Exec' && EXEC_CODES[name]) || 'QI_LAUNCH'
  return new QiError(code, `could not ${known?.what ?? 'launch'} (step ${step} ${stepName}): ${name}${on}`, {
    step,
    stepName,
    errno: name,
    ...(detail.startsWith('/') ? { path: detail } : {}),
    ...(hint ? { hint } : {})
  })
}
