import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type AskAnswer, Asker, type OnConnect } from '../../src/launch/ask.js'
import type { MonitorMessage } from '../../src/launch/control.js'
import { LiveNetwork } from '../../src/launch/live-network.js'
import { rulesLines } from '../../src/network/text.js'
import type { SandboxConfig } from '../../src/policy/config.js'
import { profileOf, resolveOn } from '../profile/fake.js'

type Network = SandboxConfig['network']
type Confirmation = Extract<MonitorMessage, { type: 'network' }>

/** A running jail's network with a qi-monitor that says `ok` to everything but what holds `bad`. */
function running(network: Network, profile: Network = {}, askMs?: number) {
  const sent: string[] = []
  const launched = resolveOn({
    config: { network },
    profile: profileOf({ network: profile }),
    ...(askMs ? { askMs } : {})
  })
  const live: LiveNetwork = new LiveNetwork(launched.network, (line) => {
    sent.push(line)
    const [, id, , ...text] = line.split(' ')
    const bad = text
      .join(' ')
      .split(';')
      .findIndex((rule) => rule.includes('bad'))
    const answer: Confirmation = { type: 'network', id: Number(id), ok: bad < 0, ...(bad < 0 ? {} : { line: bad + 1 }) }
    if (!line.includes('silent')) setImmediate(() => live.confirm(answer))
  })
  const rules = () => rulesLines(live.rules as never)
  return { live, sent, rules }
}

const A = 'host allow exact a.example tcp 1-65535'
const B = 'host allow exact b.example tcp 443-443'

describe('a live update', () => {
  it('adds a host, once it is in force', async () => {
    const { live, sent, rules } = running({ allowedHosts: ['a.example'] })
    await live.add('allow', 'B.example:443', 'x')
    expect(sent).toEqual([`network 1 add ${B}`])
    expect(rules()).toEqual([A, B, 'on-denied 13'])
    await live.add('allow', 'b.example:443', 'x')
    expect(sent).toHaveLength(1)
    await live.add('deny', 'a.example', 'x')
    expect(sent[1]).toBe('network 2 add host deny exact a.example tcp 1-65535;host deny exact a.example udp 1-65535')
  })

  it('gives a host without a port those that the policy gives', async () => {
    const { live, sent } = running({ allowedHosts: ['a.example'], allowedPorts: [443] })
    await live.add('allow', 'c.example', 'x')
    expect(sent).toEqual(['network 1 add host allow exact c.example tcp 443-443'])
  })

  it('the loopback is added and taken away', async () => {
    const { live, sent, rules } = running({ publish: [3000] })
    await live.add('allow', 'localhost:5432', 'x')
    expect(sent).toEqual(['network 1 add loopback 5432'])
    await live.add('deny', 'localhost:5432', 'x')
    expect(sent[1]).toBe('network 2 set publish 3000;on-denied 13')
    expect(rules()).toEqual(['publish 3000', 'on-denied 13'])
    await expect(live.add('allow', 'localhost:3000', 'x')).rejects.toMatchObject({ code: 'QI_NETWORK' })
  })

  it('replaces what the configuration said, over the same profile', async () => {
    const { live, sent, rules } = running({ allowedHosts: ['a.example'] }, { deniedHosts: ['evil.example'] })
    await live.add('allow', 'c.example', 'x')
    await live.replace({ allowedHosts: ['b.example:443'], onDenied: 'ECONNREFUSED' })
    const evil = ['tcp', 'udp'].map((transport) => `host deny exact evil.example ${transport} 1-65535`)
    expect(sent[1]).toBe(`network 2 set ${[...evil, B, 'on-denied 111'].join(';')}`)
    expect(rules()).toEqual([...evil, B, 'on-denied 111'])
    await live.replace({})
    expect(rules()).toEqual([...evil, 'on-denied 13'])
    await live.replace(undefined)
    expect(sent).toHaveLength(3)
  })

  it.each<[Network, string]>([
    [{ allowedHosts: ['127.1'] }, 'QI_NETWORK_HOST'],
    [{ allowedHost: ['a.example'] } as Network, 'QI_CONFIG'],
    [{ allowLoopback: [3000], publish: [3000] }, 'QI_NETWORK'],
    [{ publish: [3001] }, 'QI_NETWORK'],
    [{ udp: ['a.example:124'] }, 'QI_NETWORK'],
    [{ allowedHosts: [{ host: 'a.example', inspect: 'sni' }] }, 'QI_NETWORK'],
    [{ dangerouslyShareHostNetwork: true }, 'QI_NETWORK'],
    [{ innerLoopback: true }, 'QI_NETWORK']
  ])('%j is refused and the old rules stay', async (network, code) => {
    const { live, sent, rules } = running({ publish: [3000], udp: ['a.example:123'] })
    const before = rules()
    await expect(live.replace(network)).rejects.toMatchObject({ code, hint: expect.any(String) })
    expect(rules()).toEqual(before)
    expect(sent).toEqual([])
    await live.replace({ udp: ['b.example:123'] })
    expect(sent).toEqual(['network 1 set host allow exact b.example udp 123-123;on-denied 13'])
  })

  it('a refusal of qi-monitor is told, and the old rules stay', async () => {
    const { live, rules } = running({ allowedHosts: ['a.example'] })
    await expect(live.add('allow', 'bad.example', 'x')).rejects.toMatchObject({
      code: 'QI_NETWORK',
      value: 'host allow exact bad.example tcp 1-65535'
    })
    expect(rules()).toEqual([A, 'on-denied 13'])
    await live.add('allow', 'b.example:443', 'x')
    expect(rules()).toEqual([A, B, 'on-denied 13'])
  })

  it('updates take turns; the end of the jail rejects those under way', async () => {
    const { live, sent, rules } = running({ updatable: true })
    await Promise.all([live.add('allow', 'a.example', 'x'), live.replace({}), live.add('allow', 'b.example:443', 'x')])
    expect(rules()).toEqual([B, 'on-denied 13'])
    const hanging = live.add('allow', 'silent.example', 'x')
    const next = live.add('allow', 'c.example', 'x')
    setImmediate(() => live.end())
    await expect(hanging).rejects.toMatchObject({ code: 'QI_NETWORK', message: 'the jail has ended' })
    await expect(next).rejects.toMatchObject({ code: 'QI_NETWORK', message: 'the jail has ended' })
    expect(sent).toHaveLength(4)
  })

  it.each<Network>([{}, { dangerouslyShareHostNetwork: true }])(
    'a jail launched with %j has no rules to change',
    async (network) => {
      const { live } = running(network)
      await expect(live.replace({ allowedHosts: ['a.example'] })).rejects.toMatchObject({
        code: 'QI_NETWORK',
        hint: expect.stringContaining('updatable')
      })
      await expect(live.add('allow', 'a.example', 'x')).rejects.toMatchObject({ code: 'QI_NETWORK' })
      expect(live.rules).toBeUndefined()
    }
  )

  it.each(['', '127.1', 'localhost', 'a b', 7 as never])('the host %j is none', async (host) => {
    await expect(running({ updatable: true }).live.add('allow', host, 'x')).rejects.toMatchObject({
      code: 'QI_NETWORK_HOST'
    })
  })
})

