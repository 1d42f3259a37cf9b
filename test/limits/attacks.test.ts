import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { backendOf, hog, MB, parametersOf, type User, users } from './support.js'

const HIDER = fileURLToPath(new URL('../../build/Release/test-tools/hider', import.meta.url))
const LIMIT = 64 * MB

describe.each(users)('against the watchdog, launched by %s', (user: User) => {
  const config = (more = {}) => ({ resources: { maxMemory: LIMIT, maxProcesses: 64, cgroup: 'off' as const, ...more } })
  const hide = (how: string, mebibytes: number, more = {}) =>
    hog(user, { argv: [HIDER, how, 'heap', String(mebibytes)], config: config(more) })

  it('many staged vforks are not believed for each other’s sake', async () => {
    const result = await hide('staged', 32)
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'memory' })
    expect(result.stdout).toBe('')
    const control = await hide('staged', 4)
    expect(control.stdout).toBe('OK\n')
    expect(parametersOf(control, 'limit.exceeded')).toEqual([])
  })

  it('memory that many have since their fork is counted once', async () => {
    const result = await hide('share', 8)
    expect(result.stdout).toBe('OK\n')
    expect(parametersOf(result, 'limit.exceeded')).toEqual([])
  })

  it('a threshold that is crossed over and over is told once a second at most', async () => {
    const result = await hide('swing', 40, { memoryThreshold: LIMIT / 2 })
    expect(result.stdout).toBe('OK\n')
    const told = parametersOf(result, 'limit.threshold')
    expect(told.length).toBeGreaterThan(0)
    expect(told.length).toBeLessThanOrEqual(Math.ceil(result.ms / 1000))
  })
})

describe.each(users)('launched by %s', (user: User) => {
  it('a timer of its own does not wake a program that is frozen', async () => {
    const script = [['line', 'awake'], ['pause'], ['stats'], ['sleep', 2000], ['stats'], ['kill']] as never
    const config = { resources: { maxMemory: LIMIT } }
    const result = await hog(user, { argv: [HIDER, 'awake', 'heap', '1'], config, script })
    expect(result.stats.map((one) => one.paused)).toEqual([true, true])
    const [before = 0, after = 0] = result.stats.map((one) => one.cpu.usageUs as number)
    // Without a freezer it may go on (SECURITY.md), but is stopped, told of and ended like any other.
    if (backendOf(result) === 'cgroup') expect(after - before).toBeLessThanOrEqual(20_000)
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
  })
})
