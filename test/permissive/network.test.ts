// Permissive on the network: public hosts are let through and recorded; what is not public stays closed. All of it in a
// network of the tests' own.
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HAS } from '../network/programs.js'
import { configOf, type Network, requireReach } from '../network/support.js'
import { type Request, World } from '../network/world.js'
import { skipUnless } from '../support/skip.js'
import { type User, users } from '../support/user.js'

let world: World
beforeAll(async () => {
  world = await World.open()
  mkdirSync(`${world.folder}/clients`, { recursive: true })
  const shell = fileURLToPath(new URL('../network/clients/shell.py', import.meta.url))
  copyFileSync(shell, `${world.folder}/clients/shell.py`)
}, 120_000)
afterAll(() => world?.close())

const API = 'api.example.test'
const LITERAL = '203.0.113.10'
const OTHER = '203.0.113.11'
const shell = (...commands: string[]) => ['python3', `${world.folder}/clients/shell.py`, ...commands]

describe.each(users)('launched by %s', (user: User) => {
  beforeEach(() => {
    requireReach(user)
    skipUnless(HAS.python3, 'needs python3')
  })

  const run = async (network: Network, commands: string[], mode?: 'strict', more: Partial<Request> = {}) => {
    const config = { ...configOf(world, network), enforcement: mode ?? ('permissive' as const) }
    const result = await world.jailed(user, { config, argv: shell(...commands), ...more })
    const lines = result.stdout.split('\n')
    const words = commands.map((c) => lines.find((line) => line.startsWith(`${c}: `))?.slice(c.length + 2))
    const events = result.events
      .filter(({ event }) => event.action.endsWith('.refused'))
      .map(({ event, context }): Record<string, unknown> => ({ ...event, ...context.parameters }))
    return { ...result, words, refused: events }
  }

  it('public hosts that nothing allows are let through, by name and address, with the verdict they would have had', async () => {
    const acts = [`connect ${API} 7`, `connect ${LITERAL} 1007`, `connect 2001:db8::10 7`]
    const strict = await run({}, acts, 'strict')
    expect(strict.words.filter((word) => word === 'ok')).toEqual([])
    expect(strict.refused.map(({ outcome }) => outcome)).not.toContain('success')
    for (const network of [{}, { allowedHosts: ['elsewhere.example.test'] }]) {
      const { words, refused, exit } = await run(network, acts)
      expect(words).toEqual(['ok', 'ok', 'ok'])
      expect(refused.length).toBeGreaterThanOrEqual(4)
      for (const event of refused) expect(event).toMatchObject({ outcome: 'success', wouldBe: 'blocked' })
      expect(refused).toContainEqual(expect.objectContaining({ action: 'dns.refused', host: API }))
      expect(refused).toContainEqual(
        expect.objectContaining({ action: 'network.refused', host: API, syscall: 'connect', verdict: 'EACCES' })
      )
      expect([exit.refusals, exit.permitted > 3]).toEqual([0, true])
    }
  })

  it('what a rule allows is not recorded', async () => {
    const { words, refused } = await run({ allowedHosts: [API] }, [`connect ${API} 7`])
    expect([words, refused]).toEqual([['ok'], []])
  })

  it('private, link-local and metadata addresses, the host itself and names that lead there stay closed', async () => {
    const closed = ['10.1.2.3', '192.168.7.7', '169.254.169.254', 'fd00:ec2::254', '198.51.100.2', 'db.internal.test']
    const acts = closed.map((host) => `connect ${host} 7`)
    const { words, refused } = await run({}, acts)
    expect(words).toEqual(closed.map(() => 'EACCES'))
    const connects = refused.filter(({ action }) => action === 'network.refused')
    expect(connects.map(({ outcome }) => outcome)).toEqual(closed.map(() => 'blocked'))
    // The control: listed ones are reached.
    expect((await run({ allowedHosts: ['10.1.2.3'] }, ['connect 10.1.2.3 7'])).words).toEqual(['ok'])
  })

  it('the loopback of the host stays closed', async () => {
    const [file, args] = world.command(user, shell('listen 127.0.0.1 5099', 'mark waiting'))
    const child = spawn(file, args, { env: world.env, stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      let said = ''
      child.stdout.on('data', (chunk) => (said += chunk))
      await expect.poll(() => said, { timeout: 20_000 }).toContain('waiting')
      const inside = await run({}, ['connect 127.0.0.1 5099'])
      expect(inside.words).toEqual(['ECONNREFUSED']) // the jail's own, where nothing listens
      expect(inside.refused).toMatchObject([{ outcome: 'success', wouldBe: 'blocked' }])
      expect((await run({ allowLoopback: [5099] }, ['connect 127.0.0.1 5099'])).words).toEqual(['ok'])
    } finally {
      child.stdin.end()
    }
  })

  it("the jail's own loopback works, and is recorded", async () => {
    const { words, refused } = await run({}, ['listen 127.0.0.1 5098', 'connect 127.0.0.1 5098', 'echo'])
    expect(words).toEqual(['ok', 'ok', 'ok 1'])
    expect(refused.map(({ wouldBe }) => wouldBe)).toEqual(['blocked', 'blocked'])
    const strict = await run({ allowedHosts: [API] }, ['listen 127.0.0.1 5098', 'connect 127.0.0.1 5098'], 'strict')
    expect(strict.words).toEqual(['EACCES', 'EACCES'])
  })

  it('denied hosts and maxConnections hold', async () => {
    const acts = [`connect ${LITERAL} 7`, `connect ${OTHER} 7`, `connect ${API} 7`]
    const denied = await run({ deniedHosts: [OTHER, API] }, acts)
    expect(denied.words[0]).toBe('ok')
    expect(denied.words.slice(1)).not.toContain('ok')
    expect(denied.refused.filter(({ rule }) => rule === 'the host is denied').map(({ outcome }) => outcome)).toEqual(
      expect.arrayContaining(['blocked'])
    )
    const few = await run({ maxConnections: 1 }, [`connect ${LITERAL} 7`, `connect ${LITERAL} 1007`])
    expect(few.words).toEqual(['ok', 'EACCES'])
    expect(few.refused.at(-1)).toMatchObject({ outcome: 'blocked', rule: expect.stringContaining('maxConnections') })
  })

  it('datagrams have no relay but for a few ports', async () => {
    const closed = await run({}, [`udp ${LITERAL} 124`, 'udp 10.1.2.3 123'])
    expect(closed.words).toEqual(['EACCES', 'EACCES'])
    expect(closed.refused.map(({ outcome }) => outcome)).toEqual(['blocked', 'blocked'])
    const open_ = await run({}, [`udp ${LITERAL} 123`])
    expect(open_.words).toEqual(['ok'])
    expect(open_.refused).toMatchObject([{ outcome: 'success', wouldBe: 'blocked', protocol: 'udp', port: 123 }])
    expect((await run({}, [`udp ${LITERAL} 123`], 'strict')).words).not.toEqual(['ok'])
    const ruled = await run({ udp: [`${LITERAL}:124`] }, [`udp ${LITERAL} 124`])
    expect([ruled.words, ruled.refused]).toEqual([['ok'], []])
  })

  it('rules that are replaced while it runs stay permissive', async () => {
    const network = { deniedHosts: [OTHER] }
    const { words, updates } = await run(
      network,
      ['mark now', `connect ${OTHER} 7`, `connect ${LITERAL} 7`],
      undefined,
      {
        steps: [{ when: 'now', network: { deniedHosts: [LITERAL] }, stdin: '\n' }]
      }
    )
    expect(updates).toEqual(['ok'])
    expect(words.slice(1)).toEqual(['ok', 'EACCES'])
  })

  it('nobody is asked', async () => {
    const config = { ...configOf(world, {}), enforcement: 'permissive' as const }
    const { error } = await world.tryJailed(user, { config, argv: shell(), answers: {} })
    expect(error).toMatchObject({ code: 'QI_NETWORK' })
  })
})
