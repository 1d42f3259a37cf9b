import { describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/policy/config.js'
import { codeOf, profileOf, resolveOn, type Tree } from './fake.js'

type Lists = NonNullable<SandboxConfig['filesystem']>

const denies = (filesystem: Lists, tree: Tree = {}, config: SandboxConfig = {}) =>
  resolveOn({ argv: ['bash'], config: { ...config, filesystem }, tree: { '/w': null, ...tree } }).denies.map(
    (d) => `${d.kind} ${d.now} ${d.path}`
  )

const RW: Lists = { allowedPaths: ['/w'] }
const git: Tree = { '/w/.git/HEAD': '', '/w/.git/config': '', '/w/.git/hooks': null }

describe('mandatory write-denies', () => {
  it('forbid every protected name at the root of a writable grant', () => {
    const names =
      '.bash_aliases .bash_login .bash_logout .bash_profile .bashrc .claude .cursor .env .envrc .git .gitmodules .idea .mcp.json .npmrc .profile .qi-jail.yaml .vscode .zlogin .zlogout .zprofile .zshenv .zshrc'
    expect(denies(RW)).toEqual(names.split(' ').map((n) => `write missing /w/${n}`))
  })

  it('are none without a writable folder', () => {
    expect(denies({ readOnlyPaths: ['/w'] })).toEqual([])
    expect(denies({ allowedPaths: ['/w/file'] }, { '/w/file': 'x' })).toEqual([])
  })

  it('say what is there', () => {
    expect(denies(RW, { '/w/.env': 'x', '/w/.vscode': null, '/w/.claude': 'socket:' })).toEqual(
      expect.arrayContaining(['write file /w/.env', 'write dir /w/.vscode', 'write file /w/.claude'])
    )
  })

  it('cover hooks, config and everything that makes git read another config', () => {
    expect(denies(RW, git).filter((d) => d.includes('/.git/'))).toEqual([
      'write missing /w/.git/commondir',
      'write file /w/.git/config',
      'write missing /w/.git/config.worktree',
      'write dir /w/.git/hooks',
      'write missing /w/.git/modules'
    ])
    expect(denies(RW, git)).not.toContain('write dir /w/.git')
  })

  it('cover .git itself when it is a file', () => {
    expect(denies(RW, { '/w/.git': 'gitdir: /elsewhere' })).toContain('write file /w/.git')
  })

  it('leave settings alone whose folder does not exist, and see them when it does', () => {
    expect(denies(RW, { '/w/.config/fish': null })).toContain('write missing /w/.config/fish/config.fish')
    expect(denies(RW, { '/w/.config': null }).filter((d) => d.includes('fish'))).toEqual([])
  })

  it('are lifted by name only', () => {
    expect(denies({ ...RW, allowProtected: ['.env'] })).not.toContain('write missing /w/.env')
    expect(denies({ ...RW, allowProtected: ['.env'] })).toContain('write missing /w/.envrc')
    expect(denies({ ...RW, allowProtected: ['.git'] }, git).filter((d) => d.includes('.git/'))).toEqual([])
    expect(denies({ ...RW, allowProtected: ['.git/hooks'] }, git)).toEqual(
      expect.arrayContaining(['write file /w/.git/config'])
    )
    expect(denies({ ...RW, allowProtected: ['.git/hooks'] }, git).join()).not.toContain('hooks')
  })

  it('are not needed where a narrower grant is read-only', () => {
    expect(denies({ ...RW, readOnlyPaths: ['/w/.git'] }, git).filter((d) => d.includes('.git/'))).toEqual([])
  })

  it.each<[string, Tree]>([
    ['.env', { '/w/.env': '-> /data/env', '/data/env': '' }],
    ['.git', { '/w/.git': '-> /data/git', '/data/git/hooks': null }],
    ['.git/hooks', { ...git, '/w/.git/hooks': '-> ../hooks', '/w/hooks': null }],
    ['.config', { '/w/.config': '-> /data/config', '/data/config': null }],
    ['.vscode, dangling', { '/w/.vscode': '-> gone' }]
  ])('refuse a link in place of %s', (_what, tree) => expect(codeOf(() => denies(RW, tree))).toBe('QI_PROTECTED_LINK'))

  it('let a lifted name be a link', () => {
    expect(codeOf(() => denies({ ...RW, allowProtected: ['.env'] }, { '/w/.env': '-> /data/env' }))).toBe('none')
  })

  it('cover home settings when a grant reaches them', () => {
    const tree = { '/home/u/.config/git/config': '', '/home/u/.config/systemd': null }
    expect(denies({ allowedPaths: ['~/.config'] }, tree)).toEqual(
      expect.arrayContaining([
        'write dir /home/u/.config/git',
        'write missing /home/u/.config/fish',
        'write dir /home/u/.config/systemd',
        'write missing /home/u/.config/qi-jail'
      ])
    )
  })
})

describe("qi-jail's own files", () => {
  it('are denied as one folder below a grant, piece by piece in its own checkout', () => {
    expect(denies({ allowedPaths: ['/opt/qi-jail'] }, { '/opt/qi-jail/dist/x': '' })).toEqual(
      expect.arrayContaining([
        'write dir /opt/qi-jail/dist',
        'write file /opt/qi-jail/package.json',
        'write missing /opt/qi-jail/prebuilds'
      ])
    )
    const below = resolveOn({
      argv: ['bash'],
      config: { filesystem: RW },
      packageDir: '/w/node_modules/qi-jail',
      tree: { '/w/node_modules/qi-jail/dist/x': '' }
    })
    expect(below.denies).toContainEqual(
      expect.objectContaining({ path: '/w/node_modules/qi-jail', kind: 'write', now: 'dir' })
    )
    expect(denies({ allowedPaths: ['/opt/qi-jail/examples'] }, { '/opt/qi-jail/examples/x': '' }).join()).not.toContain(
      'dist'
    )
  })

  it('include the Node of the prefix that it is installed in, there or not', () => {
    const list = (packageDir: string, tree: Tree) =>
      resolveOn({
        argv: ['bash'],
        config: { filesystem: { allowedPaths: ['/w/bin'] } },
        packageDir,
        tree: { '/w/bin/other': '', ...tree }
      }).denies.map((d) => `${d.now} ${d.path}`)
    const installed = '/w/lib/node_modules/qi-jail'
    expect(list(installed, {})).toContain('missing /w/bin/node')
    expect(list(installed, { '/w/bin/node': '' })).toContain('file /w/bin/node')
    expect(list('/w/node_modules/qi-jail', { '/w/bin/node': '' }).join()).not.toContain('/w/bin/node')
    expect(codeOf(() => list(installed, { '/w/bin/node': '-> other' }))).toBe('QI_PROTECTED_GRANT')
  })

  it('include its folders where the environment puts them, read or not', () => {
    const env = { PATH: '/usr/bin:/bin', HOME: '/home/u', XDG_CONFIG_HOME: '/w/c', XDG_STATE_HOME: '/w/s' }
    const launch = (allowedPaths: string[], tree: Tree) =>
      resolveOn({ argv: ['bash'], config: { filesystem: { allowedPaths } }, env, tree })
    const list = (tree: Tree) => launch(['/w'], tree).denies.map((d) => `${d.now} ${d.path}`)
    expect(list({ '/w': null })).toEqual(expect.arrayContaining(['missing /w/c', 'missing /w/s']))
    const there = list({ '/w/c/qi-jail/policy.yaml': '', '/w/s/other': '' })
    expect(there).toEqual(expect.arrayContaining(['dir /w/c/qi-jail', 'missing /w/s/qi-jail']))
    // What lies beside them stays writable.
    expect(there.some((deny) => / \/w\/(c|s|s\/other)$/.test(deny))).toBe(false)
    expect(codeOf(() => launch(['/w/c/qi-jail'], { '/w/c/qi-jail/policy.yaml': '' }))).toBe('QI_PROTECTED_GRANT')
  })

  it('include the audit file', () => {
    expect(denies(RW, {}, { audit: { file: '/w/audit.jsonl' } })).toContain('write file /w/audit.jsonl')
    expect(denies(RW, { '/w/audit.jsonl': '' }, { audit: { file: '/w/audit.jsonl' } })).toContain(
      'write file /w/audit.jsonl'
    )
    expect(denies(RW, {}, { audit: { file: '-' } }).join()).not.toContain('/-')
    expect(codeOf(() => denies(RW, { '/w/a': '-> /data', '/data': null }, { audit: { file: '/w/a/x' } }))).toBe(
      'QI_PROTECTED_GRANT'
    )
    expect(codeOf(() => denies({ allowedPaths: ['/w/a'] }, { '/w/a': '' }, { audit: { file: '/w/a' } }))).toBe(
      'QI_PROTECTED_GRANT'
    )
  })

  it('name the audit file for the launch', () => {
    const file = (path?: string) => resolveOn({ argv: ['bash'], config: { audit: { file: path } } }).audit
    expect(file('~/a.jsonl')).toEqual({ userId: '501', file: '/home/u/a.jsonl', files: 'denied' })
    expect(file('a.jsonl')).toEqual({ userId: '501', file: '/home/u/app/a.jsonl', files: 'denied' })
    expect(file('-')).toEqual({ userId: '501', file: '-', files: 'denied' })
    expect(file()).toEqual({ userId: '501', files: 'off' })
  })

  it('include the profile file', () => {
    const profile = { ...profileOf(), files: ['/w/jail.yaml'] }
    const { denies: list } = resolveOn({
      argv: ['bash'],
      profile,
      config: { filesystem: RW },
      tree: { '/w/jail.yaml': '' }
    })
    expect(list).toContainEqual(expect.objectContaining({ path: '/w/jail.yaml', now: 'file' }))
  })

  it('cannot be lifted', () => {
    expect(denies({ allowedPaths: ['/opt/qi-jail'], allowProtected: ['dist', 'package.json', '.qi-jail'] })).toContain(
      'write file /opt/qi-jail/package.json'
    )
  })
})

describe('deniedPaths', () => {
  const tree: Tree = { '/w/secret/key': 'x', '/w/file': 'x' }

  it('hide what a grant would show', () => {
    const list = denies(
      { readOnlyPaths: ['/w'], deniedPaths: ['/w/secret', '/w/file', '/w/later', '/elsewhere'] },
      tree
    )
    expect(list).toEqual(['read dir /w/secret', 'read file /w/file', 'read missing /w/later'])
  })

  it('keep the first missing folder on the way from coming to be', () => {
    const list = (at: string, more: Tree = {}) => denies({ ...RW, deniedPaths: [at] }, { ...tree, ...more })
    expect(list('/w/a/b/c')).toContain('read missing /w/a')
    expect(list('/w/a/b/c', { '/w/a': null })).toContain('read missing /w/a/b')
    expect(list('/w/file/b/c')).toContain('write file /w/file')
    expect(
      denies({ allowedPaths: ['/home/u/x'], deniedPaths: ['/home/u/y/z'] }, { '/home/u/x': null }).join()
    ).not.toMatch(/u\/y/)
  })

  it('hide parts of the system', () => {
    expect(denies({ deniedPaths: ['/usr/share'] })).toEqual(['read dir /usr/share'])
    const { grants } = resolveOn({ argv: ['bash'], config: { filesystem: { deniedPaths: ['/etc/ssl'] } } })
    expect(grants.map((g) => g.path)).not.toContain('/etc/ssl/certs')
  })

  it('swallow write-denies below them', () => {
    const list = denies({ ...RW, deniedPaths: ['/w/.vscode', '/w/.git'] }, { ...git, '/w/.vscode': null })
    expect(list.filter((d) => /\.(git|vscode)(\/|$)/.test(d))).toEqual(['read dir /w/.vscode', 'read dir /w/.git'])
  })

  it('are refused when the command needs them', () => {
    expect(
      codeOf(() =>
        resolveOn({
          argv: ['/opt/x/run.sh'],
          tree: { '/opt/x/run.sh': '+x#!/bin/sh\n' },
          config: { filesystem: { deniedPaths: ['/opt/x'] } }
        })
      )
    ).toBe('QI_GRANT_CONFLICT')
  })
})
