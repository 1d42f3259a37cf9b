import { describe, expect, it } from 'vitest'
import type { MonitorMessage } from '../../src/launch/control.js'
import { Requests } from '../../src/launch/requests.js'
import { readStats } from '../../src/launch/stats.js'

const LEAST = {
  backend: 'watchdog',
  uptimeMs: 1,
  paused: false,
  memory: {},
  cpu: {},
  processes: {},
  refusals: 0
}
const WHOLE = {
  backend: 'cgroup',
  cgroup: '/qi-jail-0',
  uptimeMs: 12,
  paused: true,
  memory: { current: 1, peak: 2, limit: 3 },
  cpu: { usageUs: 1, userUs: 2, systemUs: 3, throttledUs: 4, throttledPeriods: 5 },
  processes: { current: 1, peak: 2, limit: 3 },
  io: { readBytes: 1, writeBytes: 2 },
  connections: 3,
  pressure: { memory: { some10: 0.5, full10: 0 }, cpu: { some10: 1 } },
  refusals: 4
}

describe('statistics', () => {
  it('are what qi-monitor said, what it left out being absent', () => {
    expect(readStats(WHOLE)).toEqual(WHOLE)
    expect(readStats(LEAST)).toEqual(LEAST)
    expect(readStats({ ...LEAST, cgroup: '' })).toEqual(LEAST)
  })

  it('have no member that nobody asked for', () => {
    const memory = { current: 1, secret: 2, peak: 'much', limit: -1 }
    const read = readStats({ ...LEAST, type: 'stats', id: 3, memory, connections: Number.NaN, io: null, pressure: 4 })
    expect(read).toEqual({ ...LEAST, memory: { current: 1 } })
  })

  it.each([
    undefined,
    null,
    'text',
    [],
    {},
    { ...LEAST, backend: 'other' },
    { ...LEAST, uptimeMs: -1 },
    { ...LEAST, refusals: '4' },
    { ...LEAST, paused: 1 }
  ])('are not %j', (value) => expect(readStats(value)).toBeUndefined())

  it('survive members that are not what they should be', () => {
    expect(readStats({ ...LEAST, memory: 'x', cpu: [1], processes: null })).toEqual(LEAST)
  })
})

describe('requests', () => {
  function requests() {
    const sent: string[] = []
    const of = new Requests((line) => sent.push(line))
    return { of, sent, settle: (answer: object) => of.settle(answer as Extract<MonitorMessage, { type: 'done' }>) }
  }

  it('have their answer, in whatever order it comes', async () => {
    const { of, sent, settle } = requests()
    const [stats, pause] = [of.stats(), of.act('pause')]
    expect(sent).toEqual(['stats 1', 'pause 2'])
    settle({ type: 'done', id: 2, ok: true })
    settle({ type: 'stats', id: 1, ...LEAST })
    settle({ type: 'done', id: 1, ok: true }) // a second answer is nobody's
    settle({ type: 'done', id: 99, ok: true })
    expect(await stats).toEqual(LEAST)
    await pause
  })

  it('fail with what the kernel said', async () => {
    const { of, settle } = requests()
    const paused = of.act('resume')
    settle({ type: 'done', id: 1, ok: false, error: 'EBUSY' })
    await expect(paused).rejects.toMatchObject({ code: 'QI_PAUSE', errno: 'EBUSY' })
  })

  it('are not answered by something else', async () => {
    const { of, settle } = requests()
    const [stats, pause] = [of.stats(), of.act('pause')]
    settle({ type: 'done', id: 1, ok: true })
    settle({ type: 'stats', id: 2, ...LEAST })
    await expect(stats).rejects.toMatchObject({ code: 'QI_INTERNAL' })
    await expect(pause).rejects.toMatchObject({ code: 'QI_PAUSE' })
  })

  it('end with the jail', async () => {
    const { of } = requests()
    const waiting = of.stats()
    of.end()
    await expect(waiting).rejects.toMatchObject({ code: 'QI_ENDED' })
    await expect(of.act('pause')).rejects.toMatchObject({ code: 'QI_ENDED' })
  })
})
