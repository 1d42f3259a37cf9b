import { describe, expect, it } from 'vitest'
import { otherPaths } from '../../src/profile/aliases.js'
import { createHost } from '../../src/profile/host.js'
import { enterable, hostMasks, hostTree, outermost } from '../../src/profile/permissive.js'
import type { Deny, Grant } from '../../src/profile/types.js'
import { fakeFs, type Tree } from './fake.js'

const mount = (device: string, root: string, at: string, type = 'ext4') =>
  `1 2 ${device} ${root} ${at} rw,relatime shared:1 - ${type} /dev/x rw`
const INFO = [
  mount('8:1', '/', '/'),
  mount('8:1', '/home', '/srv/homes'),
  mount('8:1', '/home/u/.ssh', '/opt/keys'),
  mount('8:2', '/', '/mnt/other\\040disk'),
  mount('8:1', '/', '/mnt/whole'),
  mount('8:3', '/', '/mnt/whole/home'), // hides what is below
  mount('0:20', '/', '/proc', 'proc'),
  mount('0:20', '/', '/srv/root/proc', 'proc')
].join('\n')

describe('otherPaths', () => {
  it.each([
    ['/home/u/.ssh', ['/srv/homes/u/.ssh', '/opt/keys']],
    ['/home/u/.ssh/id', ['/srv/homes/u/.ssh/id', '/opt/keys/id']],
    ['/srv/homes/u/.ssh', ['/home/u/.ssh', '/opt/keys']],
    ['/opt/keys/id', ['/home/u/.ssh/id', '/srv/homes/u/.ssh/id']],
    ['/etc/secret', ['/mnt/whole/etc/secret']],
    ['/mnt/other disk/x', []],
    ['/mnt/whole/home/x', []]
  ])('%s', (path, expected) => expect(otherPaths(INFO, path)).toEqual(expected))

  it('of nothing is nothing', () => {
    for (const text of ['', '\n\n', 'x', '1 2 3', `${mount('8:1', '/', '/x')}`])
      expect(otherPaths(text, '/y')).toEqual([])
  })
})

const TREE: Tree = {
  '/bin': '-> usr/bin',
  '/usr/bin/sh': '+x',
  '/etc/hosts': 'x',
  '/etc/shadow': 'x',
  '/etc/resolv.conf': '-> /run/resolv.conf',
  '/etc/deep/a': 'x',
  '/home/u/.ssh/id': 'x',
  '/home/u/.ssh/known_hosts': 'x',
  '/home/u/.netrc': 'x',
  '/home/u/x': 'x',
  '/proc/self/mountinfo': INFO,
  '/sys/x': 'x',
  '/dev/sda': 'socket:',
  '/initctl': 'socket:',
  '/swap': 'x',
  '/tmp/x': 'x',
  '/var/tmp/mine/y': 'x',
  '/var/lib/x': 'x',
  '/srv/homes/u/.ssh/id': 'x',
  '/srv/root/proc/1/environ': 'x',
  '/opt/keys/id': 'x'
}
const host = createHost({ fs: fakeFs(TREE), writtenHome: '/home/u', callerCwd: '/home/u', env: {} })
const paths = (grants: { path: string }[]) => grants.map(({ path }) => path).sort()

describe('hostTree', () => {
  const OWN = ['/tmp', '/etc/hosts', '/etc/resolv.conf', '/etc/passwd']

  it('has everything but what the jail makes itself', () => {
    const { grants, symlinks } = hostTree(host, OWN, [])
    expect(paths(grants)).toEqual(['/etc/deep', '/etc/shadow', '/home', '/opt', '/srv', '/swap', '/usr', '/var'])
    expect(symlinks.map(({ path, target }) => [path, target])).toEqual([['/bin', 'usr/bin']])
    for (const grant of grants) expect(grant).toMatchObject({ access: 'ro', as: 'other', optional: true })
  })

  it('goes around a private tmp at any depth', () => {
    expect(paths(hostTree(host, ['/var/tmp/mine'], []).grants)).toEqual(
      ['/etc', '/home', '/opt', '/srv', '/swap', '/tmp', '/usr', '/var/lib'].sort()
    )
  })

  it('leaves out what is denied as a whole', () => {
    const denied = [{ walk: { real: '/home' } }, { walk: { real: '/etc/deep/a' } }] as never
    expect(paths(hostTree(host, OWN, denied).grants)).not.toContain('/home')
    expect(paths(hostTree(host, OWN, denied).grants)).toContain('/etc/deep')
  })
})

describe('hostMasks', () => {
  const grants = hostTree(host, ['/tmp'], []).grants
  const grant = (path: string) => ({ path, access: 'ro', kind: 'file' }) as Grant

  it('hides secrets wherever they are mounted, and what the kernel shows of the host', () => {
    expect(paths(hostMasks(host, [], [], grants))).toEqual([
      '/home/u/.netrc',
      '/home/u/.ssh',
      '/opt/keys',
      '/srv/homes/u/.ssh',
      '/srv/root/proc'
    ])
  })

  it('shows what strict grants, and hides the rest of its folder', () => {
    const masks = paths(hostMasks(host, [grant('/home/u/.ssh/known_hosts')], [], grants))
    expect(masks).toContain('/home/u/.ssh/id')
    expect(masks).not.toContain('/home/u/.ssh')
    expect(masks).not.toContain('/home/u/.ssh/known_hosts')
  })

  it('hides what is denied at every place', () => {
    const denied = [{ walk: { real: '/home/u/x' }, origin: 'a deny' }] as never
    const masks = hostMasks(host, [], denied, grants)
    expect(masks).toContainEqual({ path: '/home/u/x', kind: 'read', now: 'file', origin: 'a deny' })
  })
})

it('outermost: a mask has nothing inside', () => {
  const deny = (path: string): Deny => ({ path, kind: 'read', now: 'dir', origin: '' })
  expect(paths(outermost([deny('/a/b'), deny('/a'), deny('/a'), deny('/ab')]))).toEqual(['/a', '/ab'])
})

describe('enterable', () => {
  const grant = (path: string): Grant => ({ path, access: 'ro', kind: 'dir', as: 'other', optional: true, origin: '' })
  const deny = (path: string): Deny => ({ path, kind: 'read', now: 'dir', origin: 'o' })
  const fs = fakeFs(TREE)
  const closing = (...folders: string[]) => ({
    ...host,
    fs: {
      ...fs,
      lstat: (path: string) => {
        const stat = fs.lstat(path)
        return stat && { ...stat, mode: folders.includes(path) ? 0o700 : 0o755 }
      }
    }
  })
  const where = (closed: string[], path = '/home/u/.ssh') =>
    enterable(closing(...closed), [deny(path)], [grant('/home')]).map((one) => one.path)

  it('masks the outermost folder that not everybody may enter', () => {
    expect(where(['/home/u'])).toEqual(['/home/u'])
    expect(where(['/home', '/home/u'])).toEqual(['/home'])
  })

  it('leaves what can be mounted as it is, also what is closed itself', () => {
    expect(where([])).toEqual(['/home/u/.ssh'])
    expect(where(['/home/u/.ssh'])).toEqual(['/home/u/.ssh'])
  })

  it('does not look above what the jail shows', () => {
    const [one] = enterable(closing('/home'), [deny('/home/u/.ssh')], [grant('/home/u')])
    expect(one?.path).toBe('/home/u/.ssh')
  })
})
