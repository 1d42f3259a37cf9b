import { describe, expect, test } from 'vitest'
import { readMounts } from '../../src/host/mounts.js'
import { readRestrictions } from '../../src/host/restrictions.js'

const HOST = {
  '/proc/self/uid_map': '0          0 4294967295',
  '/proc/self/mountinfo': '22 1 8:1 / / rw - ext4 /dev/sda1 rw',
  '/proc/self/cgroup': '0::/user.slice/session.scope'
}

const on = (files: Record<string, string>) => {
  const all: Record<string, string> = { ...HOST, ...files }
  return readRestrictions((path) => all[path])
}

describe('what is around this process', () => {
  test('an ordinary host: nothing', () =>
    expect(on({})).toEqual({
      usernsCloneOff: false,
      apparmorRestricts: false,
      exhausted: [],
      filtered: false,
      mapped: true,
      nestedUserNamespace: false,
      chrooted: false
    }))

  test.each([
    ['podman', { '/run/.containerenv': '' }],
    ['docker', { '/.dockerenv': '' }],
    ['systemd-nspawn', { '/run/systemd/container': 'systemd-nspawn' }],
    ['lxc', { '/proc/1/environ': 'PATH=/bin\0container=lxc\0TERM=xterm' }],
    ['kubepods', { '/proc/self/cgroup': '0::/kubepods/besteffort/pod1/2' }],
    ['x'.repeat(64), { '/run/systemd/container': 'x'.repeat(9999) }]
  ])('a container of %s', (container, files) => expect(on(files).container).toBe(container))

  test('other variables and groups of like names are no container', () => {
    expect(on({ '/proc/1/environ': 'mycontainer=lxc\0A=container=b' }).container).toBeUndefined()
    expect(on({ '/proc/self/cgroup': '0::/system.slice/docker.service' }).container).toBeUndefined()
  })

  test('a chroot to a plain folder shows no mount at /', () => {
    const below = '30 22 8:1 /home /home rw - ext4 /dev/sda1 rw'
    expect(on({ '/proc/self/mountinfo': below }).chrooted).toBe(true)
    expect(on({ '/proc/self/mountinfo': `${HOST['/proc/self/mountinfo']}\n${below}` }).chrooted).toBe(false)
  })

  test('a chroot to a mount point is seen elsewhere by process 1', () => {
    const around = '20 1 8:1 / / rw - ext4 /dev/sda1 rw'
    const from = (first: string) => on({ '/proc/1/mountinfo': first }).chrooted
    expect(from(`${around}\n22 20 8:1 / /srv/root rw - ext4 /dev/sda1 rw`)).toBe(true)
    expect(from(around)).toBe(false) // of other mounts
    expect(from(HOST['/proc/self/mountinfo'])).toBe(false)
  })

  test('the user namespace of a rootless container, and one without a map', () => {
    expect(on({ '/proc/self/uid_map': '0       1000          1' }).nestedUserNamespace).toBe(true)
    expect(on({ '/proc/self/uid_map': '' })).toMatchObject({ mapped: false, nestedUserNamespace: true })
  })

  test('mount points with spaces are read as they are called', () =>
    expect(readMounts('1 2 0:5 / /a\\040b rw shared:1 - tmpfs tmpfs rw\ngarbage\n')).toEqual([
      { id: '1', root: '/', point: '/a b', type: 'tmpfs' }
    ]))
})
