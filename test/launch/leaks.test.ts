import { describe, expect, test } from 'vitest'
import { drive, scratch, users, victim } from './driver.js'

describe.each(users)('launches by %s', (user) => {
  test('500 in a row leave nothing', { timeout: 600_000 }, async () => {
    const config = {}
    const jobs = [50, 500].map((times) => ({ config, argv: ['/bin/true'], times }))
    const [warm, many] = await drive(user, scratch(user), jobs)
    expect(many?.error).toBeUndefined()
    expect(many?.exit).toMatchObject({ code: 0, lostEvents: 0 })
    const { rss, ...after } = many?.after ?? { rss: 0 }
    const { rss: rssWarm, ...before } = warm?.after ?? { rss: 0 }
    expect(after).toEqual(before)
    // 100 KB a launch would be a leak of what a launch holds; the collector of V8 accounts for the rest.
    expect(rss - rssWarm).toBeLessThan(50_000_000)
  })

  test('64 at once all run, and leave nothing', async () => {
    const argv = ['/bin/sh', '-c', 'echo here; sleep 0.2']
    const [all] = await drive(user, scratch(user), [{ config: {}, argv, times: 64, atOnce: 64 }])
    expect(all?.error).toBeUndefined()
    expect(all).toMatchObject({ stdout: 'here\n', exit: { code: 0 } })
    const { rss: _before, ...before } = all?.before ?? {}
    const { rss: _after, ...after } = all?.after ?? {}
    expect(after).toEqual(before)
  })

  test('500 orphans that end are reaped by pid 1', async () => {
    const [storm] = await drive(user, scratch(user), [{ config: {}, argv: [victim, 'storm', '500'] }])
    expect(storm).toMatchObject({ stdout: 'zombies 0\n', exit: { code: 0, refusals: 0 } })
  })
})
