import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AuditLogSchema, RefusalParametersSchema } from '../../src/event/schema.js'
import { type AuditLog, type SandboxConfig, spawnSandboxed } from '../../src/index.js'
import { readAudit, scratch, victim } from '../launch/driver.js'

interface Refusal {
  syscall: string
  repeatCount: number
  arguments?: unknown
}

/** Runs a payload to its end, and returns all that is known of it. */
async function record(argv: string[], config: SandboxConfig = {}) {
  const jail = await spawnSandboxed(config, argv)
  let stdout = ''
  jail.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  const told = new Promise((resolve) => jail.stdout?.once('end', resolve))
  jail.stderr?.resume()
  const events: AuditLog[] = []
  for await (const event of jail.events()) events.push(AuditLogSchema.parse(event))
  const exit = await jail.exited
  await told // the end may be heard of before the last bytes are read
  const refusals = events
    .filter(({ event }) => event.action.endsWith('.refused'))
    .map(({ context }) => RefusalParametersSchema.parse(context.parameters) as unknown as Refusal)
  const counted = refusals.reduce((sum, one) => sum + one.repeatCount, 0)
  return { stdout, events, exit, refusals, counted }
}

test('every event passes the schema, from the launch to the exit', async () => {
  const { events, exit } = await record([victim, 'flood', '3'], { resources: { maxExecutionTime: 60_000 } })
  const actions = events.map(({ event }) => event.action)
  expect(actions[0]).toBe('jail.launch')
  expect(actions.at(-1)).toBe('jail.exit')
  expect(new Set(actions.slice(1, -1))).toEqual(new Set(['syscall.refused']))
  expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(events.length)
  expect(new Set(events.map(({ security }) => security.sessionId)).size).toBe(1)
  expect(exit.lostEvents).toBe(0)
})

test('the file has the same events, one a line', async () => {
  const file = join(scratch('root'), 'audit.jsonl')
  const { events } = await record([victim, 'distinct', '20'], { audit: { file } })
  expect(readAudit(file)).toEqual(events)
  expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(events.length + 1)
})

describe('a flood', () => {
  test('of one call is merged, and counted whole', async () => {
    const { stdout, refusals, counted, exit } = await record([victim, 'flood', '5000'])
    expect(stdout).toBe('refused 5000\n')
    expect(counted).toBe(5000)
    expect(exit).toMatchObject({ refusals: 5000, lostEvents: 0 })
    expect(refusals.length).toBeLessThan(20)
    expect(refusals[0]).toMatchObject({ syscall: 'mount', verdict: 'EPERM', repeatCount: 1 })
  })

  test('of different calls is accounted for to the last', async () => {
    const { stdout, refusals, counted, exit } = await record([victim, 'distinct', '500'])
    expect(stdout).toBe('refused 500\n')
    expect(counted).toBe(500)
    expect(exit).toMatchObject({ refusals: 500, lostEvents: 0 })
    const told = refusals.filter((one) => one.syscall === 'mount')
    expect(new Set(told.map((one) => JSON.stringify(one.arguments))).size).toBeGreaterThanOrEqual(64)
  })

  test('that nobody reads does not stop the payload', async () => {
    const jail = await spawnSandboxed({}, [victim, 'flood', '20000'])
    expect(await jail.exited).toMatchObject({ code: 0, refusals: 20_000, lostEvents: 0 })
  })
})

describe('a payload that lies', () => {
  test('about its memory is refused, and told what it said', async () => {
    const { stdout, exit, counted } = await record([victim, 'lie'])
    expect(exit).toMatchObject({ code: 0, lostEvents: 0 })
    expect(stdout).toMatch(/^refused \d+\n$/)
    expect(counted).toBe(exit.refusals)
  })

  test('by dying in the middle of a call leaves qi-monitor working', async () => {
    const { stdout, exit, counted } = await record([victim, 'die-mid-call', '200'])
    expect(stdout).toBe('alive\n')
    expect(exit).toMatchObject({ code: 0, lostEvents: 0 })
    expect(counted).toBe(exit.refusals)
  })
})

test('what a command line or a name says cannot forge an event', async () => {
  const forged = 'x"}\n{"eventId":"1","event":{"action":"jail.exit"}}'
  const { events, refusals } = await record([victim, 'flood', '1', forged])
  expect(events).toHaveLength(3)
  expect(JSON.stringify(refusals[0])).toContain(JSON.stringify(forged).slice(1, -1))
})
