import { describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/policy/config.js'
import { codeOf, type Given, profileOf, resolveOn, type Tree } from './fake.js'

type Lists = NonNullable<SandboxConfig['filesystem']>

const on = (filesystem: Lists, given: Given = {}) => resolveOn({ argv: ['bash'], config: { filesystem }, ...given })
/** Grants besides the system's. */
const named = (filesystem: Lists, tree: Tree = {}) =>
  on(filesystem, { tree })
    .grants.filter((g) => g.origin.startsWith('config'))
    .map((g) => `${g.access} ${g.path}`)

const DATA: Tree = { '/data/a/b/c': 'x', '/data/file': 'x' }

describe('explicit grants', () => {
  it('expands ~, $CWD, relative paths and dots', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what a profile writes
    const paths = ['~/docs', '$CWD/in', '${cwd}/out', './rel', '/data//a/.']
    const tree = {
      ...DATA,
      '/home/u/docs': null,
      '/home/u/app/in': null,
      '/home/u/app/out': null,
      '/home/u/app/rel': null
    }
    expect(named({ readOnlyPaths: paths }, tree)).toEqual([
      'ro /data/a',
      'ro /home/u/app/in',
      'ro /home/u/app/out',
      'ro /home/u/app/rel',
      'ro /home/u/docs'
    ])
  })

  it('keeps nested grants with another access and drops those already given', () => {
    expect(named({ readOnlyPaths: ['/data'], allowedPaths: ['/data/a/b'] }, DATA)).toEqual(['ro /data', 'rw /data/a/b'])
    expect(named({ readOnlyPaths: ['/data/a/b'], allowedPaths: ['/data'] }, DATA)).toEqual(['rw /data', 'ro /data/a/b'])
    expect(named({ readOnlyPaths: ['/data', '/data/a', '/data/file'] }, DATA)).toEqual(['ro /data'])
  })

  it('a trailing ? means "if it exists"', () => {
    expect(named({ readOnlyPaths: ['/gone?', '/data?'] }, DATA)).toEqual(['ro /data'])
    expect(codeOf(() => named({ readOnlyPaths: ['/gone'] }))).toBe('QI_GRANT_MISSING')
  })

  it('brings the links of a written path along', () => {
    const profile = on(
      { readOnlyPaths: ['/home/u/current/x'] },
      { tree: { '/data/r1/x': 'x', '/home/u/current': '-> /data/now', '/data/now': '-> r1' } }
    )
    expect(profile.grants.find((g) => g.origin.startsWith('config'))).toMatchObject({
      path: '/data/r1/x',
      kind: 'file',
      as: 'caller'
    })
    expect(profile.symlinks).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ path: '/home/u/current', target: '/data/now' }),
        expect.objectContaining({ path: '/data/now', target: 'r1' })
      ])
    )
  })

  it.each<[string, Lists, string, Tree?]>([
    ['ro and rw', { readOnlyPaths: ['/data'], allowedPaths: ['/data/'] }, 'QI_GRANT_CONFLICT'],
    ['rw and deny', { allowedPaths: ['/data'], deniedPaths: ['/data'] }, 'QI_GRANT_CONFLICT'],
    [
      'ro and rw by a link',
      { readOnlyPaths: ['/d'], allowedPaths: ['/data'] },
      'QI_GRANT_CONFLICT',
      { '/d': '-> data' }
    ],
    [
      'a grant inside a denied folder',
      { readOnlyPaths: ['/data', '/data/a/b'], deniedPaths: ['/data/a'] },
      'QI_GRANT_CONFLICT'
    ],
    ['a denied system folder', { deniedPaths: ['/usr/bin'], readOnlyPaths: ['/usr/bin/node'] }, 'QI_GRANT_CONFLICT'],
    ['/ to read', { readOnlyPaths: ['/'] }, 'QI_GRANT_TOO_WIDE'],
    ['/ to write', { allowedPaths: ['/'] }, 'QI_GRANT_TOO_WIDE'],
    ['/ by a link', { readOnlyPaths: ['/r'] }, 'QI_GRANT_TOO_WIDE', { '/r': '-> .' }],
    ['home to write', { allowedPaths: ['~'] }, 'QI_GRANT_TOO_WIDE'],
    ['what holds home to write', { allowedPaths: ['/home'] }, 'QI_GRANT_TOO_WIDE'],
    ['/etc to write', { allowedPaths: ['/etc'] }, 'QI_GRANT_TOO_WIDE'],
    ['/proc', { readOnlyPaths: ['/proc/1'] }, 'QI_GRANT_TOO_WIDE', { '/proc/1': null }],
    ['a socket', { readOnlyPaths: ['/s'] }, 'QI_GRANT_KIND', { '/s': 'socket:' }],
    ['the private tmp', { allowedPaths: ['/tmp'] }, 'QI_GRANT_CONFLICT'],
    ['a loop', { readOnlyPaths: ['/l'] }, 'QI_PATH', { '/l': '-> l' }],
    [
      'a planted link, to read',
      { allowedPaths: ['/data/a'], readOnlyPaths: ['/data/a/l'] },
      'QI_GRANT_LINK',
      { '/data/a/l': '-> /data/file' }
    ],
    [
      'a planted link, to write',
      { allowedPaths: ['/data/a', '/data/a/l/x'] },
      'QI_GRANT_LINK',
      { '/data/a/l': '-> /other', '/other/x': null }
    ],
    [
      'a planted link, to deny',
      { allowedPaths: ['/data/a'], deniedPaths: ['/data/a/l'] },
      'QI_GRANT_LINK',
      { '/data/a/l': '-> b' }
    ],
    ['credentials through a link', { readOnlyPaths: ['/data/l'] }, 'QI_GRANT_LINK', { '/data/l': '-> /home/u/.ssh' }],
    [
      'a key through a link',
      { readOnlyPaths: ['/data/l'] },
      'QI_GRANT_LINK',
      { '/data/l': '-> /home/u/.ssh/id_ed25519' }
    ],
    ['.git/hooks to write', { allowedPaths: ['/data/.git/hooks'] }, 'QI_PROTECTED_GRANT', { '/data/.git/hooks': null }],
    ['.vscode/x to write', { allowedPaths: ['/data/.vscode/x'] }, 'QI_PROTECTED_GRANT', { '/data/.vscode/x': null }],
    [
      '~/.config/git to write',
      { allowedPaths: ['~/.config/git'] },
      'QI_PROTECTED_GRANT',
      { '/home/u/.config/git': null }
    ],
    ['a shell rc file to write', { allowedPaths: ['~/.bashrc'] }, 'QI_PROTECTED_GRANT', { '/home/u/.bashrc': 'x' }],
    [
      "qi-jail's own folder to write",
      { allowedPaths: ['/opt/qi-jail/dist/x'] },
      'QI_PROTECTED_GRANT',
      { '/opt/qi-jail/dist/x': null }
    ]
  ])('refuses %s', (_what, filesystem, code, tree = {}) => {
    expect(codeOf(() => on(filesystem, { tree: { ...DATA, ...tree } }))).toBe(code)
  })

  it.each<[string, Lists, Tree?]>([
    ['credentials by their name', { readOnlyPaths: ['~/.ssh'] }],
    ['home to read', { readOnlyPaths: ['~'] }],
    [
      'a link beside the writable grant',
      { allowedPaths: ['/data/a'], readOnlyPaths: ['/l'] },
      { '/l': '-> /data/file' }
    ],
    [
      'a folder whose name begins like a writable one',
      { allowedPaths: ['/data/a'], readOnlyPaths: ['/data/ab/l'] },
      { '/data/ab/l': '-> /data/file' }
    ],
    ['.git/hooks to read', { readOnlyPaths: ['/data/.git/hooks'] }, { '/data/.git/hooks': null }],
    [
      '.vscode when lifted',
      { allowedPaths: ['/data/.vscode'], allowProtected: ['.vscode'] },
      { '/data/.vscode': null }
    ],
    ['a file in a name like .git', { allowedPaths: ['/data/x.git'] }, { '/data/x.git': null }]
  ])('control: takes %s', (_what, filesystem, tree = {}) => {
    expect(codeOf(() => on(filesystem, { tree: { ...DATA, ...tree } }))).toBe('none')
  })

  it("the caller's layer overrides the profile's", () => {
    const profile = profileOf({ filesystem: { allowedPaths: ['/data'] } })
    const { grants } = on({ readOnlyPaths: ['/data'] }, { tree: DATA, profile })
    expect(grants.find((g) => g.path === '/data')).toMatchObject({
      access: 'ro',
      origin: 'config: filesystem.readOnlyPaths[0]'
    })
  })

  it('names origin, path and remedy', () => {
    expect(() => on({ readOnlyPaths: ['/data', 'gone'] }, { tree: DATA })).toThrow(
      'config: filesystem.readOnlyPaths[1] = "gone": /home/u/app/gone does not exist or cannot be reached (create it'
    )
  })
})
