import { describe, expect, it } from 'vitest'
import { codeOf, EXECUTABLE, elf, type Given, resolveOn, type Tree } from './fake.js'

const APP = '/home/u/app'
const DENY = { deniedPaths: ['**/.env'], mediate: true }

const mediated = (argv: string[], tree: Tree = {}, given: Given = {}) =>
  resolveOn({ argv, tree, config: { filesystem: DENY }, ...given }).mediation
const environment = (root: string): Tree => ({
  [`${root}/pyvenv.cfg`]: 'home = /usr/bin\n',
  [`${root}/bin/python`]: '-> /usr/bin/python3',
  [`${root}/bin/tool`]: EXECUTABLE(`#!${root}/bin/copied\n`),
  [`${root}/bin/copied`]: elf(),
  [`${root}/lib/python3.11/site-packages/m.py`]: '',
  [`${root}/.env`]: 'secret',
  [`${root}/app.py`]: ''
})

describe('a pattern without a base means', () => {
  it('a project that is a virtual environment itself', () => {
    const found = mediated(['./bin/python', 'app.py'], environment('/srv/p'), { cwd: '/srv/p' })
    expect(found?.folders).toEqual(['/srv/p'])
    expect(found?.executables).toEqual([])
  })

  it('one in the private tmp, where it cannot be denied: refused', () => {
    const below = (root: string) => () => mediated(['./bin/python', 'app.py'], environment(root), { cwd: root })
    expect(codeOf(below('/tmp/p'))).toBe('QI_MEDIATE')
    expect(below('/var/tmp/p')()?.folders).toEqual(['/var/tmp/p'])
  })

  it('a virtual environment in a project, of which what the command starts with is executed', () => {
    const found = mediated([`${APP}/.venv/bin/tool`], environment(`${APP}/.venv`))
    expect(found?.folders).toEqual([`${APP}/.venv`])
    expect(found?.executables).toEqual([`${APP}/.venv/bin/copied`, `${APP}/.venv/bin/tool`])
  })

  it('what a script starts with, but not an interpreter of the system', () => {
    const given = (pattern: string): Given => ({ config: { filesystem: { deniedPaths: [pattern], mediate: true } } })
    const start = (pattern: string) => mediated([`${APP}/.venv/bin/tool`], environment(`${APP}/.venv`), given(pattern))
    expect(codeOf(() => start('**/copied'))).toBe('QI_GRANT_CONFLICT')
    const script = { [`${APP}/run`]: EXECUTABLE('#!/usr/bin/node\n') }
    expect(mediated([`${APP}/run`], script, given('**/node'))?.folders).toEqual([APP])
  })

  it.each(['.local/share/pipx/venvs/t', '.local/share/uv/tools/t', '.cache/uv/archive-v0/t', '.virtualenvs/t'])(
    'not one that an installer made, ~/%s',
    (name) => expect(mediated([`/home/u/${name}/bin/python`], environment(`/home/u/${name}`))).toBeUndefined()
  )

  it('not one that is called like an installer’s, in a project', () => {
    const root = `${APP}/.local/share/pipx/venvs/t`
    expect(mediated([`${root}/bin/python`], environment(root))?.folders).toEqual([root])
  })

  it('the libraries beside a command in a project', () => {
    const tree = {
      '/srv/p/bin/tool': elf(),
      '/srv/p/lib/l.so': '',
      '/srv/p/lib64/l.so': '',
      '/srv/p/lib/.env': 'secret'
    }
    expect(mediated(['/srv/p/bin/tool'], tree)?.folders).toEqual(['/srv/p/lib', '/srv/p/lib64'])
  })

  it('not an installed interpreter, but one around the working directory; not a version manager, or the system', () => {
    const python = { '/opt/py/bin/python3.12': elf(), '/opt/py/lib/python3.12/os.py': '' }
    expect(mediated(['/opt/py/bin/python3.12', '-c', '1'], python)).toBeUndefined()
    const unpacked = { cwd: '/opt/py/app' }
    expect(mediated(['/opt/py/bin/python3.12', '-c', '1'], python, unpacked)?.folders).toEqual(['/opt/py'])
    expect(mediated(['/home/u/.volta/bin/x'], { '/home/u/.volta/bin/x': elf() })).toBeUndefined()
    expect(mediated(['bash', '-c', '1'])).toBeUndefined()
  })
})

it('a pattern that reaches into no granted folder is told', () => {
  const { notes } = resolveOn({ argv: ['bash'], config: { filesystem: DENY } })
  expect(notes.map(({ text }) => text)).toEqual(['**/.env reaches into no granted folder'])
  expect(resolveOn({ config: { filesystem: DENY } }).notes).toEqual([])
})
