import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { AuditLog, SandboxConfig } from '../../src/index.js'
import {
  ACT,
  call,
  chain,
  isRoot,
  jailed,
  PLAIN_ID,
  type Result,
  scratch,
  type User,
  users
} from '../escape/support.js'

interface Place {
  /** May be written, with a secret that is denied and a file that is write-denied. */
  d: string
  /** May be read. */
  r: string
  /** Not granted. */
  h: string
}

const places = new Map<User, Place>()

function place(user: User): Place {
  const known = places.get(user)
  if (known) return known
  const [outer, hidden] = [scratch(user), scratch(user, '/var/tmp')]
  const made = { d: `${outer}/d`, r: `${outer}/r`, h: `${hidden}/h` }
  for (const folder of [made.d, `${made.d}/secrets`, `${made.d}/.git`, made.r, made.h])
    mkdirSync(folder, { recursive: true })
  for (const file of [
    `${made.d}/file`,
    `${made.d}/secrets/key`,
    `${made.d}/.git/config`,
    `${made.r}/file`,
    `${made.h}/file`
  ])
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 })
  symlinkSync(`${made.h}/file`, `${made.d}/way`)
  chmodSync(hidden, 0o755) // root's jail looks at the host as the payload's own id
  if (isRoot && user === 'plain') execFileSync('chown', ['-hR', `${PLAIN_ID}:${PLAIN_ID}`, outer, hidden])
  places.set(user, made)
  return made
}

const config = ({ d, r }: Place, files: 'denied' | 'all' | 'off' = 'denied'): SandboxConfig => ({
  filesystem: { allowedPaths: [d], readOnlyPaths: [r], deniedPaths: [`${d}/secrets`] },
  audit: { files }
})

const fill = (text: string, { d, r, h }: Place) => text.replaceAll('{d}', d).replaceAll('{r}', r).replaceAll('{h}', h)

/** What `argv` did, the events of files only. */
async function watch(user: User, argv: string[], files: 'denied' | 'all' | 'off' = 'denied') {
  const here = place(user)
  const result = await jailed(user, {
    config: config(here, files),
    argv: argv.map((word) => fill(word, here)),
    cwd: here.d
  })
  return { ...result, files: filesOf(result) }
}

const filesOf = ({ events }: Pick<Result, 'events'>) => events.filter(({ event }) => event.action.startsWith('file.'))
const of = ({ event, context }: AuditLog): Record<string, unknown> => ({ ...event, ...context.parameters })
const act = (...calls: string[][]) => [ACT, 'call', ...chain(...calls)]
const open = (path: string, flags: number) => call('openat', -100, `s:${path}`, flags, 0o600)

const [RDWR, CREAT, TRUNC, PATH] = [2, 0o100, 0o1000, 0o10000000]

interface Row {
  title: string
  action: string
  argv: string[]
  path: string
  to?: string
  rule: RegExp
  /** As the payload gets it, which the event must have foretold. */
  errno: string
  /** The same where it is allowed. */
  control: string[]
}

