import { call, chain } from './support.js'
import { type Control, escapes, otherwise, PRIVATELY, type Row, refused } from './table.js'

const NAMESPACES = {
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWNS: 0x00020000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
  CLONE_NEWIPC: 0x08000000,
  CLONE_NEWUTS: 0x04000000,
  CLONE_NEWCGROUP: 0x02000000,
  CLONE_NEWTIME: 0x00000080
}
const SIGCHLD = 17
const names = Object.entries(NAMESPACES)

/** struct clone_args: flags first, exit_signal fifth, 88 bytes. */
function cloneArgs(flags: number): string {
  const bytes = Buffer.alloc(88)
  bytes.writeBigUInt64LE(BigInt(flags), 0)
  bytes.writeBigUInt64LE(BigInt(SIGCHLD), 32)
  return `b:${bytes.toString('hex')}`
}

const setns = (kind: string, control: Control = PRIVATELY): Row => ({
  name: `setns ${kind}`,
  act: ['call', ...chain(call('openat', -100, `s:/proc/self/ns/${kind}`, 0, 0), call('setns', '$0', 0))],
  expect: 'EPERM #1',
  event: { syscall: 'setns', rule: 'namespaces', args: { fd: 3 } },
  control
})

escapes('namespaces', [
  ...names.map(([name, flag]) => refused('unshare', [flag], 'namespaces', PRIVATELY, { flags: name })),
  refused('unshare', [0x10020000], 'namespaces', PRIVATELY, { flags: 'CLONE_NEWUSER|CLONE_NEWNS' }),
  // The kernel takes an unsigned long and refuses what it does not know; the filter must not be fooled by the high half.
  refused('unshare', ['0x110000000'], 'namespaces', otherwise(/^EINVAL/)),
  ...names
    .filter(([name]) => name !== 'CLONE_NEWTIME') // no clone(2) flag: those bits are the exit signal
    .map(([name, flag]) =>
      refused('clone', [flag | SIGCHLD, 0, 0, 0, 0], 'namespaces', PRIVATELY, { flags: `${name}|SIGCHLD` })
    ),
  ...names.map(
    ([name, flag]): Row => ({
      name: `clone3 ${name}`,
      act: ['call', ...call('clone3', cloneArgs(flag), 88)],
      expect: 'ENOSYS',
      by: 'the filter, unrecorded: every libc falls back to clone',
      control: PRIVATELY
    })
  ),
  ...['mnt', 'net', 'ipc', 'uts', 'cgroup', 'pid'].map((kind) => setns(kind)),
  setns('user', { where: 'private', expect: /^EINVAL/ }) // re-entering one's own is an error of its own
])

const onTmp = (...rest: string[][]) => ['call', ...chain(call('mount', 's:x', 's:/mnt', 's:tmpfs', 0, 0), ...rest)]

escapes('mounts', [
  refused('mount', ['s:x', 's:/tmp', 's:tmpfs', 0, 0], 'mounts', PRIVATELY, {
    source: 'x',
    target: '/tmp',
    filesystemtype: 'tmpfs'
  }),
  refused('mount', ['s:/usr', 's:/tmp', 0, 0x1000, 0], 'mounts', PRIVATELY, { source: '/usr', flags: 'MS_BIND' }),
  refused('mount', [0, 's:/', 0, 0x84000, 0], 'mounts', PRIVATELY, { flags: 'MS_REC|MS_SLAVE' }),
  refused(
    'mount',
    [0, 's:/usr', 0, 0x1020, 0],
    'mounts',
    { where: 'private', act: onTmp(call('mount', 0, 's:/mnt', 0, 0x1020, 0)) },
    { target: '/usr', flags: 'MS_REMOUNT|MS_BIND' }
  ),
  refused(
    'umount2',
    ['s:/usr', 2],
    'mounts',
    { where: 'private', act: onTmp(call('umount2', 's:/mnt', 2)) },
    {
      target: '/usr',
      flags: 'MNT_DETACH'
    }
  ),
  refused('umount2', ['s:/proc', 0], 'mounts', { where: 'private', expect: /^(EINVAL|EBUSY)/ }),
  refused('pivot_root', ['s:/tmp', 's:/tmp'], 'mounts', { where: 'private', expect: /^EINVAL/ }, { new_root: '/tmp' }),
  refused('chroot', ['s:/tmp'], 'mounts', PRIVATELY, { path: '/tmp' }),
  refused('fsopen', ['s:tmpfs', 0], 'mounts', PRIVATELY, { fsname: 'tmpfs' }),
  refused('fspick', [-100, 's:/', 0], 'mounts', { where: 'private', expect: /^(OK|EPERM|EINVAL)/ }),
  refused('fsconfig', [-1, 6, 0, 0, 0], 'mounts', { where: 'private', expect: /^(EBADF|EINVAL)/ }),
  refused('fsmount', [-1, 0, 0], 'mounts', { where: 'private', expect: /^EBADF/ }, { fd: -1 }),
  refused('open_tree', [-100, 's:/', 0x8001], 'mounts', PRIVATELY, {
    dirfd: 'AT_FDCWD',
    path: '/',
    flags: 'AT_RECURSIVE|OPEN_TREE_CLONE'
  }),
  refused('move_mount', [-1, 's:', -1, 's:', 4], 'mounts', { where: 'private', expect: /^(EBADF|ENOENT)/ }),
  refused('mount_setattr', [-100, 's:/usr', 0x8000, 'z:32', 32], 'mounts', PRIVATELY, {
    path: '/usr',
    flags: 'AT_RECURSIVE'
  })
])
