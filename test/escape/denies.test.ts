import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { requireLandlock } from '../support/kernel.js'
import { lifted, MISSING, project, untouched, writable } from './project.js'
import { ACT, call, chain, jailed, type User, users, type Word } from './support.js'
import { type Control, escapes, type Row } from './table.js'

const CREATE = 0o102 // O_CREAT | O_RDWR
const guarded = { config: writable, after: untouched, control: { where: 'jail', config: lifted } } as const

/** Of a name that exists: the kernel's own mounts refuse, unless qi-monitor would have to act. */
const kept = (name: string, act: string[][], expected: string | RegExp, event?: Row['event']): Row => ({
  name,
  act: ['call', ...chain(...act)],
  expect: expected,
  ...(event ? { event, guard: 'tells' } : { by: 'a read-only mount on it, or a mount point on the way' }),
  ...guarded
})
const elsewhere = (name: string, from: string): Control => ({
  where: 'jail',
  config: writable,
  act: ['call', ...call(name, from, 's:{d}/other')]
})
const busy = (syscall: string, args?: Record<string, unknown>): Row['event'] => ({
  syscall,
  rule: 'a protected path, or a folder on the way to one',
  ...(args ? { args } : {})
})
const [hook, config, env] = ['s:{d}/.git/hooks/pre-commit', 's:{d}/.git/config', 's:{d}/.env']
const dirAt = (path: string) => call('openat', -100, `s:${path}`, 0o200000, 0)