const ROWS: Row[] = [
  {
    title: 'reading what is not granted',
    action: 'file.read',
    argv: act(open('{h}/file', 0)),
    path: '{h}/file',
    rule: /^not granted$/,
    errno: 'ENOENT',
    control: act(open('{r}/file', 0))
  },
  {
    title: 'reading through a link what is not granted',
    action: 'file.read',
    argv: act(open('{d}/way', 0)),
    path: '{h}/file',
    rule: /^not granted$/,
    errno: 'ENOENT',
    control: act(open('{d}/file', 0))
  },
  {
    title: 'reading by a relative path from a folder with dots',
    action: 'file.read',
    argv: act(call('openat', -100, 's:{d}/.git', 0, 0), call('openat', '$0', 's:../secrets/./key', 0, 0)),
    path: '{d}/secrets/key',
    rule: /deniedPaths/,
    errno: 'EACCES',
    control: act(call('openat', -100, 's:{d}/.git', 0, 0), call('openat', '$0', 's:../file', 0, 0))
  },
  {
    title: 'reading what is denied',
    action: 'file.read',
    argv: act(open('{d}/secrets/key', 0)),
    path: '{d}/secrets/key',
    rule: /deniedPaths\[0\]/,
    errno: 'EACCES',
    control: act(open('{d}/file', 0))
  },
  {
    title: 'writing what may be read',
    action: 'file.write',
    argv: act(open('{r}/file', RDWR)),
    path: '{r}/file',
    rule: /readOnlyPaths\[0\] \(read-only\)$/,
    errno: 'EROFS',
    control: act(open('{d}/file', RDWR))
  },
  {
    title: 'writing what is write-denied',
    action: 'file.write',
    argv: act(open('{d}/.git/config', RDWR | TRUNC)),
    path: '{d}/.git/config',
    rule: /git/,
    errno: 'EROFS',
    control: act(open('{d}/file', RDWR | TRUNC))
  },
  {
    title: 'creating where only reading is granted',
    action: 'file.create',
    argv: act(open('{r}/new', RDWR | CREAT)),
    path: '{r}/new',
    rule: /readOnlyPaths\[0\]/,
    errno: 'EROFS',
    control: act(open('{d}/new', RDWR | CREAT))
  },
  {
    title: 'creating in a folder that is not granted',
    action: 'file.create',
    argv: act(open('{h}/new', RDWR | CREAT)),
    path: '{h}/new',
    rule: /^not granted$/,
    errno: 'ENOENT',
    control: act(open('/tmp/new', RDWR | CREAT))
  },
  {
    title: 'making a folder',
    action: 'file.create',
    argv: act(call('mkdirat', -100, 's:{r}/folder', 0o755)),
    path: '{r}/folder',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(call('mkdirat', -100, 's:/tmp/folder', 0o755))
  },
  {
    title: 'making a link',
    action: 'file.create',
    argv: act(call('symlinkat', 's:file', -100, 's:{r}/link')),
    path: '{r}/link',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(call('symlinkat', 's:file', -100, 's:/tmp/link'))
  },
  {
    title: 'making a hard link',
    action: 'file.link',
    argv: act(call('linkat', -100, 's:{r}/file', -100, 's:{r}/same', 0)),
    path: '{r}/file',
    to: '{r}/same',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(call('linkat', -100, 's:{d}/file', -100, 's:{d}/same', 0), call('unlinkat', -100, 's:{d}/same', 0))
  },
  {
    title: 'executing what is not granted',
    action: 'file.execute',
    argv: act(call('execve', 's:{h}/file', 0, 0)),
    path: '{h}/file',
    rule: /^not granted$/,
    errno: 'ENOENT',
    control: ['/bin/true']
  },
  {
    title: 'removing',
    action: 'file.remove',
    argv: act(call('unlinkat', -100, 's:{r}/file', 0)),
    path: '{r}/file',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(open('/tmp/gone', RDWR | CREAT), call('unlinkat', -100, 's:/tmp/gone', 0))
  },
  {
    title: 'removing what is pinned by a write-deny in it',
    action: 'file.remove',
    argv: act(call('unlinkat', -100, 's:{d}/.git', 0x200)),
    path: '{d}/.git',
    rule: /allowedPaths\[0\]|permissions/,
    errno: 'EBUSY',
    control: act(call('mkdirat', -100, 's:{d}/other', 0o700), call('unlinkat', -100, 's:{d}/other', 0x200))
  },
  {
    title: 'renaming',
    action: 'file.rename',
    argv: act(call('renameat2', -100, 's:{r}/file', -100, 's:{r}/other', 0)),
    path: '{r}/file',
    to: '{r}/other',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(open('{d}/one', RDWR | CREAT), call('renameat2', -100, 's:{d}/one', -100, 's:{d}/two', 0))
  },
  {
    title: 'cutting',
    action: 'file.write',
    argv: act(call('truncate', 's:{r}/file', 0)),
    path: '{r}/file',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(call('truncate', 's:{d}/file', 10))
  },
  {
    title: 'changing the mode',
    action: 'file.attributes',
    argv: act(call('fchmodat', -100, 's:{r}/file', 0o700)),
    path: '{r}/file',
    rule: /readOnlyPaths/,
    errno: 'EROFS',
    control: act(call('fchmodat', -100, 's:{d}/file', 0o700))
  },
  {
    title: 'entering a folder',
    action: 'file.read',
    argv: act(call('chdir', 's:{h}')),
    path: '{h}',
    rule: /^not granted$/,
    errno: 'ENOENT',
    control: act(call('chdir', 's:{r}'))
  },
  {
    title: 'a descriptor for a path alone',
    action: 'file.read',
    argv: act(open('{h}/file', PATH)),
    path: '{h}/file',
    rule: /^not granted$/,
    errno: 'ENOENT',
    control: act(open('{r}/file', PATH))
  }
]

