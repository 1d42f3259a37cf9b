import { describe, expect, it } from 'vitest'
import { codeOf, EXECUTABLE, type Given, profileOf, resolveOn, type Tree } from './fake.js'

// An earlier payload wrote what it liked into /home/u/app. What it wrote must not choose what the next launch grants.

const APP = '/home/u/app'
const WRITABLE = profileOf({ filesystem: { allowedPaths: [APP] } })
const SECRET: Tree = {
  '/home/u/secret/.venv/pyvenv.cfg': 'home = /usr/bin\n',
  '/home/u/secret/.venv/bin/python': '-> /usr/bin/python3',
  '/home/u/secret/.venv/lib/python3.11/site-packages/e.pth': '/home/u/secret/src\n',
  '/home/u/secret/src/key.py': 'secret',
  '/home/u/secret/bin/python': '-> /usr/bin/python3',
  '/home/u/secret/lib/server/main.py': 'secret'
}

/** What a launch shows of the secret: nothing, a refusal's code, or the paths. */
function shown(argv: string[], tree: Tree, given: Given = {}): string {
  const resolveIt = () => resolveOn({ argv, tree: { ...SECRET, ...tree }, profile: WRITABLE, ...given })
  const code = codeOf(() => void resolveIt())
  if (code !== 'none') return code
  return resolveIt()
    .grants.map((g) => g.path)
    .filter((path) => path.startsWith('/home/u/') && path !== APP)
    .join(' ')
}

describe('a virtual environment', () => {
  const venv: Tree = {
    [`${APP}/.venv/bin/python`]: '-> /usr/bin/python3',
    [`${APP}/.venv/pyvenv.cfg`]: 'home = /usr/bin\n'
  }

  it('that the caller names is granted with its editable installs', () => {
    expect(shown(['/home/u/secret/.venv/bin/python', 'x.py'], {})).toBe('/home/u/secret/.venv /home/u/secret/src')
  })
  it('of the project works', () => expect(shown([`${APP}/.venv/bin/python`], venv)).toBe(''))

  it.each<[string, string[], Tree, string]>([
    [
      'planted "#!" line',
      [`${APP}/tool`],
      { [`${APP}/tool`]: EXECUTABLE('#!/home/u/secret/.venv/bin/python\n') },
      'QI_GRANT_LINK'
    ],
    [
      'planted link',
      [`${APP}/.venv/bin/python`],
      { ...venv, [`${APP}/.venv/bin/python`]: '-> /home/u/secret/.venv/bin/python' },
      'QI_GRANT_LINK'
    ],
    [
      'planted base interpreter',
      [`${APP}/.venv/bin/python`],
      { ...venv, [`${APP}/.venv/pyvenv.cfg`]: 'home = /home/u/secret/bin\n' },
      ''
    ],
    [
      'planted .pth',
      [`${APP}/.venv/bin/python`],
      { ...venv, [`${APP}/.venv/lib/python3.11/site-packages/e.pth`]: '/home/u/secret/src\n' },
      ''
    ],
    [
      'planted .pth, the project named through a link',
      ['/home/u/l/.venv/bin/python'],
      { ...venv, '/home/u/l': '-> app', [`${APP}/.venv/lib/python3.11/site-packages/e.pth`]: '/home/u/secret/src\n' },
      ''
    ]
  ])('%s', (_, argv, tree, expected) => {
    expect(shown(argv, tree)).toBe(expected)
  })
})

describe('the working directory', () => {
  const profile = profileOf({ filesystem: { allowedPaths: [APP, '$CWD'] } })
  it('below the project is taken', () => {
    const request = {
      tree: { [`${APP}/sub`]: null },
      argv: ['node', '-e', '1'],
      profile,
      config: { cwd: `${APP}/sub` }
    }
    expect(resolveOn(request).command.cwd).toBe(`${APP}/sub`)
  })
  it('replaced by a link is not followed', () => {
    const tree = { [`${APP}/sub`]: '-> /home/u/secret' }
    expect(shown(['node', '-e', '1'], tree, { profile, config: { cwd: `${APP}/sub` } })).toBe('QI_GRANT_LINK')
  })
})

describe('a package', () => {
  const argv = ['node', '/home/u/mono/p/src/x.js']
  const tree: Tree = { '/home/u/mono/package.json': '{"name":"mono"}', '/home/u/mono/p/src/x.js': '' }
  const granted = (given: Given) => resolveOn({ argv, tree, ...given }).grants.map((g) => g.path)

  it('is looked for upwards', () => expect(granted({})).toContain('/home/u/mono'))
  it('but not above a writable folder, from a read-only one in it either', () => {
    const filesystem = { allowedPaths: ['/home/u/mono/p'], readOnlyPaths: ['/home/u/mono/p/src'] }
    expect(granted({ profile: profileOf({ filesystem }) })).not.toContain('/home/u/mono')
  })
})

describe('a link of the repository, under a relative grant of a caller who makes nothing writable', () => {
  const tree: Tree = { [`${APP}/docs`]: '-> /home/u/notes', '/home/u/notes/n': '', [`${APP}/keys`]: '-> /home/u/.ssh' }
  const on = (path: string) =>
    resolveOn({ argv: ['bash'], tree, profile: profileOf(), config: { filesystem: { readOnlyPaths: [path] } } })

  it('is followed, and told: the place it leads to, and the link, by who named it', () => {
    const { grants, symlinks } = on('./docs')
    expect(grants).toContainEqual(
      expect.objectContaining({ path: '/home/u/notes', access: 'ro', origin: 'config: filesystem.readOnlyPaths[0]' })
    )
    expect(symlinks).toContainEqual({
      path: `${APP}/docs`,
      target: '/home/u/notes',
      origin: 'config: filesystem.readOnlyPaths[0]'
    })
  })

  it('to secrets is refused, and so is any where the project is writable', () => {
    expect(codeOf(() => on('./keys'))).toBe('QI_GRANT_LINK')
    const writable = { tree, profile: WRITABLE, config: { filesystem: { readOnlyPaths: ['./docs'] } } }
    expect(codeOf(() => resolveOn({ argv: ['bash'], ...writable }))).toBe('QI_GRANT_LINK')
  })
})