escapes(
  'existing protected files',
  [
    kept('write a hook', [call('openat', -100, hook, 1, 0)], 'EROFS'),
    kept('add a hook', [call('openat', -100, 's:{d}/.git/hooks/post-checkout', CREATE, 0o755)], /^(EROFS|EACCES)/),
    kept('append to .git/config', [call('openat', -100, config, 0o2001, 0)], 'EROFS'),
    kept('truncate .env', [call('truncate', env, 0)], /^(EROFS|EACCES)/),
    kept('chmod .env', [call('chmod', env, 0o777)], 'EROFS'),
    kept('set a time of .env', [call('utimensat', -100, env, 0, 0)], 'EROFS'),
    kept('set an attribute of .env', [call('setxattr', env, 's:user.qi', 's:x', 1, 0)], 'EROFS'),
    kept('unlink .env', [call('unlink', env)], /^(EBUSY|EROFS)/),
    kept('unlink .git/config', [call('unlink', config)], /^(EBUSY|EROFS)/),
    kept('rmdir an emptied place', [call('unlinkat', -100, 's:{d}/.git/modules', 0x200)], /^(EBUSY|EROFS)/),
    kept(
      'map .env shared and writable',
      [call('openat', -100, env, 2, 0), call('mmap', 0, 4096, 3, 1, '$0', 0)],
      /^EROFS/
    ),
    {
      ...kept(
        'map .env read-only, then ask for more',
        [call('openat', -100, env, 0, 0), call('mmap', 0, 4096, 1, 1, '$0', 0), call('mprotect', '$1', 4096, 3)],
        'EACCES #2'
      ),
      control: {
        ...guarded.control,
        act: [
          'call',
          ...chain(
            call('openat', -100, env, 2, 0),
            call('mmap', 0, 4096, 1, 1, '$0', 0),
            call('mprotect', '$1', 4096, 3)
          )
        ]
      }
    },
    kept(
      'reopen an O_PATH descriptor',
      [call('openat', -100, env, 0o10000000, 0), call('openat', -100, 's:/proc/self/fd/3', 2, 0)],
      'EROFS #1'
    ),
    kept(
      'reopen a read-only descriptor',
      [call('openat', -100, env, 0, 0), call('openat', -100, 's:/proc/self/fd/3', 2, 0)],
      'EROFS #1'
    ),
    kept('a second hard link', [call('link', env, 's:{d}/copy')], 'EXDEV'),
    {
      ...kept('a hard link over .env', [call('link', 's:{d}/file', env)], 'EEXIST'),
      control: elsewhere('link', 's:{d}/file')
    },
    {
      ...kept('a symbolic link over .env', [call('symlink', 's:/tmp/x', env)], 'EEXIST'),
      control: elsewhere('symlink', 's:/tmp/x')
    },
    kept(
      'rename .git away',
      [call('rename', 's:{d}/.git', 's:{d}/x')],
      'EBUSY',
      busy('rename', { oldpath: '{d}/.git' })
    ),
    kept('rename .git/hooks away', [call('rename', 's:{d}/.git/hooks', 's:{d}/x')], /^(EBUSY|EXDEV)/, busy('rename')),
    kept('rename .env away', [call('rename', env, 's:{d}/x')], 'EBUSY', busy('rename')),
    kept('rename over .env', [call('rename', 's:{d}/file', env)], 'EBUSY', busy('rename', { newpath: '{d}/.env' })),
    kept(
      'rename over .git/config',
      [call('renameat', -100, 's:{d}/file', -100, config)],
      /^(EBUSY|EXDEV)/,
      busy('renameat')
    ),
    kept(
      'exchange .env',
      [call('renameat2', -100, 's:{d}/file', -100, env, 2)],
      'EBUSY',
      busy('renameat2', { flags: 'RENAME_EXCHANGE' })
    ),
    kept('exchange .git', [call('renameat2', -100, 's:{d}/.git', -100, 's:{d}/plain', 2)], 'EBUSY', busy('renameat2')),
    kept('rename an ancestor', [call('rename', 's:{d}/.config', 's:{d}/x')], 'EBUSY', busy('rename')),
    kept(
      'rename the nearest ancestor',
      [call('rename', 's:{d}/.config/fish', 's:{d}/.config/x')],
      'EBUSY',
      busy('rename')
    ),
    kept(
      'rename through an older descriptor',
      [dirAt('{d}/.git'), call('renameat', '$0', 's:config', '$0', 's:x')],
      'EBUSY #1',
      busy('renameat', { olddirfd: 3, oldpath: 'config' })
    ),
    {
      name: 'leave a whiteout',
      act: ['call', ...call('renameat2', -100, 's:{d}/file', -100, 's:{d}/moved', 4)],
      expect: 'EINVAL',
      guard: 'refuses',
      event: { syscall: 'renameat2', rule: 'renameat2 flags in a guarded grant', args: { flags: 'RENAME_WHITEOUT' } },
      config: writable,
      control: {
        where: 'jail',
        config: writable,
        act: ['call', ...call('renameat2', -100, 's:{d}/file', -100, 's:{d}/moved', 1)]
      }
    },
    {
      name: 'move a read-only grant aside with its folder',
      act: ['call', ...call('renameat', -100, 's:{d}/sub', -100, 's:{d}/x')],
      expect: 'EBUSY',
      event: busy('renameat') as NonNullable<Row['event']>,
      guard: 'tells',
      config: (d) => ({ filesystem: { allowedPaths: [d], readOnlyPaths: [`${d}/sub/ro`] } }),
      after: untouched,
      control: { where: 'jail', config: writable }
    },
    {
      ...kept('write a hook of a project inside a writable folder', [call('openat', -100, hook, 1, 0)], 'EROFS'),
      config: (d) => ({ filesystem: { allowedPaths: [d.slice(0, d.lastIndexOf('/')), d] } })
    },
    {
      ...kept(
        'move such a project aside',
        [call('renameat', -100, 's:{d}', -100, 's:{d}/../x')],
        'EBUSY',
        busy('renameat')
      ),
      config: (d) => ({ filesystem: { allowedPaths: [d.slice(0, d.lastIndexOf('/')), d] } }),
      control: {
        where: 'jail',
        config: (d) => ({ filesystem: { allowedPaths: [d.slice(0, d.lastIndexOf('/'))] } })
      }
    }
  ],
  project
)