describe.each(users)('denied, launched by %s', (user) => {
  test.each(ROWS)('$title', async ({ action, argv, path, to, rule, errno, control }) => {
    const { stdout, files, exit } = await watch(user, argv)
    const here = place(user)
    expect(stdout).toMatch(new RegExp(`^${errno}`))
    const found = files.map(of).filter((event) => event.action === action && event.path === fill(path, here))
    expect(files.map(of)).toContainEqual(
      expect.objectContaining({
        category: 'data',
        action,
        outcome: 'blocked',
        severity: 'warning',
        path: fill(path, here),
        verdict: errno,
        repeatCount: 1,
        ...(to === undefined ? {} : { to: fill(to, here) })
      })
    )
    expect(found[0]?.rule).toMatch(rule)
    expect(found[0]?.comm).toBe('act')
    expect(found[0]?.jailPid).toBeGreaterThan(0)
    expect(exit.fileRefusals).toBe(files.length)
    const allowed = await watch(user, control)
    expect(allowed.stdout).toMatch(/^(OK.*)?$/m)
    expect(filesOf(allowed)).toEqual([])
  })

  test('what nobody has is no event, nor is what is there already', async () => {
    const nothing = act(open('{d}/nothing', 0))
    expect(await watch(user, nothing)).toMatchObject({ stdout: expect.stringMatching(/^ENOENT/), files: [] })
    expect(await watch(user, act(call('mkdirat', -100, 's:{r}', 0o755)))).toMatchObject({
      stdout: expect.stringMatching(/^EEXIST/),
      files: []
    })
  })

  test('descendants are seen, each with its own name', async () => {
    const { files } = await watch(user, [
      '/bin/sh',
      '-c',
      '(cat {h}/file; true) & wait; sh -c "echo x > {r}/file"; true'
    ])
    const seen = files.map(of).filter(({ path }) => String(path).endsWith('/file'))
    expect(seen.map(({ action, comm }) => [action, comm])).toEqual([
      ['file.read', 'cat'],
      ['file.write', 'sh']
    ])
    expect(new Set(seen.map(({ jailPid }) => jailPid)).size).toBe(2)
  })

  test('all: what goes through is an event too, from the command itself on', async () => {
    const { files } = await watch(user, ['/bin/cat', '{r}/file'], 'all')
    const told = files.map(of).map(({ action, outcome, severity, path }) => [action, outcome, severity, path])
    expect(told[0]).toEqual(['file.execute', 'success', 'info', expect.stringMatching(/\/cat$|coreutils/)])
    expect(told).toContainEqual(['file.read', 'success', 'info', `${place(user).r}/file`])
    const written = await watch(user, act(open('{d}/brandnew', RDWR | CREAT)), 'all')
    expect(written.files.map(of)).toContainEqual(
      expect.objectContaining({ action: 'file.create', outcome: 'success', path: `${place(user).d}/brandnew` })
    )
  })

  test('off: no call waits for qi-monitor, and the same refusals are no events', async () => {
    const { stdout, files, exit } = await watch(user, act(open('{h}/file', 0)), 'off')
    expect(stdout).toMatch(/^ENOENT/)
    expect(files).toEqual([])
    expect(exit.fileRefusals).toBe(0)
    const mode = await watch(user, ['/bin/grep', 'Seccomp', '/proc/self/status'], 'off')
    expect(mode.stdout).toMatch(/Seccomp:\t2/)
  })

  test('a flood is counted, not written', async () => {
    const many = 'i=0; while [ $i -lt 2000 ]; do true < {h}/file; i=$((i+1)); done 2>/dev/null; true'
    const { files, exit } = await watch(user, ['/bin/sh', '-c', many])
    const ours = files.map(of).filter(({ path }) => path === `${place(user).h}/file`)
    const total = ours.reduce((sum, { repeatCount }) => sum + Number(repeatCount), 0)
    expect(total).toBe(2000)
    expect(ours.length).toBeLessThan(200)
    expect(exit.fileRefusals).toBeGreaterThanOrEqual(2000)
  })

  test('more distinct files than are told apart are one total, and the counts come to all', async () => {
    const many = 'i=0; while [ $i -lt 6000 ]; do true > {r}/$i; i=$((i+1)); done 2>/dev/null; true'
    const { files, exit } = await watch(user, ['/bin/sh', '-c', many])
    const events = files.map(of)
    expect(events.reduce((sum, { repeatCount }) => sum + Number(repeatCount), 0)).toBe(exit.fileRefusals)
    expect(exit.fileRefusals).toBeGreaterThanOrEqual(6000)
    expect(exit.lostEvents).toBe(0)
  })
})
