import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { hasLandlock, requireLandlock } from '../support/kernel.js'
import { lifted, project, writable } from './project.js'
import { ACT, bare, call, chain, give, isRoot, jailed, type Request, tryJailed, type User, users } from './support.js'
import { BARE, type Control, escapes, type Row } from './table.js'

const read = (path: string) => [
  'call',
  ...chain(call('openat', -100, `s:${path}`, 0, 0), call('read', '$0', 'z:64', 64))
]
const open = (path: string, flags: number, mode = 0) => ['call', ...call('openat', -100, `s:${path}`, flags, mode)]
const readOnly = (d: string) => ({ filesystem: { readOnlyPaths: [d] } })
const asRoot: Control = { where: 'bare', needsRoot: true }

/** Refused because it is not there, or by the kernel's own checks: no event is due. */
const unseen = (
  name: string,
  act: string[],
  expected: string | RegExp,
  control: Control = BARE,
  config?: Row['config']
): Row => ({
  name,
  act,
  expect: expected,
  by: 'not in the private root, or a read-only mount',
  control,
  ...(config ? { config } : {})
})

escapes(
  'reading what was not granted',
  [
    unseen('/etc/shadow', read('/etc/shadow'), 'ENOENT', asRoot),
    unseen('logs of the host', open('/var/log', 0o200000), 'ENOENT'),
    unseen('a file beside the grant', read('{d}/../beside'), 'ENOENT', BARE, writable),
    unseen('a file in an ungranted folder', read('{d}/secrets/key'), 'ENOENT'),
    unseen(
      '.. out of a descriptor',
      ['call', ...chain(call('openat', -100, 's:{d}', 0o200000, 0), call('openat', '$0', 's:../beside', 0, 0))],
      'ENOENT #1',
      BARE,
      writable
    ),
    unseen('/proc/self/root', read('/proc/self/root/etc/shadow'), 'ENOENT', asRoot),
    unseen(
      '/proc/self/cwd/..',
      ['call', ...chain(call('chdir', 's:{d}'), call('openat', -100, 's:/proc/self/cwd/../beside', 0, 0))],
      'ENOENT #1',
      BARE,
      writable
    ),
    unseen(
      'a planted link out of the grant',
      ['call', ...chain(call('symlinkat', 's:../beside', -100, 's:{d}/way'), call('openat', -100, 's:{d}/way', 0, 0))],
      'ENOENT #1',
      { ...BARE, act: read('{d}/way') },
      writable
    ),
    unseen('a denied file', read('{d}/secrets/key'), 'EACCES', { where: 'jail', config: writable }, (d) => ({
      filesystem: { allowedPaths: [d], deniedPaths: [`${d}/secrets/key`] }
    })),
    unseen('a denied folder', open('{d}/secrets', 0o200000), 'EACCES', { where: 'jail', config: writable }, (d) => ({
      filesystem: { readOnlyPaths: [d], deniedPaths: [`${d}/secrets`] }
    })),
    unseen(
      'opening a mask up',
      ['call', ...call('chmod', 's:{d}/secrets', 0o777)],
      'EROFS',
      { where: 'jail', config: writable },
      (d) => ({
        filesystem: { allowedPaths: [d], deniedPaths: [`${d}/secrets`] }
      })
    ),
    {
      name: 'moving a denied folder from under its mask',
      act: ['call', ...call('rename', 's:{d}/secrets', 's:{d}/x')],
      expect: 'EBUSY',
      event: { syscall: 'rename', rule: /protected path/ },
      guard: 'tells',
      config: (d) => ({ filesystem: { allowedPaths: [d], deniedPaths: [`${d}/secrets`] } }),
      control: { where: 'jail', config: writable }
    },
    unseen('/sys', open('/sys', 0o200000), 'ENOENT'),
    unseen('another process of the host', read('/proc/self/../1/environ'), 'ENOENT', {
      ...BARE,
      act: read('/proc/self/environ')
    }),
    unseen('keys of the host', read('/proc/keys'), 'EACCES', {
      ...BARE,
      act: open('/proc/keys', 0),
      expect: /^(OK|ENOENT)/
    }),
    unseen('kernel symbols', read('/proc/kallsyms'), 'EACCES'),
    unseen('interrupts', read('/proc/interrupts'), 'EACCES'),
    unseen('the boot command line', read('/proc/cmdline'), 'EACCES'),
    unseen('kernel memory', open('/proc/kcore', 0), /^(EACCES|ENOENT|EPERM)/, { ...asRoot, expect: /^(OK|ENOENT)/ }),
    unseen('kernel messages', open('/dev/kmsg', 0), 'ENOENT', asRoot),
    unseen('physical memory', open('/dev/mem', 0), 'ENOENT', { ...asRoot, expect: /^(OK|EPERM|ENOENT)/ })
  ],
  project
)