/** Every way to make a name, and every way to write the path to it. */
function creations(name: string): [label: string, act: string[], syscall?: string][] {
  const path = `s:{d}/${name}`
  const one = (syscall: string, ...args: Word[]): [string, string[], string] => [
    syscall,
    ['call', ...call(syscall, ...args)],
    syscall
  ]
  const two = (label: string, syscall: string, ...calls: string[][]): [string, string[], string] => [
    label,
    ['call', ...chain(...calls)],
    syscall
  ]
  return [
    ...(process.arch === 'x64'
      ? [
          one('open', path, CREATE, 0o600),
          one('creat', path, 0o600),
          one('mkdir', path, 0o700),
          one('mknod', path, 0o10600, 0)
        ]
      : []),
    ...(process.arch === 'x64'
      ? [one('symlink', 's:/tmp', path), one('link', 's:{d}/file', path), one('rename', 's:{d}/file', path)]
      : []),
    one('openat', -100, path, CREATE | 0o200, 0o600),
    one('mkdirat', -100, path, 0o700),
    one('mknodat', -100, path, 0o100600, 0),
    one('symlinkat', 's:plain', -100, path),
    one('linkat', -100, 's:{d}/file', -100, path, 0),
    one('renameat', -100, 's:{d}/plain', -100, path),
    one('renameat2', -100, 's:{d}/file', -100, path, 1),
    two('through a descriptor', 'openat', dirAt('{d}'), call('openat', '$0', `s:${name}`, CREATE, 0o600)),
    two(
      'through a descriptor and ..',
      'openat',
      dirAt('{d}/plain'),
      call('openat', '$0', `s:../${name}`, CREATE, 0o600)
    ),
    two('from the working directory', 'mkdirat', call('chdir', 's:{d}'), call('mkdirat', -100, `s:${name}`, 0o700)),
    two(
      'from a folder below',
      'openat',
      call('chdir', 's:{d}/plain'),
      call('openat', -100, `s:.././../project/./${name}`, CREATE, 0o600)
    ),
    two('with slashes', 'mkdirat', call('mkdirat', -100, `s:{d}//plain/..//${name}//`, 0o700)),
    two(
      'through a link',
      'openat',
      call('symlinkat', 's:{d}', -100, 's:/tmp/way'),
      call('openat', -100, `s:/tmp/way/${name}`, CREATE, 0o600)
    ),
    [
      'from a thread with its own directory',
      ['own-cwd', '{d}', ...call('openat', -100, `s:${name}`, CREATE, 0o600)],
      'openat'
    ],
    [
      'high bits in dirfd',
      ['call', ...chain(dirAt('{d}'), call('openat', '0x500000003', `s:${name}`, CREATE, 0o600))],
      'openat'
    ],
    [
      'through a dangling link',
      [
        'call',
        ...chain(call('symlinkat', `s:${name}`, -100, 's:{d}/x'), call('openat', -100, 's:{d}/x', CREATE, 0o600))
      ]
    ],
    [
      'through /proc/self/cwd',
      ['call', ...chain(call('chdir', 's:{d}'), call('openat', -100, `s:/proc/self/cwd/${name}`, CREATE, 0o600))]
    ],
    ['through /proc/self/root', ['call', ...call('openat', -100, `s:/proc/self/root{d}/${name}`, CREATE, 0o600)]],
    [
      'through /proc/self/fd',
      ['call', ...chain(dirAt('{d}'), call('mkdirat', -100, `s:/proc/self/fd/3/${name}`, 0o700))]
    ],
    [
      'a nameless file given the name',
      [
        'call',
        ...chain(
          call('openat', -100, 's:{d}', 0o20200002, 0o600),
          call('linkat', -100, 's:/proc/self/fd/3', -100, path, 0x400)
        )
      ]
    ],
    [
      'a nameless file by its descriptor',
      [
        'call',
        ...chain(call('openat', -100, 's:{d}', 0o20200002, 0o600), call('linkat', '$0', 's:', -100, path, 0x1000))
      ]
    ],
    [
      'a local socket',
      [
        'call',
        ...chain(
          call('chdir', 's:{d}'),
          call('socket', 1, 1, 0),
          call('bind', '$1', `b:0100${Buffer.from(`${name}\0`).toString('hex')}`, 'len')
        )
      ]
    ]
  ]
}

