import { describe, expect, it } from 'vitest'
import { requireLandlock } from '../support/kernel.js'
import { ACT, bare, call, chain, jailed, PRIVATE, type User, users } from './support.js'

const NEWUSER = 0x10000000
const NEWNS = 0x00020000
const DANGEROUS = [
  'unshare',
  'clone',
  'clone3',
  'setns',
  'mount',
  'umount2',
  'pivot_root',
  'chroot',
  'open_tree',
  'move_mount',
  'fsopen'
]

/** struct landlock_ruleset_attr that handles every right of ABI 1, which is what forbids mounting. */
const RULESET = 'b:ff1f000000000000'

describe.each(users)('with the filter out of the way, launched by %s', (user: User) => {
  const layers = [
    ['Landlock and the sysctl', { calls: DANGEROUS }],
    ['the sysctl alone', { calls: DANGEROUS, landlock: true }]
  ] as const
  it.each(layers)('no user namespace comes to be: %s', async (_, without) => {
    const run = async (words: string[]) =>
      (
        await jailed(user, { argv: [ACT, 'call', ...words], without: { ...without, calls: [...without.calls] } })
      ).stdout.trim()
    expect(await run(call('unshare', NEWUSER))).toBe('ENOSPC')
    expect(await run(call('unshare', NEWUSER | NEWNS))).toBe('ENOSPC')
    expect(await run(call('clone', NEWUSER | 17, 0, 0, 0, 0))).toBe('ENOSPC')
    expect(await run(call('unshare', NEWNS))).toBe('EPERM') // no capability
    expect(await run(call('mount', 's:x', 's:/tmp', 's:tmpfs', 0, 0))).toBe('EPERM')
    expect(await run(call('umount2', 's:/proc', 2))).toBe('EPERM')
    expect(await run(call('chroot', 's:/tmp'))).toBe('EPERM')
    expect(await run(call('open_tree', -100, 's:/', 0x8001))).toBe('EPERM')
    // The control: what was let through is indeed let through.
    expect(await run(call('unshare', 0))).toBe('OK 0')
  })

  it('Landlock alone forbids mounting, even to root of a namespace of its own', () => {
    requireLandlock()
    const restrict = chain(
      call('prctl', 38, 1, 0, 0, 0),
      call('landlock_create_ruleset', RULESET, 'len', 0),
      call('landlock_restrict_self', '$1', 0)
    )
    const under = (...next: string[][]) => bare([...PRIVATE, ACT, 'call', ...chain(restrict, ...next)])
    const mount = call('mount', 's:x', 's:/mnt', 's:tmpfs', 0, 0)
    expect(under(mount)).toBe('EPERM #3')
    expect(under(call('mount', 0, 's:/', 0, 0x44000, 0))).toBe('EPERM #3')
    expect(bare([...PRIVATE, ACT, 'call', ...mount])).toBe('OK 0')
  })

  it('the filter alone refuses before either is asked', async () => {
    const result = await jailed(user, {
      argv: [ACT, 'call', ...call('unshare', NEWUSER)],
      without: { calls: [], landlock: true }
    })
    expect(result.stdout).toBe('EPERM\n') // the sysctl would say ENOSPC
    expect(result.exit.refusals).toBe(1)
  })
})