escapes(
  'writing what may be read',
  [
    unseen('a file of a read-only grant', open('{d}/file', 1), 'EROFS', { where: 'jail', config: writable }, readOnly),
    unseen(
      'a new file in it',
      open('{d}/new', 0o101, 0o600),
      /^(EROFS|EACCES)/,
      { where: 'jail', config: writable },
      readOnly
    ),
    unseen(
      'truncating through it',
      ['call', ...call('truncate', 's:{d}/file', 0)],
      /^(EROFS|EACCES)/,
      { where: 'jail', config: writable },
      readOnly
    ),
    unseen(
      'its mode',
      ['call', ...call('chmod', 's:{d}/file', 0o600)],
      'EROFS',
      { where: 'jail', config: writable },
      readOnly
    ),
    unseen(
      'its owner',
      ['call', ...call('chown', 's:{d}/file', -1, -1)],
      'EROFS',
      { where: 'jail', config: writable },
      readOnly
    ),
    unseen(
      'removing from it',
      ['call', ...call('unlinkat', -100, 's:{d}/file', 0)],
      'EROFS',
      { where: 'jail', config: writable },
      readOnly
    ),
    unseen(
      'a shared mapping',
      ['call', ...chain(call('openat', -100, 's:{d}/file', 0, 0), call('mmap', 0, 4096, 3, 1, '$0', 0))],
      'EACCES #1',
      {
        where: 'jail',
        config: writable,
        act: ['call', ...chain(call('openat', -100, 's:{d}/file', 2, 0), call('mmap', 0, 4096, 3, 1, '$0', 0))]
      },
      readOnly
    ),
    unseen('/usr', open('/usr/qi-escape', 0o101, 0o600), /^(EROFS|EACCES)/, {
      where: 'jail',
      config: writable,
      act: open('/tmp/qi', 0o101, 0o600)
    }),
    unseen('/etc', open('/etc/passwd', 1), /^(EROFS|EACCES)/, {
      where: 'jail',
      config: writable,
      act: open('/tmp/qi', 0o101, 0o600)
    }),
    unseen('/', open('/qi-escape', 0o101, 0o600), /^(EROFS|EACCES)/, {
      where: 'jail',
      config: writable,
      act: open('/tmp/qi', 0o101, 0o600)
    }),
    unseen('/dev', open('/dev/qi-escape', 0o101, 0o600), /^(EROFS|EACCES)/, {
      where: 'jail',
      config: writable,
      act: open('/dev/shm/qi', 0o101, 0o600)
    }),
    unseen('/proc/sysrq-trigger', open('/proc/sysrq-trigger', 1), /^(EROFS|EACCES|ENOENT)/, {
      ...asRoot,
      expect: /^(OK|ENOENT)/ // without CONFIG_MAGIC_SYSRQ
    }),
    unseen('/proc/sys', open('/proc/sys/kernel/core_pattern', 1), /^(EROFS|EACCES)/, asRoot),
    unseen('max_user_namespaces', open('/proc/sys/user/max_user_namespaces', 1), /^(EROFS|EACCES)/, {
      where: 'private'
    }),
    unseen('oom_score_adj', open('/proc/self/oom_score_adj', 1), 'EROFS'),
    unseen('uid_map', open('/proc/self/uid_map', 1), 'EROFS')
  ],
  project
)