const rows = creations('.mcp.json').map(
  ([label, act, syscall]): Row => ({
    name: label,
    act,
    expect: /^(EACCES|ENOENT)( #\d)?$/,
    ...(syscall
      ? { event: { syscall, rule: /^mandatory: / } }
      : { by: 'Landlock: no right to make names here, and qi-monitor does not follow such a path' }),
    guard: 'refuses',
    ...guarded,
    control: syscall
      ? guarded.control
      : { where: 'bare', needsRoot: act.includes('4096'), act: act.map((word) => word.replace('{d}/x', '{d}/y')) }
  })
)
escapes('missing protected names', rows, project)
escapes('missing protected names below the private tmp', rows.slice(0, 6).concat(rows.slice(-7)), (user) =>
  project(user, '/tmp')
)
escapes(
  'every missing name',
  MISSING.map((name) => ({
    ...(rows[0] as Row),
    name,
    act: ['call', ...call('mkdirat', -100, `s:{d}/${name}`, 0o700)],
    event: { syscall: 'mkdirat', rule: `mandatory: ${name}` }
  })),
  project
)

const everyWay = (folder: string) =>
  `cd ${folder}; while :; do mv .git x; mkdir .git; echo 1 > .mcp.json; mkdir .vscode; ln -s / .claude; ln .env .npmrc; mv file .envrc; done 2>/dev/null`

escapes(
  'case',
  Object.entries({
    'a name that differs by case only': '.VSCode',
    'a letter that folds to another': '.vſcode',
    'a character that says nothing': '.vs\u200ccode',
    'a dot at the end': '.vscode.'
  }).map(([name, written]) => ({
    ...(rows[0] as Row),
    name,
    act: ['call', ...call('mkdirat', -100, `s:{d}/${written}`, 0o700)],
    event: { syscall: 'mkdirat', rule: 'mandatory: .vscode' }
  })),
  project
)

const NESTED = 'config: filesystem.deniedPaths[0]'
const ways: [string, string[][], string, number][] = [
  ['the folder', [call('mkdirat', -100, 's:{d}/ci', 0o700)], 'mkdirat', 0],
  ['a link in its place', [call('symlinkat', 's:plain', -100, 's:{d}/ci')], 'symlinkat', 0],
  ['another folder moved there', [call('renameat', -100, 's:{d}/plain', -100, 's:{d}/ci')], 'renameat', 0],
  ['a folder of an existing one', [call('mkdirat', -100, 's:{d}/plain/ci', 0o700)], 'mkdirat', 1]
]
escapes(
  'a denied name whose folder is missing',
  ways.map(([name, act, syscall, which]) => ({
    name,
    act: ['call', ...chain(...act)],
    expect: 'EACCES',
    guard: 'refuses',
    event: { syscall, rule: NESTED.replace('0', String(which)) },
    config: (d) => ({ filesystem: { allowedPaths: [d], deniedPaths: [`${d}/ci/run/me`, `${d}/plain/ci/me`] } }),
    after: untouched,
    control: { where: 'jail', config: writable }
  })),
  project
)

describe.each(users)('litter, launched by %s', (user: User) => {
  it('is not left when everything is killed in the middle', async () => {
    requireLandlock() // without, no name is kept from the loop
    const folder = project(user)
    const before = readdirSync(folder)
    const result = await jailed(user, {
      argv: ['/bin/sh', '-c', everyWay(folder)],
      config: writable(folder),
      killAfterMs: 1000
    })
    expect(result.exit.terminationReason).toBe('killed')
    expect(result.exit.refusals).toBeGreaterThan(0)
    untouched(folder)
    expect(readdirSync(folder)).toEqual(before)
    // The control: where it is allowed, the same loop leaves its marks.
    const control = project(user)
    await jailed(user, { argv: ['/bin/sh', '-c', everyWay(control)], config: lifted(control), killAfterMs: 1000 })
    expect(existsSync(`${control}/.mcp.json`)).toBe(true)
  })

  it('a link in a missing place is not followed out of the grant', async () => {
    const folder = project(user)
    const script = 'ln -s /etc/passwd plain/link && echo x > plain/link'
    const result = await jailed(user, { argv: ['/bin/sh', '-c', `cd ${folder}; ${script}`], config: writable(folder) })
    expect(result.stderr).toMatch(/Read-only|denied/)
    expect((await jailed(user, { argv: [ACT, 'descriptors'] })).stdout).toBe('OK 0 1 2\n')
  })
})
