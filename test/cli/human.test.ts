import { expect, it } from 'vitest'
import { bytes, ofLimit, span } from '../../src/cli/human.js'
import { row, describe as statsRows } from '../../src/cli/jails.js'
import { limitSentences } from '../../src/cli/limit-notice.js'
import { clipped, frame, share } from '../../src/cli/top.js'
import type { JailExit } from '../../src/launch/jail.js'
import type { JailStats } from '../../src/launch/stats.js'
import { limits } from '../plan/samples.js'

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [64 << 20, '64 MiB'],
  [10.4 * 2 ** 30, '10 GiB'],
  [2 ** 50, '1024 TiB']
])('%d bytes are %s', (count, text) => expect(bytes(count)).toBe(text))

it.each([
  [0, '0ms'],
  [850, '850ms'],
  [12_000, '12s'],
  [185_000, '3m05s'],
  [7_800_000, '2h10m'],
  [4 * 86_400_000 + 3 * 3_600_000, '4d03h']
])('%d ms are %s', (ms, text) => expect(span(ms)).toBe(text))

it('says of what it is a part, and - for what is not known', () => {
  expect(ofLimit(bytes, 1024, 2048)).toBe('1 KiB of 2 KiB')
  expect(ofLimit(String, 3)).toBe('3')
  expect(ofLimit(String, undefined, 4)).toBe('-')
})

const stats = (over: Partial<JailStats> = {}): JailStats => ({
  backend: 'cgroup',
  cgroup: '/a/qi-jail-1',
  uptimeMs: 10_000,
  paused: false,
  memory: { current: 1 << 20, peak: 2 << 20, limit: 4 << 20 },
  cpu: { usageUs: 5_000_000 },
  processes: { current: 2, limit: 8 },
  refusals: 3,
  ...over
})
const listed = (over: Partial<JailStats> = {}) => ({
  id: 'mine',
  pid: 42,
  profile: 'strict',
  command: 'node \u001b[31mserver.js',
  since: new Date(0).toISOString(),
  stats: stats(over)
})

it('a jail is a line', () => {
  expect(row(listed())).toEqual([
    'mine',
    '42',
    'strict',
    '10s',
    '1 MiB of 4 MiB',
    '5s',
    '2 of 8',
    '3',
    'node \u001b[31mserver.js'
  ])
  expect(row(listed({ paused: true, memory: {}, cpu: {} }))).toMatchObject({ 3: '10s paused', 4: '-', 5: '-' })
  const { stats: _none, ...silent } = listed()
  expect(row(silent)).toMatchObject({ 4: '-', 5: '-', 6: '-', 7: '-' })
})

it('a frame shows the share of a core since the one before, and no command of the payload to the terminal', () => {
  const before = [listed({ uptimeMs: 8000, cpu: { usageUs: 4_000_000 } })]
  expect(share(listed(), before)).toBe(50)
  expect(share(listed(), [])).toBeUndefined()
  const text = frame([listed()], before)
  expect(text).toContain(' 50% ')
  expect(text).not.toContain('\u001b')
  expect(clipped('ab\ncd\nef\n', 1, 3)).toBe('a\u001b[K\r\nc\u001b[K\r\n')
  expect(frame([], [])).toBe('no jail runs\n')
})

it('statistics are rows, without those that the host cannot tell', () => {
  expect(Object.fromEntries(statsRows(stats({ pressure: { memory: { some10: 1.5 } } })))).toEqual({
    'counted by': 'cgroup /a/qi-jail-1',
    up: '10s',
    memory: '1 MiB of 4 MiB, at most 2 MiB',
    processes: '2 of 8',
    'cpu time': '5s',
    'memory pressure': 'some 1.5%',
    'refused calls': '3'
  })
})

const exit = (over: Partial<JailExit>): JailExit => ({
  code: null,
  signal: 'SIGKILL',
  terminationReason: 'exit',
  refusals: 0,
  fileRefusals: 0,
  permitted: 0,
  lostEvents: 0,
  ...over
})

it('says which limit ended a run', () => {
  const some = limits({ maxMemory: 64 << 20, maxExecutionTime: 200 })
  const of = (over: Partial<JailExit>, reached?: Parameters<typeof limitSentences>[2]) =>
    limitSentences(exit(over), some, reached).join()
  const memory = { limit: 'maxMemory', value: 65 << 20, limitValue: 64 << 20, enforcedBy: 'watchdog' }
  expect(of({ terminationReason: 'memory' }, memory)).toBe('ended: memory limit 64 MiB, peak 65 MiB (watchdog)')
  expect(of({ terminationReason: 'memory' })).toBe('ended: memory limit 64 MiB')
  expect(of({ terminationReason: 'pids' })).toBe('ended: limit of 64 processes and threads')
  expect(of({ terminationReason: 'time' })).toBe('stopped: the time limit of 200ms is over')
  expect(of({ terminationReason: 'signal', signal: 'SIGSEGV' })).toContain('needs a larger --memory')
  expect(of({ terminationReason: 'signal', signal: 'SIGTERM' })).toBe('')
  expect(of({ terminationReason: 'signal', signal: 'SIGXFSZ' })).toBe('ended by SIGXFSZ: a file grew beyond 1 MiB')
  expect(of({ code: 0, signal: null })).toBe('')
  expect(limitSentences(exit({ terminationReason: 'signal', signal: 'SIGSEGV' }), limits(), undefined)).toEqual([])
})
