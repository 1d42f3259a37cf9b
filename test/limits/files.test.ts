import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { backendOf, bystander, hog, lastLine, MB, onDisk, parametersOf, reached, type User, users } from './support.js'

const GUARD = ['--seconds', '200']
const TMP = 16 * MB

describe.each(users)('too many files, launched by %s', (user: User) => {
  const { meanwhile } = bystander()
  const config = (more = {}) => ({ resources: { tmpSize: TMP, maxProcesses: 64, ...more } })

  it('ten million of them end at the private tmp’s own number', async () => {
    const words = ['tiny', '10000000', '/tmp', ...GUARD]
    const result = await meanwhile(() => hog(user, { hog: words, config: config({ tmpFiles: 2000 }) }))
    expect(lastLine(result)).toMatch(/^ENOSPC \d+$/)
    // The launch leaves itself some room, and what it made is removed again.
    expect(reached(result)).toBeLessThanOrEqual(2000 + 200)
    const control = await hog(user, { hog: ['tiny', '900', '/tmp', ...GUARD], config: config({ tmpFiles: 2000 }) })
    expect(lastLine(control)).toBe('OK 900')
  })

  it.each(['/tmp', '/dev/shm'])('%s is full when it is full', async (place) => {
    const fill = (size: string) => hog(user, { hog: ['file', size, `${place}/hog`, ...GUARD], config: config() })
    const result = await meanwhile(() => fill('64M'))
    expect(lastLine(result)).toMatch(/^ENOSPC \d+$/)
    expect(reached(result)).toBeLessThanOrEqual(TMP)
    expect(lastLine(await fill('4M'))).toBe(`OK ${4 * MB}`)
  })

  it.each([
    ['written', 'sparse'],
    ['truncated', 'truncate']
  ])('a terabyte with holes, %s, ends at the limit of a file, by name', async (_, verb) => {
    const limited = { ...config(), filesystem: { maxFileSize: '1GB' } }
    const result = await hog(user, { hog: [verb, '1T', '/tmp/hog'], config: limited })
    expect(result.exit).toMatchObject({ code: null, signal: 'SIGXFSZ' })
    const [event] = parametersOf(result, 'limit.exceeded')
    expect(event).toMatchObject({
      limit: 'maxFileSize',
      limitValue: 1e9,
      unit: 'bytes',
      enforcedBy: 'RLIMIT_FSIZE'
    })
    const deaf = await hog(user, { hog: ['sparse-deaf', '1T', '/tmp/hog'], config: limited })
    expect(lastLine(deaf)).toBe('EFBIG 0')
    const control = await hog(user, { hog: [verb, '900M', '/tmp/hog'], config: limited })
    expect(lastLine(control)).toBe(`OK ${900 * MB}`)
  })

  it('descriptors end at the limit', async () => {
    for (const verb of ['fds', 'eventfds']) {
      const result = await hog(user, { hog: [verb, '100000'], config: config({ maxFileDescriptors: 256 }) })
      expect(lastLine(result)).toMatch(/^EMFILE 25\d$/)
      expect(lastLine(await hog(user, { hog: [verb, '200'], config: config({ maxFileDescriptors: 256 }) }))).toBe(
        'OK 200'
      )
    }
  })

  it('no core is dumped', async () => {
    const result = await hog(user, { hog: ['core', '8M'], config: config() })
    expect(result.exit).toMatchObject({ signal: 'SIGABRT', terminationReason: 'signal' })
  })

  it('the host’s cache of a file counts for no more than the limit, and is not held against the jail', async () => {
    const folder = onDisk(user)
    skipUnless(folder, 'no folder on a disk')
    const words = ['pagecache', '160M', `${folder}/hog`, ...GUARD]
    const script = [['line', `reached ${100 * MB}`], ['stats']]
    const limited = {
      ...config({ maxMemory: 64 * MB }),
      filesystem: { allowedPaths: [folder as string], maxFileSize: '1GB' }
    }
    const result = await meanwhile(() => hog(user, { hog: words, config: limited, script: script as never }))
    expect(lastLine(result)).toBe(`OK ${160 * MB}`)
    expect(result.exit).toMatchObject({ code: 0, terminationReason: 'exit' })
    if (backendOf(result) === 'cgroup') expect(result.stats[0].memory.current).toBeLessThanOrEqual(64 * MB)
    expect(readdirSync(folder as string)).toEqual([])
  })

  it.each([
    ['timers', ['timers', '300000'], 60],
    ['watches on files', ['watches', '100000', '/tmp'], 40],
    ['entries of epoll sets', ['epoll', '300000'], 24]
  ])('the kernel’s own memory for %s is the jail’s in a cgroup', async (_, words, limit) => {
    const result = await meanwhile(() =>
      hog(user, { hog: [...words, ...GUARD], config: config({ maxMemory: limit * MB, tmpFiles: 200000 }) })
    )
    // Some of these the kernel limits by itself, long before that: no refusal is no success either way.
    if (backendOf(result) === 'cgroup' && !/^E/.test(lastLine(result))) {
      expect(result.exit.terminationReason).toBe('memory')
      expect(parametersOf(result, 'limit.exceeded')[0]).toMatchObject({ limit: 'maxMemory', enforcedBy: 'memory.max' })
    }
    const few = [words[0] as string, '500', ...words.slice(2)]
    expect(lastLine(await hog(user, { hog: few, config: config({ maxMemory: limit * MB }) }))).toBe('OK 500')
  })
})
