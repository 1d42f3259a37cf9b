import { expect, it } from 'vitest'
import { ACT, bare, call, chain, jailed, users } from './support.js'
import { BARE, type Control, escapes, otherwise, type Row, refused } from './table.js'

const SURFACE = 'kernel-surface'
const ADMIN = 'administration'
const OPTIONS = 'process-options'
const allowAll = 'p:1,&060000000000ff7f' // struct sock_fprog of one BPF_RET | BPF_K, SECCOMP_RET_ALLOW
const asRoot = (expectation = /^OK/): Control => ({ where: 'bare', needsRoot: true, expect: expectation })

escapes('kernel surface', [
  refused('io_uring_setup', [1, 'z:120'], SURFACE, otherwise(/^(OK|EPERM|ENOSYS)/), { entries: 1 }),
  refused('io_uring_enter', [-1, 0, 0, 0, 0, 0], SURFACE, otherwise(/^(EBADF|EPERM|ENOSYS)/), { fd: -1 }),
  refused('io_uring_register', [-1, 0, 0, 0], SURFACE, otherwise(/^(EBADF|EINVAL|EPERM|ENOSYS)/)),
  refused('bpf', [0, 'z:64', 64], SURFACE, asRoot(/^EINVAL/), { cmd: 'BPF_MAP_CREATE' }),
  refused('bpf', [5, 'z:64', 64], SURFACE, asRoot(/^(EINVAL|E2BIG|EFAULT)/), { cmd: 'BPF_PROG_LOAD' }),
  refused('perf_event_open', [0, 0, -1, -1, 0], SURFACE, otherwise(/^EFAULT/), { cpu: -1 }),
  refused('userfaultfd', [0], SURFACE, asRoot(), { flags: 'O_RDONLY' }),
  refused('memfd_secret', [0], SURFACE, otherwise(/^(OK|ENOSYS)/)),
  refused('fanotify_init', [0, 0], SURFACE, asRoot(/^(OK|ENOSYS)/)),
  refused('fanotify_mark', [-1, 1, 1, -1, 0], SURFACE, otherwise(/^(EBADF|EINVAL|ENOSYS)/)),
  refused('name_to_handle_at', [-100, 's:/', 'z:136', 'z:8', 0], SURFACE, otherwise(/^EOVERFLOW/), { path: '/' }),
  refused('open_by_handle_at', [-1, 'z:136', 0], SURFACE, asRoot(/^(EBADF|EINVAL)/), { mount_fd: -1 }),
  refused('lookup_dcookie', [0, 0, 0], SURFACE, otherwise(/^(ENOSYS|EINVAL|EPERM)/)),
  ...(process.arch === 'x64' ? [refused('modify_ldt', [0, 'z:16', 16], SURFACE, BARE)] : []),
  refused('keyctl', [0, -3, 0], 'keys', otherwise(/^(OK|ENOKEY)/), { operation: 'KEYCTL_GET_KEYRING_ID' }),
  refused('add_key', ['s:user', 's:qi', 's:x', 1, -1], 'keys', BARE, { type: 'user', description: 'qi' }),
  refused('request_key', ['s:user', 's:qi-none', 0, 0], 'keys', otherwise(/^(ENOKEY|EUNKNOWN)/), {
    description: 'qi-none'
  })
])

// Arguments that do nothing even where they are allowed: the privilege is checked before they are.
escapes('administration', [
  refused('kexec_load', [0, 0, 0, '0xffff'], ADMIN, asRoot(/^(EINVAL|ENOSYS)/)),
  refused('kexec_file_load', [-1, -1, 0, 0, '0xffff'], ADMIN, asRoot(/^(EINVAL|ENOSYS)/)),
  refused('init_module', [0, 0, 's:'], ADMIN, asRoot(/^(EFAULT|ENOEXEC|EINVAL|ENOSYS)/)),
  refused('finit_module', [-1, 's:', 0], ADMIN, asRoot(/^(EBADF|ENOSYS)/), { fd: -1 }),
  refused('delete_module', ['s:qi_no_such', 0], ADMIN, asRoot(/^(ENOENT|ENOSYS)/), { name: 'qi_no_such' }),
  refused('reboot', ['0x12345678', 0, 0], ADMIN, asRoot(/^EINVAL/), { magic: '0x12345678' }),
  refused('swapon', ['s:/qi-none', 0], ADMIN, asRoot(/^(ENOENT|ENOSYS)/), { path: '/qi-none' }),
  refused('swapoff', ['s:/qi-none'], ADMIN, asRoot(/^(ENOENT|ENOSYS)/)),
  refused('clock_settime', [0, 1], ADMIN, otherwise(/^EFAULT/)),
  refused('settimeofday', [1, 0], ADMIN, otherwise(/^EFAULT/)),
  refused('adjtimex', [1], ADMIN, otherwise(/^EFAULT/)),
  refused('clock_adjtime', [0, 1], ADMIN, otherwise(/^EFAULT/)),
  refused('sethostname', ['s:qi', 2], ADMIN, { where: 'private' }, { name: 'qi', len: 2 }),
  refused('setdomainname', ['s:qi', 2], ADMIN, { where: 'private' }, { name: 'qi' }),
  refused('acct', ['s:/qi-none'], ADMIN, asRoot(/^(ENOENT|ENOSYS)/)),
  refused('quotactl', ['0x80000100', 0, 0, 0], ADMIN, otherwise(/^(ENODEV|EINVAL|ENOSYS|OK|ENOENT|ENOTBLK)/)),
  refused('syslog', [10, 0, 0], ADMIN, asRoot()),
  ...(process.arch === 'x64'
    ? [
        refused('iopl', [4], ADMIN, otherwise(/^(EINVAL|ENOSYS)/)),
        refused('ioperm', [70000, 1, 1], ADMIN, otherwise(/^(EINVAL|ENOSYS)/))
      ]
    : [])
])

