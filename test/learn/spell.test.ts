// What is learned is resolved as a launch resolves it: each entry means the path that was judged, whatever it is called.
import { describe, expect, it } from 'vitest'
import { nothing } from '../../src/learn/observe.js'
import { propose } from '../../src/learn/propose.js'
import { createHost } from '../../src/profile/host.js'
import { BASE, fakeFs, resolveOn, type Tree } from '../profile/fake.js'

const APP = '/home/u/app'
const use = { read: true, write: false, execute: false, names: false }

function learned(tree: Tree, paths: string[], write = false) {
  const all = { [`${APP}/package.json`]: '{}', ...tree }
  const host = createHost({ fs: fakeFs({ ...BASE, ...all }), writtenHome: '/home/u', callerCwd: APP, env: {} })
  const files = new Map(paths.map((path) => [path, { ...use, write }]))
  const options = { host, folder: APP, tempDirectory: '/tmp', neverAllowed: () => undefined, isPublic: () => false }
  const proposal = propose({ ...nothing(), files }, options)
  const [readOnlyPaths, allowedPaths, deniedPaths] = [
    proposal.readOnlyPaths,
    proposal.allowedPaths,
    proposal.deniedPaths
  ].map((entries) => entries.map(({ value }) => value))
  const filesystem = { readOnlyPaths, allowedPaths, deniedPaths } as Record<string, string[]>
  const profile = resolveOn({ argv: ['bash'], tree: all, config: { filesystem } })
  const grants = profile.grants.filter((g) => g.origin.startsWith('config')).map((g) => `${g.access} ${g.path}`)
  const hidden = profile.denies.filter((d) => d.kind === 'read').map((d) => d.path)
  return { filesystem, drafts: proposal.drafts, grants, hidden }
}

describe('entries for names that a payload chose', () => {
  it('never lead out of the project', () => {
    const trap = `${APP}/.a/\\.\\./\\.\\./\\.\\./.ssh2`
    const { filesystem, grants } = learned({ [`${trap}/new`]: 'x', '/home/u/.ssh2/id': 'k' }, [trap], true)
    expect(filesystem.allowedPaths).toEqual(['./.a/\\\\.\\\\./\\\\.\\\\./\\\\.\\\\./.ssh2/**'])
    expect(grants).toEqual([`ro ${APP}`, `rw ${trap}`])
  })

  it.each([
    'plain',
    'a*b',
    'a**',
    '*',
    '[x]',
    '[',
    'a]b',
    '{a,b}',
    'a\\b',
    'a\\',
    '\\\\',
    '\\*',
    '!x',
    '$CWD',
    '~',
    'a?b'
  ])('mean the folder %j and no other', (name) => {
    const { grants, drafts } = learned({ [`/srv/${name}/x`]: 'x' }, [`/srv/${name}/x`])
    expect([grants, drafts]).toEqual([[`ro /srv/${name}`], []])
  })

  it('keep out the file of secrets that is there, not its neighbour', () => {
    const { hidden } = learned({ [`${APP}/a\\b.pem`]: 'k', [`${APP}/ab.pem`]: 'k', [`${APP}/{x,y}.key`]: 'k' }, [APP])
    expect(hidden.sort()).toEqual([`${APP}/a\\b.pem`, `${APP}/ab.pem`, `${APP}/{x,y}.key`])
  })

  it.each(['a?', 'a\u001b[2Jb', 'a\u0085b', 'a\u202eb'])('are left to a person for %j', (name) => {
    const { grants, drafts } = learned({ [`/srv/${name}`]: 'x', '/srv/a': 'x' }, [`/srv/${name}`])
    expect(grants).toEqual([])
    expect(drafts).toMatchObject([{ key: 'filesystem.readOnlyPaths', risk: expect.stringContaining('rename it') }])
  })

  it.each(['.env.x?', '.env.\n', '.env.\u0085'])('leave the folder of the secret %j to a person', (name) => {
    const { grants, drafts } = learned({ [`${APP}/${name}`]: 'k' }, [APP])
    expect(grants).toEqual([])
    expect(drafts).toMatchObject([{ value: './**', risk: expect.stringContaining('file of secrets') }])
  })
})
