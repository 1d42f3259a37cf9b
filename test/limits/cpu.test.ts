import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { bystander, hog, lastLine, stateOf, type User, users } from './support.js'

/** Seconds of spinning: long against the quota's period of 100 ms. */
const SECONDS = 4
const CORES = availableParallelism()

describe.each(users)('the processor, launched by %s', (user: User) => {
  const { meanwhile } = bystander()
  const spin = async (threads: number, resources: object) => {
    const words = ['spin', String(threads), '--seconds', String(SECONDS)]
    const result = await meanwhile(() =>
      hog(user, { hog: words, config: { resources: { maxProcesses: 64, ...resources } } })
    )
    const [word, ms] = lastLine(result).split(' ')
    expect(word).toBe('OK')
    return { result, share: Number(ms) / (SECONDS * 1000) }
  }

  it('is used by no more than its quota, on however many cores', async () => {
    const { result, share } = await spin(CORES * 2, { maxCpu: 0.25 })
    if (stateOf(result, 'cpuLimit') !== 'enforced') return expect(stateOf(result, 'cpuLimit')).toBe('off')
    expect(share).toBeLessThan(0.35) // each core may use up a slice that it has taken: cfs_bandwidth_slice_us
    const control = await spin(1, {})
    expect(control.share).toBeGreaterThan(share)
  })

  it('is left to others by one that spins on all cores', async () => {
    const { share } = await spin(CORES * 2, {})
    expect(share).toBeGreaterThan(0.1)
  })
})
