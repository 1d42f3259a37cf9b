import { describe, expect, test } from 'vitest'
import { type User, users } from '../support/user.js'
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
  const { status, stdout, stderr, left, files } = await launchIn(user, { ...world, verb: ['doctor', '--json'] })
  expect({ left, files }).toEqual({ left: '', files: ['project'] })
  return { status, found: JSON.parse(stdout || stderr) }
}

describe('qi-jail doctor', () => {
  test.each(users)('on an ordinary host, for %s: a jail can be had', async (user) => {
    const { status, found } = await doctor(user, {})
    expect({ status, ok: found.ok }).toEqual({ status: 0, ok: true })
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
