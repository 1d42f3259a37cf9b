// What the jail's name server says: of allowed names, of others, and of what hostile resolvers and programs send.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { type User, users } from '../support/user.js'
import { copyScripts, HAS } from './programs.js'
import { configOf, type Network, type Refusal, refusals, requireReach } from './support.js'
import { World } from './world.js'

let world: World
beforeAll(async () => {
  world = await World.open()
  copyScripts(world.folder)
}, 240_000)
afterAll(() => world?.close())

const client = (queries: string[]) => ['node', `${world.folder}/clients/dns-query.mjs`, ...queries]
const sockets = (...args: string[]) => ['python3', `${world.folder}/clients/sockets.py`, ...args]
const lines = (text: string) => text.trimEnd().split('\n')
const nameEvents = (all: Refusal[], name: string) =>
  all.filter((one) => one.action === 'dns.refused' && one.host === name)

describe.each(users)('launched by %s', (user: User) => {
  beforeEach(() => {
    requireReach(user)
    skipUnless(HAS.python3, 'needs python3')
  })

  const bare = async (...queries: string[]) => lines((await world.bare(user, client(queries))).stdout)
  const ask = async (network: Network, ...queries: string[]) => {
    const result = await world.jailed(user, {
      config: configOf(world, network),
      argv: client(queries),
      timeout: 120_000
    })
    return { answers: lines(result.stdout), refused: refusals(result) }
  }
  const run = async (network: Network, argv: string[]) => {
    const result = await world.jailed(user, { config: configOf(world, network), argv })
    return { out: result.stdout.trim(), refused: refusals(result) }
  }
  const hosts = (...allowedHosts: string[]): Network => ({ allowedHosts })

  describe('names', () => {
    it('allowed ones have their addresses, over UDP, EDNS and TCP', async () => {
      const queries = ['udp', 'edns', 'tcp'].flatMap((how) => [
        `${how}:api.example.test:A`,
        `${how}:api.example.test:AAAA`
      ])
      const { answers, refused } = await ask(hosts('api.example.test'), ...queries)
      for (const wanted of [await bare(...queries), answers]) {
        expect(wanted).toHaveLength(6)
        for (const [i, line] of wanted.entries())
          expect(line).toMatch(
            i % 2 ? /^NOERROR .*\/AAAA\/\d+=20010db8.*0010$/ : /^NOERROR .*\/A\/\d+=203\.0\.113\.10$/
          )
      }
      expect(refused).toEqual([])
    })

    it('others do not exist, are events, and nobody outside hears of them', async () => {
      const query = 'udp:secret-data.other.example.test:A'
      await world.queries()
      const { answers, refused } = await ask(hosts('api.example.test'), query, 'udp:deny.example.test:AAAA')
      expect(answers).toEqual([expect.stringMatching(/^NXDOMAIN/), expect.stringMatching(/^NXDOMAIN/)])
      expect(nameEvents(refused, 'secret-data.other.example.test')).toHaveLength(1)
      expect(nameEvents(refused, 'deny.example.test')).toHaveLength(1)
      const seen = (await world.queries()).map((one) => one.name)
      expect(seen).not.toContain('secret-data.other.example.test')
      expect(seen).not.toContain('deny.example.test')
      await bare(query)
      expect((await world.queries()).map((one) => one.name)).toContain('secret-data.other.example.test')
    })

    it('an allowed one that does not exist is no event', async () => {
      const { answers, refused } = await ask(hosts('nobody.example.test'), 'udp:nobody.example.test:A')
      expect(answers).toEqual([expect.stringMatching(/^NXDOMAIN/)])
      expect(refused).toEqual([])
    })

    it('upper case and a dot at the end are the same name', async () => {
      const { answers } = await ask(hosts('API.Example.Test.'), 'udp:ApI.eXample.TEST:A')
      // A resolver that mixes cases looks for its own spelling in the answer.
      expect(answers).toEqual([expect.stringMatching(/^NOERROR question=ApI\.eXample\.TEST .*=203\.0\.113\.10$/)])
      expect((await run(hosts('api.example.test'), sockets('blocking', 'API.example.test.', '7'))).out).toBe('ok echo')
    })

    it('the search list completes short ones', async () => {
      const control = await world.bare(user, sockets('blocking', 'api', '7'))
      expect(control.stdout.trim()).toBe('ok echo')
      expect((await run(hosts('api.example.test'), sockets('blocking', 'api', '7'))).out).toBe('ok echo')
      expect((await run(hosts('v4.example.test'), sockets('refused', 'api', '7'))).out).toBe('ok NONAME soon')
    })

    it("the host's own table is believed, for allowed names", async () => {
      for (const name of ['hosted.internal.test', 'hosted', 'db.internal.test']) {
        expect((await world.bare(user, sockets('blocking', name, '7'))).stdout.trim()).toBe('ok echo')
        expect((await run(hosts(name), sockets('blocking', name, '7'))).out, name).toBe('ok echo')
        expect((await run(hosts('api.example.test'), sockets('refused', name, '7'))).out).toBe('ok NONAME soon')
      }
      // The name opens the address for itself only.
      const literal = await run(hosts('db.internal.test'), sockets('refused', '10.1.2.3', '7'))
      expect(literal.out).toBe('ok EACCES soon')
    })

    it.each([
      'a%20b.example.test',
      'a%00.example.test',
      'a%0ab.example.test',
      '%e4.example.test',
      'a%2eb.example.test'
    ])('no host has the name %s', async (name) => {
      const { answers, refused } = await ask(hosts('*.example.test', '*'), `udp:${name}:A`, 'udp:v4.example.test:A')
      expect(answers[0]).toMatch(/^(NXDOMAIN|FORMERR)/)
      expect(answers[1]).toMatch(/=203\.0\.113\.10$/)
      expect(refused.filter((one) => one.action === 'dns.refused').length).toBeGreaterThan(0)
    })
  })

  describe('types', () => {
    it('those that lead past the addresses are empty', async () => {
      const queries = ['HTTPS', 'SVCB', 'TXT', 'MX', 'NS', '255'].map((type) => `udp:api.example.test:${type}`)
      expect((await bare(...queries))[0]).toMatch(/\/HTTPS\//)
      expect((await bare(...queries))[2]).toMatch(/\/TXT\//)
      const { answers } = await ask(hosts('api.example.test'), ...queries)
      expect(answers).toHaveLength(6)
      for (const line of answers) expect(line).toMatch(/^(NOERROR|NOTIMP) question=api\.example\.test$/)
    })

    it('reverse lookups tell nothing', async () => {
      const { answers } = await ask(hosts('203.0.113.10'), 'udp:10.113.0.203.in-addr.arpa:PTR')
      expect(answers[0]).toMatch(/^NXDOMAIN/)
    })
  })

  describe('large answers', () => {
    it('are cut over UDP and whole over TCP', async () => {
      const queries = ['udp:many.example.test:A', 'tcp:many.example.test:A']
      const control = await bare(...queries)
      expect(control[0]).toMatch(/^NOERROR tc/)
      const { answers } = await ask(hosts('many.example.test'), ...queries)
      expect(answers[0]).toMatch(/^NOERROR tc/)
      expect(answers[1]).not.toMatch(/ tc /)
      expect(answers[1]?.split('/A/').length).toBeGreaterThan(16)
    })

    it.each(['many.example.test', 'huge.example.test'])('getaddrinfo and connect work with %s', async (name) => {
      expect((await world.bare(user, sockets('blocking', name, '7'))).stdout.trim()).toBe('ok echo')
      await world.queries()
      expect((await run(hosts(name), sockets('blocking', name, '7'))).out).toBe('ok echo')
      // Neither fits into what is asked for by UDP (RFC 1035, 4.2.1): asked again by TCP.
      if (name.startsWith('huge')) expect((await world.queries()).map((one) => one.transport)).toContain('tcp')
    })
  })

  describe('failures', () => {
    it.each(['servfail', 'silent', 'loop', 'wrong-name', 'wrong-id', 'short', 'garbage'])(
      'an answer that is none (%s) is SERVFAIL, and the next one counts',
      async (kind) => {
        const name = `${kind}.example.test`
        const { answers } = await ask(hosts(name, 'api.example.test'), `udp:${name}:A`, 'udp:api.example.test:A')
        expect(answers[0]).toMatch(/^(SERVFAIL|NXDOMAIN)/)
        if (kind === 'servfail' || kind === 'silent') expect(answers[0]).toMatch(/^SERVFAIL/)
        expect(answers[1]).toMatch(/=203\.0\.113\.10$/)
      },
      120_000
    )

    it('a resolver that is not there is SERVFAIL', async () => {
      await world.setZone({ 'later.example.test': { odd: 'silent' } })
      const { answers } = await ask(hosts('later.example.test'), 'tcp:later.example.test:A')
      expect(answers[0]).toMatch(/^SERVFAIL/)
      await world.setZone({ 'later.example.test': { A: ['203.0.113.10'] } })
      expect((await ask(hosts('later.example.test'), 'tcp:later.example.test:A')).answers[0]).toMatch(/^NOERROR/)
    })

    it('records for names that nobody asked for count for nothing', async () => {
      const rules = hosts('poison.example.test', 'other.example.test')
      const { answers } = await ask(rules, 'udp:poison.example.test:A', 'udp:other.example.test:A')
      for (const line of answers) expect(line).not.toContain('10.1.2.3')
      expect(answers[1]).toMatch(/=203\.0\.113\.11$/)
    })

    it.each([
      ['nothing', ''],
      ['a header alone', '000001000000000000000000'],
      ['an answer', '0000818000010000000000000361706907657861706d706c65047465737400000100010'],
      ['two questions', '0000010000020000000000000361706907657861706d706c650474657374000001000100000100010'],
      ['a label of 64', `000001000001000000000000${'40'}${'61'.repeat(64)}0000010001`],
      ['a pointer to itself', '000001000001000000000000c00c00010001'],
      ['a name without an end', '00000100000100000000000003617069'],
      ['a name of 255 octets', `000001000001000000000000${`3f${'61'.repeat(63)}`.repeat(4)}0000010001`],
      ['another class', '0000010000010000000000000361706907657861706d706c6504746573740000010003'],
      ['another opcode', '0000280000010000000000000361706907657861706d706c6504746573740000010001']
    ])('%s as a query is refused, and the next one is answered', async (_, hex) => {
      const { answers } = await ask(hosts('api.example.test'), `raw:${hex}`, 'udp:api.example.test:A')
      expect(answers[0]).toMatch(/^(silence|FORMERR|NOTIMP|REFUSED|NXDOMAIN|SERVFAIL)/)
      expect(answers[1]).toMatch(/=203\.0\.113\.10$/)
    })
  })

  describe('aliases', () => {
    it('lead on, listed or not', async () => {
      for (const name of ['www.example.test', 'to-unlisted.example.test']) {
        expect((await world.bare(user, sockets('blocking', name, '7'))).stdout.trim()).toBe('ok echo')
        expect((await run(hosts(name), sockets('blocking', name, '7'))).out).toBe('ok echo')
      }
    })

    it('to a denied name are refused', async () => {
      const rules = { allowedHosts: ['to-denied.example.test'], deniedHosts: ['deny.example.test'] }
      const { answers, refused } = await ask(rules, 'udp:to-denied.example.test:A')
      expect(answers[0]).toMatch(/^NXDOMAIN/)
      expect(nameEvents(refused, 'to-denied.example.test')).toHaveLength(1)
      const open = await ask({ allowedHosts: rules.allowedHosts }, 'udp:to-denied.example.test:A')
      expect(open.answers[0]).toMatch(/=203\.0\.113\.11$/)
    })

    it('in a circle end', async () => {
      const { answers } = await ask(hosts('circle.example.test'), 'udp:circle.example.test:A', 'udp:www.example.test:A')
      expect(answers[0]).not.toMatch(/\/A\//)
      expect(answers[1]).toMatch(/^NXDOMAIN/)
    })
  })

  describe('rebinding', () => {
    const inside = [
      ...['loopback', 'unspecified', 'link-local', 'metadata', 'private', 'private2', 'nat64', 'multicast'],
      'own'
    ]
    it.each(inside)('a name that leads to %s addresses is refused', async (kind) => {
      const name = `rebind-${kind}.example.test`
      const queries = [`udp:${name}:A`, `udp:${name}:AAAA`]
      const control = await bare(...queries)
      const types = ['A', 'AAAA'].filter((type, i) => control[i]?.includes(`/${type}/`))
      expect(types.length).toBeGreaterThan(0)
      const { answers, refused } = await ask(hosts('*.example.test', name), ...queries)
      for (const line of answers) expect(line).not.toMatch(/\/A+\//)
      const events = nameEvents(refused, name)
      expect(events).toHaveLength(types.length)
      for (const event of events) expect(event.rule).toMatch(/resolves to/)
    })

    it('an IPv4 address in IPv6 form is no answer', async () => {
      const query = 'udp:rebind-mapped.example.test:AAAA'
      expect((await bare(query))[0]).toMatch(/=0{20}ffff7f000001$/)
      const { answers } = await ask(hosts('rebind-mapped.example.test'), query)
      expect(answers[0]).not.toMatch(/\/A+\//)
    })

    it('of an answer with both, the public address is left', async () => {
      const { answers } = await ask(hosts('rebind-mixed.example.test'), 'udp:rebind-mixed.example.test:A')
      expect(answers[0]).toContain('=203.0.113.10')
      expect(answers[0]).not.toContain('10.1.2.3')
    })

    it.each([
      ['private', '10.1.2.3'],
      ['private2', '192.168.0.0/16'],
      ['metadata', '169.254.169.254']
    ])('%s addresses may be listed', async (kind, rule) => {
      const name = `rebind-${kind}.example.test`
      expect((await run(hosts(name, rule), sockets('blocking', name, '7'))).out).toBe('ok echo')
      expect((await run(hosts(name), sockets('refused', name, '7'))).out).toBe('ok NONAME soon')
    })
  })

  describe('time', () => {
    it('a changed address is told, the old one stays for what is open and for a while', async () => {
      const name = `changing-${user}.example.test`
      const argv = ['python3', `${world.folder}/clients/changing.py`, name, '7']
      await world.setZone({ [name]: { ttl: 1, A: ['203.0.113.10'] } })
      const going = world.jailed(user, {
        config: configOf(world, hosts(name)),
        argv,
        steps: [{ when: 'first', control: { [name]: { ttl: 1, A: ['203.0.113.11'] } }, stdin: '\n' }]
      })
      const result = await going
      expect(lines(result.stdout), result.stderr).toEqual([
        'first 203.0.113.10',
        'second 203.0.113.11',
        'open connection ok',
        'first address ok',
        'second address ok'
      ])
      expect(refusals(result)).toEqual([])
    })

    it('an address that no allowed name was answered with is refused', async () => {
      const { out, refused } = await run(hosts('api.example.test'), sockets('refused', '203.0.113.10', '7'))
      expect(out).toBe('ok EACCES soon')
      expect(refused).toContainEqual(
        expect.objectContaining({
          action: 'network.refused',
          arguments: expect.objectContaining({
            address: expect.objectContaining({ address: '203.0.113.10', port: 7 })
          })
        })
      )
    })
  })

  describe('wildcards', () => {
    it('hold what is below them, at any depth, and nothing else', async () => {
      const below = ['a.wild.example.test', 'a.b.wild.example.test']
      const beside = ['wild.example.test', 'awild.example.test', 'a.wild.example.test.evil.test']
      const { answers, refused } = await ask(
        hosts('*.wild.example.test'),
        ...[...below, ...beside].map((n) => `udp:${n}:A`)
      )
      expect(answers.map((line) => line.split(' ')[0])).toEqual([
        'NOERROR',
        'NOERROR',
        'NXDOMAIN',
        'NXDOMAIN',
        'NXDOMAIN'
      ])
      expect(refused.map((one) => one.host)).toEqual(beside)
    })

    it('are no tunnel: long names and many new ones are refused, others are still answered', async () => {
      const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.wild.example.test`
      const many = Array.from({ length: 150 }, (_, i) => `udp:n${i}.wild.example.test:A`)
      expect((await bare(`udp:${long}:A`))[0]).toMatch(/^NOERROR/)
      await world.queries()
      const { answers, refused } = await ask(
        hosts('*.wild.example.test', 'api.example.test'),
        ...[`udp:${long}:A`, ...many, 'udp:n0.wild.example.test:A', 'udp:api.example.test:A']
      )
      expect(answers[0]).toMatch(/^NXDOMAIN/)
      expect(nameEvents(refused, long)[0]?.rule).toMatch(/too long/)
      const good = answers.slice(1, 151).filter((line) => line.startsWith('NOERROR')).length
      expect(good).toBeGreaterThanOrEqual(60)
      expect(good).toBeLessThan(150)
      expect(answers.slice(151)).toEqual([expect.stringMatching(/^NOERROR/), expect.stringMatching(/^NOERROR/)])
      expect(refused.some((one) => /too many/.test(String(one.rule)))).toBe(true)
      const told = (await world.queries()).filter((one) => one.name.endsWith('.wild.example.test'))
      expect(new Set(told.map((one) => one.name)).size).toBe(good)
    })
  })

  describe('other ways to a resolver', () => {
    it('the real one cannot be reached, by UDP or TCP', async () => {
      const { out } = await run(hosts('api.example.test'), sockets('udp-refused', '203.0.113.53', '53'))
      expect(out).toMatch(/^ok (silence|E[A-Z]+)$/)
      const tcp = await run(hosts('api.example.test'), sockets('refused', '203.0.113.53', '53'))
      expect(tcp.out).toBe('ok EACCES soon')
      expect((await world.bare(user, sockets('refused', '203.0.113.53', '53'))).stdout.trim()).toBe('ok connected soon')
    })

    it('200 queries at once are all answered', async () => {
      const queries = Array.from({ length: 200 }, (_, i) => `${i % 8 === 0 ? 'tcp' : 'udp'}:api.example.test:A`)
      const { answers } = await ask(hosts('api.example.test'), 'at-once', ...queries)
      expect(answers.filter((line) => line.endsWith('=203.0.113.10'))).toHaveLength(200)
    })
  })
})
