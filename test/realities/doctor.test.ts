import { describe, expect, test } from 'vitest'
import { kernelBefore } from '../support/kernel.js'
import { type User, users } from '../support/user.js'
import { overlay, tmpfs } from './file-systems.js'
import { launchIn, type World } from './support.js'

/** What keeps a launch from working has to be told by `qi-jail doctor`, with the same remedy. */
const CONDITIONS: [what: string, user: User, world: World, remedy: RegExp][] = [
  [
    'user.max_user_namespaces = 0',
    'plain',
    { prepare: 'echo 0 > /proc/sys/user/max_user_namespaces' },
    /user\.max_user_namespaces is 0: raise it/
  ],
  [
    'a file of /proc is hidden',
    'plain',
    { prepare: 'mount --bind /dev/null /proc/timer_list' },
    /systempaths=unconfined/
  ],
  [
    'a file of /proc is hidden',
    'root',
    { prepare: 'mount --bind /dev/null /proc/timer_list' },
    /systempaths=unconfined/
  ],
  ['root of a user namespace', 'root', { asRoot: ['unshare', '--user', '--map-root-user'] }, /run as an ordinary user/],
  ['/proc is of another pid namespace', 'plain', { strangeProc: true }, /unshare --mount-proc/]
]

async function doctor(user: User, world: World) {
  const { status, stdout, stderr, left, files } = await launchIn(user, {
    ...world,
    verb: ['doctor', '--json', ...(world.flags ?? [])]
  })
  expect({ left, files }).toEqual({ left: '', files: ['project'] })
  return { status, found: JSON.parse(stdout || stderr) }
}

describe('qi-jail doctor', () => {
  test.each(users)('on an ordinary host, for %s: a jail can be had', async (user) => {
    const { status, found } = await doctor(user, {})
    expect({ status, ok: found.ok }).toEqual({ status: 0, ok: true })
    expect(found.restrictions.chrooted).toBe(false)
    expect(found.profiles.map(({ profile }: { profile: string }) => profile)).toEqual(['dev', 'standard', 'strict'])
    for (const { launch, protections } of found.profiles) {
      expect(launch.ok).toBe(true)
      expect(protections.length).toBeGreaterThan(15)
    }
  })

  test.each(users)('whether hosts can be allowed, for %s: as the kernel is, with the remedy', async (user) => {
    const { found } = await doctor(user, {})
    expect(found.host.netnsCookie).toBe(!kernelBefore(5, 14))
    expect(found.remedies.join('\n').includes('SO_NETNS_COOKIE')).toBe(kernelBefore(5, 14))
  })

  test.each(users)('in a chroot, for %s: it is seen, and the remedy is told', async (user) => {
    const prepare = 'mkdir "$HOME/root"; mount --rbind / "$HOME/root"; mount --rbind /proc "$HOME/root/proc"'
    const clear = 'umount -l "$HOME/root"; rmdir "$HOME/root"'
    const asRoot = ['sh', '-c', 'exec chroot "$HOME/root" "$@"', 'sh']
    const { status, found } = await doctor(user, { prepare, clear, asRoot })
    expect({ status, ok: found.ok }).toEqual({ status: 1, ok: false })
    expect(found.restrictions.chrooted).toBe(true)
    expect(found.host.userNamespaces.usable).toBe(false)
    expect(found.remedies.join('\n')).toMatch(/in a chroot.*pivot_root/)
  })

  test.each(users)(
    'a project on overlayfs, for %s: only root needs id-mapped mounts, and has none there',
    async (user) => {
      const { status, found } = await doctor(user, overlay)
      expect({ status, ok: found.ok }).toEqual({ status: 0, ok: true })
      const [folder] = found.folders
      if (user === 'plain') return expect(folder).toMatchObject({ type: 'overlay', idMapped: 'not needed' })
      expect(folder).toMatchObject({ type: 'overlay', idMapped: 'no' })
      expect(found.remedies.join('\n')).toMatch(/project: .*IdMapGrant.*launch as an ordinary user/)
      const dev = await doctor(user, { ...overlay, flags: ['--profile', 'dev'] })
      expect({ status: dev.status, launch: dev.found.launch.step }).toEqual({ status: 1, launch: 'IdMapGrant' })
      expect(dev.found.profiles.map(({ profile }: { profile: string }) => profile)).toEqual(['dev'])
    }
  )

  test.each(users)('a project on tmpfs, for %s: it has them', async (user) => {
    const { found } = await doctor(user, tmpfs())
    expect(found.folders[0]).toMatchObject({ type: 'tmpfs', idMapped: user === 'root' ? 'yes' : 'not needed' })
    expect(found.folders.length).toBeGreaterThan(1)
  })

  test.each(CONDITIONS.filter(([, user]) => users.includes(user)))(
    '%s, for %s: no jail can be had, and the remedy is told',
    async (_what, user, world, remedy) => {
      const { status, found } = await doctor(user, world)
      // Without any profile to look at there is only the error to tell: that is a failure of its own.
      expect([1, 125]).toContain(status)
      expect(found.ok).not.toBe(true)
      expect((found.remedies ?? [found.error.hint]).join('\n')).toMatch(remedy)
    }
  )
})