describe('a question', () => {
  async function asked(onConnect: OnConnect, question: object = { host: 'a.example', port: 443 }, timeoutMs = 1000) {
    const { live, sent } = running({}, {}, timeoutMs)
    const answers: AskAnswer[] = []
    const asker = new Asker({
      onConnect,
      timeoutMs,
      network: live,
      send: (line) => sent.push(line),
      report: (answer) => answers.push(answer)
    })
    await asker.ask({ type: 'ask', id: 7, pid: 9, commandLine: 'tool', ...question } as never)
    return { sent, answer: answers[0] as AskAnswer, asker }
  }

  it('once: this one only', async () => {
    let request: object = {}
    const { sent, answer } = await asked((given) => {
      request = given
      return 'once'
    })
    expect(sent).toEqual(['answer 7 allow'])
    expect(request).toMatchObject({
      host: 'a.example',
      port: 443,
      pid: 9,
      commandLine: 'tool',
      signal: expect.any(AbortSignal)
    })
    expect(request).not.toHaveProperty('address')
    expect(answer).toEqual({ host: 'a.example', port: 443, pid: 9, commandLine: 'tool', decision: 'once' })
  })

  it('session: the rule holds before the answer', async () => {
    const { sent, answer } = await asked(async () => 'session' as const)
    expect(sent).toEqual(['network 1 add host allow exact a.example tcp 443-443', 'answer 7 allow'])
    expect(answer.policy).toBeUndefined()
  })

  it.each<[object, string, string]>([
    [{ host: 'a.example', port: 443 }, 'host allow exact a.example tcp 443-443', 'a.example:443'],
    [{ host: 'a.example' }, 'host allow exact a.example tcp 1-65535', 'a.example'],
    [{ host: '192.0.2.1', port: 80 }, 'net allow 192.0.2.1/32 tcp 80-80', '192.0.2.1:80'],
    [{ host: '2001:db8::1', port: 80 }, 'net allow 2001:db8::1/128 tcp 80-80', '"[2001:db8::1]:80"']
  ])('always, of %j: and what to write', async (question, rule, written) => {
    const { sent, answer } = await asked(() => 'always', question)
    expect(sent).toEqual([`network 1 add ${rule}`, 'answer 7 allow'])
    expect(answer.policy).toBe(`network:\n  allowedHosts:\n    - ${written}\n`)
  })

  it.each<[string, OnConnect, string | undefined]>([
    ['a no', () => 'deny', undefined],
    [
      'a throw',
      () => {
        throw new Error('oops')
      },
      'oops'
    ],
    [
      'a rejection',
      async () => {
        throw new Error('oops')
      },
      'oops'
    ],
    ['another answer', () => 'yes' as never, 'yes is no decision'],
    ['no answer', () => undefined as never, 'no decision'],
    ['silence', () => new Promise(() => {}), 'no answer in time'],
    ['a late yes', () => delay(200, 'always' as const), 'no answer in time']
  ])('%s denies', async (_what, onConnect, reason) => {
    const { sent, answer } = await asked(onConnect, undefined, 50)
    expect(sent).toEqual(['answer 7 deny'])
    expect(answer.decision).toBe('deny')
    if (reason) expect(answer.reason).toContain(reason)
    else expect(answer).not.toHaveProperty('reason')
  })

  it('a host that makes no rule is allowed this once', async () => {
    const { sent } = await asked(() => 'session', { host: '224.0.0.1', port: 80 })
    expect(sent).toEqual(['answer 7 allow'])
  })
})