const setId = (syscall: string, act: string[], rule: string | RegExp = 'set-id-bits'): Row => ({
  name: act.join(' ').slice(5),
  act,
  expect: /^EPERM( #\d)?$/,
  event: { syscall, rule },
  config: writable,
  control: { where: 'bare', as: 'launcher' }
})
// Where qi-monitor decides about new names; else the filter does, for all reasons in one word.
const [SET_ID, DEVICE] = hasLandlock() ? ['set-uid and set-gid files', 'device nodes'] : ['new-files', 'new-files']
const opened = call('openat', -100, 's:{d}/file', 2, 0)
const setIds: Row[] = [
  ...(process.arch === 'x64'
    ? [
        setId('chmod', ['call', ...call('chmod', 's:{d}/file', 0o4755)]),
        setId('open', ['call', ...call('open', 's:{d}/new', 0o101, 0o4755)], SET_ID),
        setId('creat', ['call', ...call('creat', 's:{d}/new', 0o2755)], SET_ID),
        setId('mknod', ['call', ...call('mknod', 's:{d}/new', 0o104755, 0)], SET_ID)
      ]
    : []),
  setId('fchmod', ['call', ...chain(opened, call('fchmod', '$0', 0o2755))]),
  setId('fchmod', ['call', ...chain(opened, call('fchmod', '$0', '0x7f00000009ed'))]),
  setId('fchmodat', ['call', ...call('fchmodat', -100, 's:{d}/file', 0o6755)]),
  setId('fchmodat2', ['call', ...call('fchmodat2', -100, 's:{d}/file', 0o4755, 0)]),
  setId('openat', ['call', ...call('openat', -100, 's:{d}/new', 0o101, 0o4755)], SET_ID),
  setId('openat', ['call', ...call('openat', -100, 's:{d}', 0o20200002, 0o4755)], SET_ID),
  setId('mknodat', ['call', ...call('mknodat', -100, 's:{d}/new', 0o106755, 0)], SET_ID),
  {
    ...setId('mknodat', ['call', ...call('mknodat', -100, 's:{d}/device', 0o020666, 0x103)], DEVICE),
    control: asRoot
  }
]
escapes('set-id bits and devices', setIds, project)
// Without a name to guard the filter itself judges the same calls.
const everything = (d: string) => ({ filesystem: { allowedPaths: [`${d}/file`] } })
escapes(
  'set-id bits where nothing is guarded',
  setIds.slice(1).map((row) => ({
    ...row,
    act: row.act.map((word) => word.replace(/\{d\}\/(new|device)/, '/tmp/$1').replace(/^s:\{d\}$/, 's:/tmp')),
    event: { ...(row.event as NonNullable<Row['event']>), rule: /set-id-bits|new-files/ },
    config: everything,
    control: { ...row.control, act: row.act }
  })),
  project
)

describe.each(users)('descriptors, launched by %s', (user: User) => {
  it('only stdio is open, whatever the launcher had open', async () => {
    expect((await jailed(user, { argv: [ACT, 'descriptors'] })).stdout).toBe('OK 0 1 2\n')
  })

  it('a read-only stdin cannot be reopened for writing, not even by its owner', async () => {
    requireLandlock()
    const folder = project(user)
    const files: [string, string][] = [[`${folder}/file`, 'r']]
    const reopen = open('/proc/self/fd/0', 2)
    const readable = { filesystem: { readOnlyPaths: [folder] } }
    for (const config of [{}, readable]) {
      expect((await jailed(user, { argv: [ACT, ...reopen], files, config })).stdout).toMatch(/^(EACCES|EROFS)/)
    }
    expect(readFileSync(`${folder}/file`, 'utf8')).toBe('original\n')
    expect(bare(['/bin/sh', '-c', `exec < ${folder}/file; exec ${ACT} ${reopen.join(' ')}`], { as: user })).toMatch(
      /^OK/
    )
  })

  it.each(['.env', '.git/hooks/pre-commit'])('protected %s as a standard stream is refused at launch', async (name) => {
    const folder = project(user)
    const argv = [ACT, ...open('/proc/self/fd/0', 2)]
    const files: [string, string][] = [[`${folder}/${name}`, 'r']]
    const result = await tryJailed(user, { argv, files, config: writable(folder) })
    expect(result.error?.message).toMatch(/a standard stream is a protected file/)
    const control = await jailed(user, { argv: [ACT, 'descriptors'], files, config: lifted(folder) })
    expect(control.stdout).toBe('OK 0 1 2\n')
  })

  it('a folder as stdin is refused at launch', async () => {
    const folder = project(user)
    const result = await tryJailed(user, {
      argv: [ACT, 'descriptors'],
      files: [[folder, 'r']],
      config: writable(folder)
    })
    expect(result.error?.message).toMatch(/standard stream 0 .*directory/)
    // The control: a file as stdin is none of that.
    const control = await jailed(user, { argv: [ACT, 'descriptors'], files: [[`${folder}/file`, 'r']] })
    expect(control.stdout).toBe('OK 0 1 2\n')
  })

  it.each([0o1002, 0o1001, 1, 0])(
    'stdout that appends to a log of the host cannot be reopened with flags %i',
    async (flags) => {
      requireLandlock()
      const folder = project(user)
      writeFileSync(`${folder}/log`, 'kept\n')
      give(`${folder}/log`, user)
      const files: Request['files'] = [null, [`${folder}/log`, 'a']]
      const result = await jailed(user, { argv: [ACT, ...open('/proc/self/fd/1', flags)], files })
      expect(result.exit.code).toBe(0)
      expect(readFileSync(`${folder}/log`, 'utf8')).toMatch(/^kept\n(EACCES|EROFS)\n$/)
      const reopened = bare(['/bin/sh', '-c', `${ACT} ${open('/proc/self/fd/1', 0o1001).join(' ')} >> ${folder}/log`], {
        as: user
      })
      expect(reopened).toBe('')
      expect(readFileSync(`${folder}/log`, 'utf8')).toBe('OK 3\n') // the control: it was cut
    }
  )
})

describe.each(users)('devices, launched by %s', (user: User) => {
  it('are the listed ones with the right numbers', async () => {
    const script = 'cd /dev; for f in *; do [ -c $f ] && stat -c "%n %t:%T" $f || echo $f; done'
    const result = await jailed(user, { argv: ['/bin/sh', '-c', script] })
    const wanted = [
      'fd',
      'full 1:7',
      'null 1:3',
      'random 1:8',
      'shm',
      'stderr',
      'stdin',
      'stdout',
      'urandom 1:9',
      'zero 1:5'
    ]
    const sorted = result.stdout.trim().split('\n').sort()
    expect(sorted.map((line) => line.replace(/^(std\w+) .*/, '$1'))).toEqual(wanted)
    expect(bare(['ls', '/dev']).split('\n').length).toBeGreaterThan(wanted.length)
  })

  it('nothing of the host changed', async () => {
    const folder = project(user)
    mkdirSync(`${folder}/outside`)
    symlinkSync('/etc/hostname', `${folder}/plain/link`)
    const result = await jailed(user, {
      argv: ['/bin/sh', '-c', `cd ${folder}; cp /bin/sh x; chmod 4755 x; echo $?`],
      config: lifted(folder)
    })
    expect(result.stdout).toBe('1\n')
    expect(statSync(`${folder}/x`).mode & 0o6000).toBe(0)
    if (isRoot && user === 'root') expect(statSync(`${folder}/x`).uid).toBe(0) // the caller's own, by the id map
    expect(existsSync('/usr/qi-escape')).toBe(false)
  })
})
