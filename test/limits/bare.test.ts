import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { as, type User, users } from '../support/user.js'
import { HOG, MB } from './support.js'

/** The controls that could hurt: what a jail holds, nothing holds without one. Only where the machine is test/vm's. */
describe.each(users)('without a jail, as %s', (user: User) => {
  beforeEach(() => skipUnless(existsSync('/run/vm'), 'needs the virtual machine of test/vm'))

  const bare = (...words: string[]) => {
    const [file, args] = as(user, [HOG, ...words])
    const options = { encoding: 'utf8', env: { QI_HOG_ANYWHERE: '1', PATH: '/usr/bin:/usr/sbin' } } as const
    return execFileSync(file, args, options).trim().split('\n')
  }

  it('a fork bomb has as many processes as it wants', () => {
    const [word, count] = bare('bomb', '600', '--seconds', '1200').at(-1)?.split(' ') ?? []
    expect(word).toBe('OK')
    expect(Number(count)).toBeGreaterThanOrEqual(600)
  })

  it('memory is had beyond what a jail’s limit would be', () => {
    expect(bare('shared', '300M').at(-1)).toBe(`OK ${300 * MB}`)
  })

  it('namespaces are to be had, and the own limits to be seen', () => {
    const lines = bare('escape', '1')
    expect(lines).toContain('unshare user OK')
    if (user === 'root')
      expect(lines).toEqual(expect.arrayContaining(['mount cgroup2 OK', 'raise NPROC OK', 'oom_score_adj OK']))
  })
})
