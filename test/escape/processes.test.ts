import { describe, expect, it } from 'vitest'
import { ACT, call, chain, jailed, users } from './support.js'
import { BARE, type Control, escapes, otherwise, type Row, refused } from './table.js'

const OTHERS = 'other-processes'
const iovec = 'p:&4142434445464748,8'
const onChild = (name: string, ...args: (string | number)[]) => ['call', ...call(name, ...args)]

escapes('processes', [
  refused('ptrace', [0, 0, 0, 0], OTHERS, BARE, { request: 'PTRACE_TRACEME' }),
  refused('ptrace', [16, 'child', 0, 0], OTHERS, { ...BARE, expect: /^OK/ }, { request: 'PTRACE_ATTACH' }),
  refused('ptrace', [0x4206, 'child', 0, 0], OTHERS, BARE, { request: 'PTRACE_SEIZE' }),
  // The control leaves the machine’s own pid 1 alone: root may attach to it, and it stands still from then on.
  refused(
    'ptrace',
    [16, 1, 0, 0],
    OTHERS,
    { where: 'bare', act: onChild('ptrace', 16, 'child', 0, 0) },
    { request: 'PTRACE_ATTACH', pid: 1 }
  ),
  refused('process_vm_readv', ['child', iovec, 1, iovec, 1, 0], OTHERS, BARE),
  refused('process_vm_writev', ['child', iovec, 1, iovec, 1, 0], OTHERS, BARE),
  refused('process_vm_readv', [1, iovec, 1, iovec, 1, 0], OTHERS, {
    where: 'bare',
    act: onChild('process_vm_readv', 'child', iovec, 1, iovec, 1, 0)
  }),
  refused('process_vm_writev', [1, iovec, 1, iovec, 1, 0], OTHERS, {
    where: 'bare',
    act: onChild('process_vm_writev', 'child', iovec, 1, iovec, 1, 0)
  }),
  {
    name: 'pidfd_getfd of a sibling',
    act: ['call', ...chain(call('pidfd_open', 'child', 0), call('pidfd_getfd', '$0', 1, 0))],
    expect: 'EPERM #1',
    event: { syscall: 'pidfd_getfd', rule: OTHERS, args: { targetfd: 1, flags: '0x0' } },
    control: BARE
  },
  {
    name: 'pidfd_getfd of pid 1',
    act: ['call', ...chain(call('pidfd_open', 1, 0), call('pidfd_getfd', '$0', 3, 0))],
    expect: 'EPERM #1',
    event: { syscall: 'pidfd_getfd', rule: OTHERS },
    control: { where: 'bare', act: ['call', ...chain(call('pidfd_open', 'child', 0), call('pidfd_getfd', '$0', 1, 0))] }
  },
  refused('kcmp', ['child', 'child', 0, 1, 1], OTHERS, BARE, { type: 0 }),
  refused('process_madvise', [-1, iovec, 1, 20, 0], OTHERS, otherwise(/^EBADF/)),
  refused('process_mrelease', [-1, 0], OTHERS, otherwise(/^EBADF/)),
  refused('migrate_pages', [0, 0, 0, 0], OTHERS, otherwise(/^(OK|EINVAL|ENOSYS)/)),
  refused('move_pages', ['child', 0, 0, 0, 0], OTHERS, otherwise(/^(OK|ENODEV|ENOSYS)/))
])

// pid 1 belongs to the same user, so only the namespace, the dumpable flag and hidepid keep it out of sight.
const hidden = (path: string, control: Control = BARE): Row => ({
  name: `/proc/1/${path}`,
  act: ['call', ...call('openat', -100, `s:/proc/1/${path}`, 0, 0)],
  expect: 'ENOENT',
  by: 'hidepid and the missing right to trace pid 1',
  control: { ...control, act: ['call', ...call('openat', -100, `s:/proc/self/${path}`, 0, 0)] }
})

escapes('pid 1', [
  ...['exe', 'root', 'environ', 'maps', 'cwd', 'fd', 'ns/mnt', 'status', 'task', 'mountinfo'].map((path) =>
    hidden(path)
  ),
  {
    name: '/proc/1/mem for writing',
    act: ['call', ...call('openat', -100, 's:/proc/1/mem', 2, 0)],
    expect: 'ENOENT',
    by: 'hidepid',
    control: { where: 'bare', act: ['call', ...call('openat', -100, 's:/proc/self/mem', 2, 0)] }
  },
  {
    name: '/proc/self/mem for writing',
    act: ['call', ...call('openat', -100, 's:/proc/self/mem', 2, 0)],
    expect: 'EROFS',
    by: 'proc is mounted read-only',
    control: BARE
  },
  {
    name: '/proc/self/exe for writing',
    act: ['call', ...call('openat', -100, 's:/proc/self/exe', 1, 0)],
    expect: /^(EROFS|ETXTBSY|EACCES)/,
    by: 'read-only mount',
    // Bare it is busy as long as it runs, and only for its owner: another file of the same folder can be written.
    control: otherwise(/^(ETXTBSY|EACCES)/)
  }
])

describe.each(users)('signals, launched by %s', (user) => {
  it.each([9, 15, 19, 6])('signal %i to pid 1 changes nothing', async (signal) => {
    // EPERM with Landlock's signal scope; without it the kernel spares an init what it has no handler for.
    const script = `kill -${signal} 1; sleep 0.02; echo parent $(sed -n 's/^PPid:[^0-9]*//p' /proc/self/status) $PPID`
    const result = await jailed(user, { argv: ['/bin/sh', '-c', script] })
    expect(result.stdout).toMatch(/^parent \d+ 1\n$/) // still there, and still the parent
    expect(result.exit).toMatchObject({ code: 0, terminationReason: 'exit' })
    // The control: the same signal to a process that is no init.
    const control = await jailed(user, { argv: [ACT, 'call', ...chain(call('kill', 0, signal === 19 ? 9 : signal))] })
    expect(control.exit.signal).not.toBeNull()
  })

  it('kill(-1) reaches nobody outside and not pid 1', async () => {
    const witness = await import('node:child_process').then((m) => m.spawn('sleep', ['30']))
    const result = await jailed(user, { argv: [ACT, 'call', ...call('kill', -1, 9)] })
    expect(result.stdout).toMatch(/^(ESRCH|OK)/)
    expect(witness.exitCode).toBeNull()
    expect(witness.signalCode).toBeNull()
    witness.kill('SIGKILL')
  })

  it('the launcher and qi-monitor have no pid in the jail', async () => {
    const result = await jailed(user, { argv: ['/bin/sh', '-c', 'cd /proc; echo [0-9]*'] })
    expect(result.stdout).toMatch(/^2( \d+)?\n$/) // itself, perhaps its shell's child; never 1
  })
})
