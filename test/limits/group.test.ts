import { describe, expect, it } from 'vitest'
import { backendOf, hog, MB, reached, type User, users } from './support.js'

describe.each(users)('the group, launched by %s', (user: User) => {
  const config = { resources: { maxMemory: 64 * MB, maxProcesses: 64 } }

  it('is left by no write that a payload can make', async () => {
    const result = await hog(user, { hog: ['escape', '1'], config })
    const lines = result.stdout.trim().split('\n').slice(1)
    expect(lines.length).toBeGreaterThan(25)
    expect(lines.filter((line) => line.endsWith(' OK'))).toEqual([])
  })

  it('is the root of all that it sees', async () => {
    const result = await hog(user, { hog: ['escape', '1'], config })
    const [group = ''] = result.stdout.match(/^group .*$/m) ?? []
    const paths = group
      .split(' ')
      .slice(1)
      .filter(Boolean)
      .map((entry) => entry.split(':').slice(2).join(':'))
    expect(paths.length).toBeGreaterThan(0)
    for (const path of paths) expect(path).toBe('/')
  })

  it('is shared with every child, wherever that puts itself', async () => {
    const result = await hog(user, { hog: ['family', '512M', '--seconds', '100'], config })
    expect(result.exit.terminationReason).toBe('memory')
    if (backendOf(result) === 'cgroup') expect(reached(result)).toBeLessThanOrEqual(64 * MB)
  })
})
