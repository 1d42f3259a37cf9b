import { QiError } from '../errors.js'
import { type Restrictions, readRestrictions } from '../host/restrictions.js'
import { CGROUP_HINTS } from './cgroup-hints.js'
import { loadAddon } from './locate.js'
import { STEPS } from './steps.gen.js'

export interface StepFailure {
  step: number
  errno: number
  detail: string
}

interface Known {
  /** Steps, or system calls of the host's own; any, without. */
  steps?: string[]
  errno: string[]
  /** What must be so on this host for the hint to be true. */
  when?: (host: Restrictions) => boolean
  hint: string | ((host: Restrictions) => string)
}

const CLONE = ['CloneJail', 'NestUserNamespace']
const MAPS = ['MapUsers', 'MapGroups']
/** What needs a capability in the new user namespace, or a mount. */
const BUILD = ['PrivateMounts', 'MountRoot', 'LoopbackUp', 'SetHostname']
const DENIED = ['EPERM', 'EACCES']

const UBUNTU =
  'as Ubuntu 24.04 does by default: load an AppArmor profile for qi-monitor that allows userns (docs/distributions.md), or set kernel.apparmor_restrict_unprivileged_userns=0'

/** Known causes, by step, errno and what the host restricts: what the reader can change. The first that fits is told. */
const HINTS: Known[] = [
  {
    steps: CLONE,
    errno: ['ENOSPC', 'EUSERS'],
    when: ({ exhausted }) => exhausted.length > 0,
    hint: ({ exhausted }) => `${exhausted.join(', ')} is 0: raise it, as in sysctl -w ${exhausted[0]}=10000`
  },
  {
    steps: CLONE,
    errno: ['ENOSPC', 'EUSERS'],
    hint: 'no user namespace is left for this user, and a jail needs two: raise user.max_user_namespaces here and in the user namespaces around, or nest fewer'
  },
  {
    steps: CLONE,
    errno: DENIED,
    when: ({ chrooted }) => chrooted,
    hint: 'in a chroot user namespaces are always forbidden: enter the folder by pivot_root, as bwrap and systemd-nspawn do'
  },
  {
    steps: CLONE,
    errno: DENIED,
    when: ({ usernsCloneOff }) => usernsCloneOff,
    hint: 'kernel.unprivileged_userns_clone is 0: set it to 1, as in sysctl -w kernel.unprivileged_userns_clone=1'
  },
  {
    steps: CLONE,
    errno: DENIED,
    when: ({ mapped }) => !mapped,
    hint: 'this user namespace has no id map, so that nobody in it may make another: map the user, as unshare --map-current-user does'
  },
  {
    steps: [...CLONE, ...MAPS, ...BUILD],
    errno: DENIED,
    when: ({ apparmorProfile }) => apparmorProfile !== undefined,
    hint: ({ apparmorProfile }) =>
      `the AppArmor profile ${apparmorProfile} forbids it: in a container run with --security-opt apparmor=unconfined, elsewhere allow userns, mount and capability in it`
  },
  {
    steps: [...CLONE, ...MAPS, ...BUILD],
    errno: DENIED,
    when: ({ apparmorRestricts }) => apparmorRestricts,
    hint: `AppArmor restricts unprivileged user namespaces, ${UBUNTU}`
  },
  {
    steps: [...CLONE, ...BUILD],
    errno: DENIED,
    when: ({ filtered }) => filtered,
    hint: 'a seccomp filter forbids it: inside a qi-jail it always does; run a container with --security-opt seccomp=unconfined, or a profile that allows user namespaces and mounts'
  },
  {
    steps: CLONE,
    errno: DENIED,
    hint: 'user namespaces are forbidden here: in a chroot they always are (enter it by pivot_root, as bwrap and systemd-nspawn do); otherwise by a security module (see the kernel’s log)'
  },
  {
    steps: CLONE,
    errno: ['EINVAL', 'ENOSYS'],
    hint: 'the kernel was built without one of the namespaces (CONFIG_USER_NS, CONFIG_NET_NS, …)'
  },
  {
    steps: MAPS,
    errno: ['ENOENT', 'ESRCH'],
    hint: 'qi-jail needs the /proc of its own pid namespace: mount it, as unshare --mount-proc or bwrap --proc /proc do'
  },
  {
    steps: MAPS,
    errno: ['EROFS'],
    hint: '/proc is read-only, and the id maps are written there: mount it writable (its sys may stay read-only)'
  },
  {
    steps: [...MAPS, ...BUILD],
    errno: DENIED,
    hint: 'the new user namespace got no rights: a security module (AppArmor, SELinux) took them; the kernel’s log tells which rule'
  },
  {
    steps: ['MountProc'],
    errno: ['EPERM'],
    hint: 'parts of /proc are hidden or read-only here, and the kernel then gives nobody a whole one: docker run --security-opt systempaths=unconfined, podman run --security-opt unmask=ALL, procMount: Unmasked in Kubernetes, ProtectKernelTunables=no in a systemd unit'
  },
  {
    steps: [
      'OpenGrant',
      'BindGrant',
      'BindDevice',
      'DenyPath',
      'SetMountAttr',
      'MountProc',
      'MountDevPts',
      'PivotRoot'
    ],
    errno: ['EACCES'],
    when: ({ apparmorProfile }) => apparmorProfile !== undefined,
    hint: ({ apparmorProfile }) =>
      `the AppArmor profile ${apparmorProfile} forbids it: in a container run with --security-opt apparmor=unconfined, elsewhere allow file, mount and pivot_root in it, with flags=(attach_disconnected)`
  },
  {
    steps: ['RecordLaunch'],
    errno: ['ENOSPC', 'EDQUOT', 'EFBIG', 'EPIPE', 'EIO'],
    hint: 'the audit file takes no more: make room, or name another; nothing runs that cannot be recorded'
  },
  {
    steps: ['CloseFds'],
    errno: ['ENOTCONN'],
    hint: 'a standard stream is a socket of the host’s network that is no open connection, which would be a way out of the jail: give the payload a connected TCP or local stream socket, a pipe or /dev/null'
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
    hint: 'the file system of this grant has no id-mapped mounts: launch as an ordinary user, or keep the folder on ext4 or xfs (Linux 5.12), btrfs (5.15) or tmpfs (6.3)'
  },
  {
    steps: ['OpenJailRoot'],
    errno: ['ENOSYS', 'EPERM'],
    hint: 'write-denies on names that do not exist yet need openat2 and statx (Linux 5.8): lift them, or allow the calls in this container’s seccomp profile'
  },
  {
    steps: ['PinSocket'],
    errno: ['ENOENT', 'ENOTSOCK', 'ELOOP', 'ENOTDIR'],
    hint: 'the socket went away while the jail was built; try again'
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
    steps: ['ForkPayload', ...CLONE, 'clone'],
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
  { steps: ['MountRoot'], errno: ['ENOMEM', 'ENOSPC'], hint: 'not enough memory for the private tmpfs' },
  ...CGROUP_HINTS,
  {
    steps: ['Exec'],
    errno: ['EACCES'],
    hint: 'it lies on a noexec mount, or its interpreter may not be executed: move it, or name its interpreter (sh SCRIPT, node FILE)'
  },
  {
    errno: ['EMFILE'],
    hint: 'too few descriptors, of which each jail takes six here: raise the limit (ulimit -n 16384, LimitNOFILE= in a systemd unit, docker run --ulimit nofile=16384)'
  },
  {
    errno: ['EFBIG'],
    hint: 'files may not grow here, nor may those in memory that a launch needs: raise the limit (ulimit -f unlimited, LimitFSIZE=infinity in a systemd unit, docker run --ulimit fsize=-1)'
  },
  { errno: ['ENFILE'], hint: 'the host has no descriptors left: raise fs.file-max' },
  { errno: ['ENOMEM'], hint: 'the host, or this control group, has no memory left' }
]

/** Steps whose failure is the command's, not ours: sysexits of a shell. */
const EXEC_CODES: Record<string, `QI_${string}`> = {
  ENOENT: 'QI_COMMAND_NOT_FOUND',
  EACCES: 'QI_COMMAND_NOT_EXECUTABLE',
  ENOEXEC: 'QI_COMMAND_NOT_EXECUTABLE',
  E2BIG: 'QI_ARGV_TOO_LARGE'
}

/** The remedy for `errno` of a step, or of a system call of the host's own, where one is known. */
export function hintFor(errno: string, step?: string): string | undefined {
  let read: Restrictions | undefined
  const host = () => {
    read ??= readRestrictions()
    return read
  }
  const fits = ({ steps, errno: known, when }: Known) =>
    (steps === undefined || (step !== undefined && steps.includes(step))) &&
    known.includes(errno) &&
    (when === undefined || when(host()))
  const known = HINTS.find(fits)
  return typeof known?.hint === 'function' ? known.hint(host()) : known?.hint
}

/** What the addon threw, as an error: what the kernel said, and the remedy where one is known. */
export function addonError(code: `QI_${string}`, what: string, cause: unknown): QiError {
  const { message, syscall, errno: number } = cause as Error & { syscall?: string; errno?: number }
  const errno = number === undefined ? undefined : loadAddon().errnoName(number)
  const hint = errno && hintFor(errno, syscall)
  const details = { cause, ...(syscall ? { syscall } : {}), ...(errno ? { errno } : {}), ...(hint ? { hint } : {}) }
  return new QiError(code, `${what}: ${message}`, details)
}

/** Where namespaces are forbidden another kind of jail is to be had, by who wants it. Root has no use for it. */
function withTier(hint: string | undefined, errno: string, step: string): string | undefined {
  const forbidden =
    [...CLONE, ...MAPS, ...BUILD].includes(step) && [...DENIED, 'ENOSPC', 'EUSERS', 'EINVAL', 'ENOSYS'].includes(errno)
  if (!hint || !forbidden || process.getuid?.() === 0) return hint
  return `${hint}; the profile dev does without namespaces, which is less (docs/distributions.md)`
}

/** A failed step as an error: which step, what the kernel said, on what, and the remedy where one is known. */
export function launchError({ step, errno, detail }: StepFailure): QiError {
  const known = STEPS[step]
  const name = loadAddon().errnoName(errno)
  const stepName = known?.name ?? `step ${step}`
  const hint = withTier(hintFor(name, stepName), name, stepName)
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
