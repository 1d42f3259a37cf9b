import { describe, expect, it } from 'vitest'
import {
  backendOf,
  bystander,
  hog,
  lastLine,
  MB,
  type Outcome,
  parametersOf,
  reached,
  type User,
  users
} from './support.js'

const LIMIT = 64 * MB
/** hog's own bound: what the machine loses at worst. */
const MOST = '512M'
const GUARD = ['--seconds', '200']
/** How far above the limit the watchdog may let a jail get before it has ended it (docs/limits.md has what was measured). */
const OVERSHOOT = 256 * MB
const config = (more = {}) => ({
  resources: { maxMemory: LIMIT, tmpSize: '1GB', maxProcesses: 128, ...more },
  filesystem: { maxFileSize: '2GB' }
})

/** Ways to memory; the second words are the same act within the limit. */
const WAYS: [name: string, words: string[], within: string[]][] = [
  ['the heap', ['heap', MOST], ['heap', '16M']],
  ['private mappings', ['mmap', MOST], ['mmap', '16M']],
  ['shared mappings', ['shared', MOST], ['shared', '16M']],
  ['many processes with a little each', ['family', MOST], ['family', '16M']],
  ['a memfd', ['memfd', MOST], ['memfd', '16M']],
  ['POSIX shared memory', ['shm', MOST], ['shm', '16M']],
  ['a file in /tmp', ['file', MOST, '/tmp/hog'], ['file', '16M', '/tmp/hog']],
  ['attached System V shared memory', ['sysv', MOST], ['sysv', '16M']],
  ['detached System V shared memory', ['sysv', MOST, '--hold'], ['sysv', '16M']],
  ['mappings that the kernel populates', ['populate', MOST], ['populate', '16M']],
  ['shared mappings that the kernel populates', ['populate-shared', MOST], ['populate-shared', '16M']],
  ['two threads at once', ['touch', MOST, '2'], ['touch', '16M', '2']],
  ['two threads and the kernel', ['populate-shared', MOST, '2'], ['populate-shared', '16M', '2']]
]

/** Kernel memory and memory that no process has: a cgroup counts it, the watchdog sees none of it (docs/limits.md). */
const UNSEEN: [name: string, words: string[], limit: number][] = [
  ['memfds that only a message holds', ['hidden-memfd', MOST], LIMIT],
  ['pipes', ['pipes', '60M'], 32 * MB],
  ['socket buffers', ['sockets', '60M'], 32 * MB]
]

function expectKilledAt(result: Outcome, limit: number) {
  const backend = backendOf(result)
  expect(reached(result)).toBeLessThanOrEqual(backend === 'cgroup' ? limit : limit + OVERSHOOT)
  expect(result.exit).toMatchObject({ code: null, signal: 'SIGKILL', terminationReason: 'memory' })
  const [event, ...more] = parametersOf(result, 'limit.exceeded')
  expect(more).toEqual([])
  const enforcedBy = backend === 'cgroup' ? 'memory.max' : 'watchdog'
  expect(event).toMatchObject({ limit: 'maxMemory', limitValue: limit, unit: 'bytes', enforcedBy })
  expect(event?.value).toBeGreaterThan(limit * 0.8)
}

describe.each(users)('too much memory, launched by %s', (user: User) => {
  const { meanwhile } = bystander()

  it.each(WAYS)('by %s ends at the limit', async (_, words, within) => {
    const result = await meanwhile(() => hog(user, { hog: [...words, ...GUARD], config: config() }))
    // What RLIMIT_DATA counts is refused, before the watchdog can see it.
    if (backendOf(result) === 'watchdog' && result.exit.code === 1) {
      expect(lastLine(result)).toMatch(/^ENOMEM \d+$/)
      expect(reached(result)).toBeLessThanOrEqual(LIMIT)
    } else expectKilledAt(result, LIMIT)
    const control = await hog(user, { hog: [...within, ...GUARD], config: config() })
    expect(lastLine(control)).toBe(`OK ${16 * MB}`)
    expect(control.exit).toMatchObject({ code: 0, terminationReason: 'exit' })
    expect(parametersOf(control, 'limit.exceeded')).toEqual([])
  })

  it.each(UNSEEN)('by %s ends at the limit of a cgroup', async (_, words, limit) => {
    const result = await meanwhile(() =>
      hog(user, { hog: [...words, '--seconds', '20'], config: config({ maxMemory: limit }) })
    )
    if (backendOf(result) === 'cgroup') expectKilledAt(result, limit)
    const small = words
      .map((word) => (word === MOST || word === '60M' ? '8M' : word))
      .filter((word) => word !== '--hold')
    expect(lastLine(await hog(user, { hog: small, config: config({ maxMemory: limit }) }))).toBe(`OK ${8 * MB}`)
  })

  it('is announced before the limit, once', async () => {
    const words = ['shared', '56M', '--hold', ...GUARD]
    const script = [['event', 'limit.threshold'], ['line', 'OK'], ['kill']]
    const result = await hog(user, {
      hog: words,
      config: config({ memoryThreshold: 40 * MB }),
      script: script as never
    })
    const [event, ...more] = parametersOf(result, 'limit.threshold')
    expect(more).toEqual([])
    expect(event).toMatchObject({ limit: 'maxMemory', limitValue: 40 * MB, unit: 'bytes' })
    expect(event?.enforcedBy).toBe(backendOf(result) === 'cgroup' ? 'memory.high' : 'watchdog')
    expect(parametersOf(result, 'limit.exceeded')).toEqual([])
    expect(lastLine(result)).toBe(`OK ${56 * MB}`)
    const quiet = await hog(user, { hog: ['shared', '8M'], config: config({ memoryThreshold: 40 * MB }) })
    expect(parametersOf(quiet, 'limit.threshold')).toEqual([])
  })

  it('ends all of the jail, not one process of it', async () => {
    const argv = ['/bin/sh', '-c', 'sleep 300 & sleep 301 & exec "$0" shared 512M --seconds 200']
    const { HOG } = await import('./support.js')
    const result = await hog(user, {
      argv: [...argv, HOG],
      config: { ...config(), filesystem: { readOnlyPaths: [HOG] } }
    })
    expectKilledAt(result, LIMIT)
  })

  it('is held by who renames itself and cannot be read', async () => {
    const result = await hog(user, { hog: ['shared', MOST, '--renamed', ...GUARD], config: config() })
    expectKilledAt(result, LIMIT)
  })
})
