import { expect, it } from 'vitest'
import { isMessage, type MonitorMessage, TERMINATION_REASONS } from '../../src/launch/control.js'

const judge = (value: unknown) => isMessage(value as MonitorMessage)
const started = { type: 'started', pid: 7, init: 6 }
const exit = { type: 'exit', code: 0, reason: 'exit', refusals: 0, lost: 0 }
const done = { type: 'done', id: 1, ok: true }

it.each([
  started,
  { ...started, cgroup: '/a/qi-jail-1', trace: {} },
  { ...started, noCgroup: 'step 57: EACCES mkdir' },
  { type: 'failed', step: 5, errno: 1, detail: '' },
  { type: 'network', id: 1, ok: false, line: 3 },
  { type: 'ask', id: 1, host: 'a.example', port: 443 },
  done,
  { ...done, ok: false, error: 'EBUSY' },
  { type: 'stats', id: 1, memory: 'whatever' },
  { type: 'event', event: { event: {}, context: {} } },
  ...TERMINATION_REASONS.map((reason) => ({ ...exit, reason })),
  { type: 'exit', signal: 9, reason: 'memory', refusals: 3, lost: 0 }
])('is a message: %j', (message) => expect(judge(message)).toBe(true))

it.each([
  null,
  'text',
  {},
  { type: 'constructor' },
  { ...started, pid: -1 },
  { ...started, pid: '7' },
  { ...started, cgroup: 5 },
  { ...started, noCgroup: {} },
  { type: 'failed', step: 5, errno: 1 },
  { type: 'failed', step: {}, errno: 1, detail: '' },
  { ...done, id: 1.5 },
  { ...done, ok: 1 },
  { ...done, error: 5 },
  { type: 'stats' },
  { type: 'stats', id: -1 },
  { ...exit, reason: 'boredom' },
  { ...exit, refusals: 'many' },
  { ...exit, lost: undefined },
  { ...exit, code: {} },
  { type: 'event', event: { event: {} } }
])('is none: %j', (message) => expect(judge(message)).toBe(false))
