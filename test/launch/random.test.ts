import { describe, expect, it } from 'vitest'
import { loadAddon } from '../../src/launch/locate.js'
import { randomBytes, randomUint16, randomUuid } from '../../src/launch/random.js'

const many = <T>(draw: () => T): T[] => Array.from({ length: 2000 }, draw)

describe('random', () => {
  it('bytes, as many as were asked for and others each time', () => {
    expect([1, 16, 256].map((size) => randomBytes(size).length)).toEqual([1, 16, 256])
    expect(new Set(many(() => randomBytes(16).toString('hex'))).size).toBe(2000)
  })

  it.each([0, 257, -1, 2 ** 32, undefined, '16'])('not %j bytes', (size) => {
    expect(() => loadAddon().randomBytes(size as number)).toThrow('randomBytes(1 to 256)')
  })

  it('numbers of 16 bits, from one end to the other', () => {
    const drawn = many(randomUint16)
    expect(drawn.every((one) => Number.isInteger(one) && one >= 0 && one <= 0xffff)).toBe(true)
    // Each of 16 ranges is missed by 2000 draws once in 10^55 times.
    expect(new Set(drawn.map((one) => one >> 12)).size).toBe(16)
  })

  it('UUIDs of version 4, each another', () => {
    const drawn = many(randomUuid)
    expect(new Set(drawn).size).toBe(2000)
    for (const one of drawn)
      expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
