import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import {
  backendOf,
  hog,
  hogs,
  lastLine,
  MB,
  NOT_OF_THE_JAIL,
  type Outcome,
  ofTheJail,
  parametersOf,
  type User,
  users
} from './support.js'

const HIDER = fileURLToPath(new URL('../../build/Release/test-tools/hider', import.meta.url))
const LIMIT = 64 * MB
const config = (more = {}) => ({ resources: { maxMemory: LIMIT, maxProcesses: 64, cgroup: 'off' as const, ...more } })

const NOT_SEEN = 'before Linux 5.14 descriptors of undumpable processes are not seen'
const HIDING: [name: string, how: string, what: string][] = [
  ['plainly', 'plainly', 'heap'],
  ['in a process that is not dumpable', 'undumpable', 'heap'],
  ['in a memfd of a process that is not dumpable', 'undumpable', 'memfd'],
  ['under a name that reads like the kernel’s words', 'renamed', 'heap'],
  ['in a memfd whose name reads like a mapping', 'plainly', 'memfd'],
  ['in a process whose first thread has ended', 'leaderless', 'heap'],
  ['in a memfd of a process whose first thread has ended', 'leaderless', 'memfd'],
  ['in a memfd that only one thread has a descriptor of', 'apart', 'memfd']
]

describe.each(users)('without a cgroup, launched by %s', (user: User) => {
  const hide = (...words: string[]): Promise<Outcome> => hog(user, { argv: [HIDER, ...words], config: config() })

  it.each(HIDING)('memory is seen that is taken %s', async (_, how, what) => {
    const result = await hide(how, what, '512')
    expect(backendOf(result)).toBe('watchdog')
    if (how === 'undumpable' && what === 'memfd') skipUnless(ofTheJail(result), NOT_SEEN)
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'memory' })
    expect(result.stdout).toBe('')
    const [event, ...more] = parametersOf(result, 'limit.exceeded')
    expect(more).toEqual([])
    expect(event).toMatchObject({ limit: 'maxMemory', limitValue: LIMIT, unit: 'bytes', enforcedBy: 'watchdog' })
    expect(event).toMatchObject({ jailPid: 2, commandLine: `${HIDER} ${how} ${what} 512` })
    expect(event?.value).toBeGreaterThanOrEqual(LIMIT)
    const [exit] = parametersOf(result, 'jail.exit')
    expect(exit).toMatchObject({ terminationReason: 'memory', peakMemoryBytes: event?.value })
    const control = await hide(how, what, '24')
    expect(control.stdout).toBe('OK\n')
    expect(control.exit).toMatchObject({ code: 0, terminationReason: 'exit' })
    expect(parametersOf(control, 'limit.exceeded')).toEqual([])
  })

  it('memory that a child borrows until its exec is not counted twice', async () => {
    const result = await hide('borrow', 'heap', '40')
    expect(result.stdout).toBe('OK\n')
    expect(parametersOf(result, 'limit.exceeded')).toEqual([])
  })

  it('the threshold is told once, before the limit', async () => {
    const words = ['mmap', '40M', '--hold', '--seconds', '3']
    const near = await hog(user, { hog: words, config: config({ memoryThreshold: LIMIT / 2 }) })
    const told = parametersOf(near, 'limit.threshold')
    expect(told).toMatchObject([{ limit: 'maxMemory', limitValue: LIMIT / 2, unit: 'bytes', enforcedBy: 'watchdog' }])
    expect(near.exit.terminationReason).toBe('exit')
    expect(parametersOf(near, 'limit.exceeded')).toEqual([])
    const far = await hog(user, { hog: words, config: config({ memoryThreshold: LIMIT - MB }) })
    expect(parametersOf(far, 'limit.threshold')).toEqual([])
  })

  it('tells figures, and how much it took in the end', async () => {
    const script = [['line', 'OK'], ['sleep', 100], ['stats'], ['kill']] as never
    const [result] = (await hogs(user, [
      { hog: ['heap', '16M', '--hold', '--seconds', '60'], config: config(), script }
    ])) as [Outcome]
    const [stats] = result.stats
    expect(stats).toMatchObject({ backend: 'watchdog', paused: false, processes: { current: 1, limit: 64 } })
    expect(stats.memory.current).toBeGreaterThan(16 * MB)
    expect(stats.memory.current).toBeLessThan(24 * MB)
    expect(stats.memory).toMatchObject({ limit: LIMIT })
    expect(stats.memory.peak).toBeGreaterThanOrEqual(stats.memory.current)
    expect(stats.cpu.usageUs).toBe(stats.cpu.userUs + stats.cpu.systemUs)
    const [exit] = parametersOf(result, 'jail.exit')
    expect(exit?.peakMemoryBytes).toBeGreaterThanOrEqual(stats.memory.peak)
  })

  it('jails of one user do not share their number of processes', async () => {
    const full = { hog: ['processes', '60', '--hold', '--seconds', '4'], config: config() }
    const results = await hogs(user, [full, full, full])
    skipUnless(results.every(ofTheJail), NOT_OF_THE_JAIL)
    for (const result of results) expect(result.stdout).toContain('OK 60')
    const [over] = await hogs(user, [{ ...full, hog: ['processes', '70', '--seconds', '4'] }])
    expect(lastLine(over as Outcome)).toMatch(/^EAGAIN 6\d$/)
  })
})

describe.each(users)('pause and time, launched by %s', (user: User) => {
  const TIME = 5000
  const spin = ['spin', '2', '--seconds', '60']
  const busy = (script: unknown[], more = {}) => hog(user, { hog: spin, config: config(more), script: script as never })
  const usage = ({ stats }: Outcome) => stats.map((one) => one.cpu.usageUs as number)

  it('a paused jail does nothing until it goes on', async () => {
    const result = await busy([
      ...[['sleep', 300], ['pause'], ['stats'], ['sleep', 500], ['stats'], ['resume']],
      ...[['sleep', 1500], ['stats'], ['kill']]
    ])
    const [first = 0, second = 0, third = 0] = usage(result)
    expect(result.stats.map((one) => one.paused)).toEqual([true, true, false])
    // The kernel counts in ticks, and each processor may have one under way.
    expect(second - first).toBeLessThanOrEqual(60_000)
    expect(third - second).toBeGreaterThan(60_000)
  })

  it('a paused jail can be killed', async () => {
    const result = await busy([['sleep', 100], ['pause'], ['kill']])
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
  })

  it('wall time goes on in a paused jail, and its end comes to one that is paused', async () => {
    const result = await busy([['sleep', 100], ['pause']], { maxExecutionTime: 1000 })
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'time' })
    const [event] = parametersOf(result, 'limit.exceeded')
    expect(event).toMatchObject({ limit: 'maxExecutionTime', limitValue: 1000, unit: 'ms', enforcedBy: 'timer' })
  })

  it('running time does not', async () => {
    const clock = { maxExecutionTime: TIME, executionClock: 'running' }
    const result = await busy(
      [['sleep', 100], ['pause'], ['sleep', TIME + 500], ['resume'], ['stats'], ['kill']],
      clock
    )
    expect(result.exit.terminationReason).toBe('killed')
    expect(result.stats[0].uptimeMs).toBeGreaterThan(TIME)
    expect(parametersOf(result, 'limit.exceeded')).toEqual([])
    const control = await busy([['sleep', 100], ['pause'], ['resume']], { ...clock, maxExecutionTime: 1000 })
    expect(control.exit.terminationReason).toBe('time')
  })
})