const denied: Row[] = [
  ['PR_SET_MM', 35, 1, /^(EINVAL|EPERM)/],
  ['PR_SET_PTRACER', 0x59616d61, 0, /^(OK|EINVAL)/],
  ['PR_SET_KEEPCAPS', 8, 1, /^OK/],
  ['PR_SET_SECUREBITS', 28, 0, /^(OK|EPERM)/],
  ['PR_CAPBSET_DROP', 24, 63, /^(EINVAL|EPERM)/],
  ['PR_CAP_AMBIENT', 47, 4, /^OK/]
].map(([name, option, value, control]) =>
  refused('prctl', [option as number, value as number, 0, 0, 0], OPTIONS, otherwise(control as RegExp), {
    option: name
  })
)

escapes('process options', [
  ...denied,
  refused('prctl', ['0x10000001c', 0, 0, 0, 0], OPTIONS, otherwise(/^(OK|EPERM)/), { option: 'PR_SET_SECUREBITS' }),
  refused('personality', [0x40000], OPTIONS, BARE, { persona: '0x40000' }),
  refused('personality', [0x400000], OPTIONS, BARE), // READ_IMPLIES_EXEC
  refused('seccomp', [1, 8, allowAll], 'nested-filters', asRoot(), {
    operation: 'SECCOMP_SET_MODE_FILTER',
    flags: '0x8'
  }),
  {
    name: 'prctl PR_SET_SECCOMP cannot take the filter off',
    act: ['call', ...chain(call('prctl', 22, 2, allowAll), call('unshare', 0x10000000))],
    expect: 'EPERM #1',
    event: { syscall: 'unshare', rule: 'namespaces' },
    control: {
      where: 'private',
      act: ['call', ...chain(call('prctl', 38, 1, 0, 0, 0), call('prctl', 22, 2, allowAll), call('unshare', 0x4000000))]
    }
  },
  {
    name: 'a stricter filter of its own hides nothing',
    act: ['call', ...chain(call('seccomp', 1, 0, allowAll), call('mount', 's:x', 's:/tmp', 's:tmpfs', 0, 0))],
    expect: 'EPERM #1',
    event: { syscall: 'mount', rule: 'mounts' },
    control: {
      where: 'private',
      act: ['call', ...chain(call('seccomp', 1, 0, allowAll), call('mount', 's:x', 's:/mnt', 's:tmpfs', 0, 0))]
    }
  },
  {
    name: 'a number that no table has',
    act: ['call', '1999'],
    expect: 'ENOSYS',
    event: { syscall: 'unknown', rule: 'unknown syscall number' },
    control: otherwise(/^ENOSYS/)
  },
  {
    name: 'capset brings nothing back',
    act: ['call', ...call('capset', 'b:2205082000000000', `b:${'ff010000'.repeat(6)}`)],
    expect: 'EPERM',
    by: 'the kernel: no permitted capability',
    control: { where: 'private' }
  },
  {
    name: 'setuid to another user',
    act: ['call', ...call('setresuid', 0, 0, 0)],
    expect: 'EINVAL',
    by: 'the kernel: one id is mapped',
    control: { where: 'private' }
  }
])

it.each(users)('x32 and i386 entries kill, launched by %s', async (user) => {
  if (process.arch !== 'x64') return
  const x32 = await jailed(user, { argv: [ACT, 'call', String(0x40000000 + 39)] })
  expect(x32.exit.signal).toBe('SIGSYS')
  expect(x32.events.some((event) => event.event.action === 'syscall.killed')).toBe(true)
  expect(bare([ACT, 'call', String(0x40000000 + 39)])).toMatch(/^(ENOSYS|OK)/)
  const i386 = await jailed(user, { argv: [ACT, 'i386'] })
  expect(i386.exit.signal).toBe('SIGSYS')
  expect(bare([ACT, 'i386'])).toMatch(/^(OK getpid|ENOSYS|signal SIGSEGV)/) // the last without IA32 emulation
})
