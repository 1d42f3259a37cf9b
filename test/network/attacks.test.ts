// A payload that has read the source: what must not work, each with what does (the same act without a jail, or its
// honest twin within one). native/test/tools/net_attack.cc has the acts; names that lie are in dns.test.ts too.
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { probeHost } from '../../src/host/probe.js'
import { requireTcpRules } from '../support/kernel.js'
import { type User, users } from '../support/user.js'
import { OWN } from './layout.mjs'
import { configOf, type Network, refusals, requireReach } from './support.js'
import { type Request, World } from './world.js'

const TOOL = fileURLToPath(new URL('../../build/Release/test-tools/net_attack', import.meta.url))
const CLI = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))
const isRoot = process.getuid?.() === 0

const ALLOWED = '203.0.113.10'
const DENIED = '203.0.113.11'
const BLACKHOLE = '203.0.113.99'
/** ms. A connect to it would be waited for two minutes. tcp(7), tcp_syn_retries */
const HELD_UP = 10_000
const one: Network = { allowedHosts: [ALLOWED, '2001:db8::10'] }
const withHole: Network = { allowedHosts: [ALLOWED, BLACKHOLE] }
let world: World
beforeAll(async () => {
  world = await World.open()
  copyFileSync(TOOL, `${world.folder}/net_attack`)
  chmodSync(`${world.folder}/net_attack`, 0o755)
}, 60_000)
afterAll(() => world?.close())

const act = (...words: (string | number)[]) => [`${world.folder}/net_attack`, ...words.map(String)]

/** `what: word` lines as an object, in order. */
const wordsOf = (text: string): Record<string, string> =>
  Object.fromEntries([...text.matchAll(/^(.+): (.+)$/gm)].map(([, what, word]) => [what as string, word as string]))

const only = (words: Record<string, string>, ...names: string[]) => names.map((name) => words[name])

/** An act that goes on in the world's host namespace until its input ends. */
async function onHost<T>(user: User, argv: string[], until: string, use: () => Promise<T>): Promise<[T, string]> {
  const [file, args] = world.command(user, argv)
  const child = spawn(file, args, { env: world.env, stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  const closed = new Promise((resolve) => child.once('close', resolve))
  try {
    await expect.poll(() => said, { timeout: 20_000 }).toContain(until)
    const result = await use()
    child.stdin.end()
    await closed
    return [result, said]
  } finally {
    child.stdin.end()
    await closed
  }
}

/** Kilobytes of every process of the launcher's jails that is not the payload's. */
const MEMORY = [
  'sh',
  '-c',
  'for p in $(pgrep -P $PPID -x qi-monitor); do ps -o rss= -p $p; ps -o rss=,comm= --ppid $p; done; true'
]
const MOST_MEMORY = 16 * 1024
const expectLittleMemory = (output: string | undefined) => {
  const sizes = [...String(output).matchAll(/^ *(\d+)/gm)].map(([, size]) => Number(size))
  expect(sizes.length, output).toBeGreaterThan(1)
  expect(Math.max(...sizes)).toBeLessThan(MOST_MEMORY)
}

describe.each(users)('launched by %s', (user: User) => {
  beforeEach(() => requireReach(user))

  const jailed = async (network: Network, argv: string[], more: Partial<Request> = {}) => {
    const result = await world.jailed(user, { config: configOf(world, network), argv, ...more })
    return { ...result, words: wordsOf(result.stdout), refused: refusals(result) }
  }
  const bare = async (argv: string[]) => {
    const { stdout } = await world.bare(user, argv)
    return { stdout, words: wordsOf(stdout) }
  }

  describe('changed while it is decided', () => {
    it('the address', async () => {
      const argv = act('swap-address', 1500, ALLOWED, DENIED, 7)
      expect((await bare(argv)).stdout).toBe('right 1 wrong 1 refused 0\n')
      const { stdout, refused } = await jailed(one, argv)
      expect(stdout).toBe('right 1 wrong 0 refused 1\n')
      expect(refused[0]).toMatchObject({ action: 'network.refused', rule: 'no rule allows this host' })
    })

    it('the socket, among a TCP, a UDP and a local one', async () => {
      const argv = act('swap-socket', 250, ALLOWED, DENIED, 7)
      expect((await bare(argv)).stdout).toContain('wrong 1')
      expect((await jailed(one, argv)).stdout).toBe('right 1 wrong 0\n')
    })

    it('the address and the socket of a bind', async () => {
      requireTcpRules()
      const argv = act('swap-bind', 200, user === 'root' ? 5555 : 5556)
      const control = await bare(act('publish', 5557, 5558))
      expect(control.words['bind other']).toBe('ok')
      expect((await jailed(one, argv)).stdout).toBe('bound 0\n')
    })

    it('the socket of a sendto', async () => {
      const argv = act('swap-sendto', 200, ALLOWED, DENIED, 7)
      expect((await jailed(one, argv)).stdout).toBe('connected 0\n')
      expect((await jailed(one, act('fast-open', ALLOWED, 7))).stdout).toContain('connected: 0')
    })

    it('a socket under way that is shut down, then listens', async () => {
      const { stdout, refused } = await jailed(withHole, act('swap-listen', 60, BLACKHOLE, 7))
      expect(stdout).toBe('listening 0\n')
      expect(refused[0]).toMatchObject({ syscall: 'listen', rule: 'not a published port' })
    })
  })

  describe('one call after the other', () => {
    it('a dissolved connection', async () => {
      const control = await bare(act('unspec', ALLOWED, DENIED, 7))
      expect(only(control.words, 'connect', 'dissolve', 'denied', 'listen bound')).toEqual(Array(4).fill('ok'))
      const { words } = await jailed(one, act('unspec', ALLOWED, DENIED, 7))
      expect(words).toEqual({
        connect: 'ok',
        dissolve: 'ok',
        denied: 'EACCES',
        'bind denied': 'EACCES',
        'bind any': 'EACCES',
        listen: 'EACCES',
        again: 'ok',
        'bind 0': 'ok',
        'listen bound': 'EACCES',
        'bind no family': 'EAFNOSUPPORT',
        'connect bound': 'ok'
      })
    })

    it('a second connect', async () => {
      const argv = act('again', ALLOWED, DENIED, BLACKHOLE, 7)
      expect(only((await bare(argv)).words, 'connect', 'failed', 'listen')).toEqual(['ok', 'ok', 'ok'])
      const { words } = await jailed(withHole, argv)
      expect(words).toEqual({
        connect: 'ok',
        connected: 'EACCES',
        peer: 'kept',
        fail: 'ECONNREFUSED',
        failed: 'EACCES',
        'failed, allowed': 'ok',
        go: 'EINPROGRESS',
        going: 'EACCES',
        'shut down': 'ok',
        listen: 'EACCES',
        'shut down, denied': 'EACCES'
      })
    })

    it('fast open', async () => {
      const argv = act('fast-open', ALLOWED, 7)
      expect((await bare(argv)).words).toMatchObject({ sendto: 'ok', sendmsg: 'ok', sendmmsg: 'ok', connected: '1' })
      const { words, refused } = await jailed(one, argv)
      expect(words).toEqual({ sendto: 'EACCES', sendmsg: 'EPERM', sendmmsg: 'EPERM', option: 'EPERM', connected: '0' })
      expect(refused).toHaveLength(4)
    })

    it('other kinds of sockets, and io_uring', async () => {
      const USUAL = ['tcp', 'tcp6', 'udp', 'local', 'route']
      expect((await bare(act('families'))).words).toMatchObject({
        'local datagrams': 'ok',
        uevents: 'ok',
        'sock-diag': 'ok'
      })
      const { words } = await jailed(one, act('families'))
      expect(Object.keys(words).length).toBeGreaterThan(30)
      for (const [name, word] of Object.entries(words))
        expect([name, word]).toEqual([name, USUAL.includes(name) ? 'ok' : 'EPERM'])
    })

    it('options that lead elsewhere', async () => {
      if (isRoot && user === 'root') {
        const control = (await bare(act('options'))).words
        expect(only(control, 'source route', 'transparent', 'fast open', 'repair')).toEqual(Array(4).fill('ok'))
      }
      const { nodelay, ...others } = (await jailed(one, act('options'))).words
      expect(nodelay).toBe('ok')
      expect(new Set(Object.values(others))).toEqual(new Set(['EPERM']))
    })

    it('interfaces of the host by its sockets', async () => {
      expect((await bare(act('swap-ioctl', 1))).stdout).toBe('udp 1\ntcp 1\nswapped 1\n')
      expect((await jailed(one, act('swap-ioctl', 3000))).stdout).toBe('udp 0\ntcp 0\nswapped 0\n')
      const { words } = await jailed(one, act('ioctls'))
      for (const name of ['configuration', 'name', 'address', 'hardware', 'ethtool', 'network', 'arp', 'private'])
        expect([name, words[`tcp ${name}`]]).toEqual([name, 'EPERM'])
    })

    it('lengths and pointers that lie', async () => {
      const argv = act('lies', ALLOWED, 7)
      const HONEST = ['honest', 'connect at the edge']
      for (const words of [(await bare(argv)).words, (await jailed(one, argv)).words]) {
        expect(Object.keys(words).length).toBeGreaterThan(40)
        for (const [name, word] of Object.entries(words)) {
          if (HONEST.includes(name)) expect([name, word]).toEqual([name, 'ok'])
          else
            expect([name, word]).toEqual([name, expect.stringMatching(/^(EFAULT|EINVAL|EDESTADDRREQ|ENOTSOCK|EBADF)$/)])
        }
      }
    })
  })

  describe('places', () => {
    it.each([
      ['port 0, multicast, broadcast', ['203.0.113.10', '0', '224.0.0.1', '7', '255.255.255.255', '7', 'ff02::1', '7']],
      ['private and link-local', ['10.1.2.3', '7', '192.168.7.7', '7', '169.254.169.254', '7', 'fd00:ec2::254', '7']],
      ['the loopback', ['127.0.0.1', '7', '0.0.0.0', '7', '::', '7', '::1', '7', '::ffff:127.0.0.1', '7']],
      ['IPv4 in IPv6', ['::ffff:10.1.2.3', '7', '64:ff9b::a01:203', '7', '::10.1.2.3', '7', '2002:a01:203::', '7']],
      ['the metadata service', ['169.254.169.254', '80', '::ffff:169.254.169.254', '80', 'fd00:ec2::254', '80']]
    ])('%s', async (_, to) => {
      const { words, refused } = await jailed({ allowedHosts: ['*'] }, act('connect', ...to, ALLOWED, 7))
      const { [`${ALLOWED} 7`]: honest, ...others } = words
      expect(honest).toBe('ok')
      expect(new Set(Object.values(others))).toEqual(new Set(['EACCES']))
      expect(refused.length).toBeGreaterThanOrEqual(to.length / 2)
    })

    it('every address of the host itself, but one that is listed', async () => {
      const own = ['198.51.100.2', '2001:db8:1::2', ...OWN]
      const to = own.flatMap((address) => [address, '5007'])
      expect(new Set(Object.values((await bare(act('connect', ...to))).words))).toEqual(new Set(['ECONNREFUSED']))
      // First the way out, so that the probe has a source address to stick to.
      const argv = act('connect', ALLOWED, 7, '2001:db8::10', 7, ...to)
      const { words } = await jailed({ allowedHosts: ['*', '0.0.0.0/0', '2000::/3'] }, argv)
      expect(Object.values(words)).toEqual(['ok', 'ok', 'EACCES', 'EACCES', 'EACCES', 'EACCES'])
      const listed = await jailed({ allowedHosts: [OWN[0] as string] }, act('connect', OWN[0] as string, 5007))
      expect(Object.values(listed.words)).toEqual(['ECONNREFUSED'])
    })

    it('numbers that getaddrinfo takes for addresses', () =>
      onHost(user, act('listen', '127.0.0.1', 5011), 'waiting', async () => {
        const argv = act('literals', 5011, '0x7f.1', '2130706433', '0177.0.0.1', '127.1', '0x7f000001', '017700000001')
        expect(new Set(Object.values((await bare(argv)).words))).toEqual(new Set(['ok']))
        expect(new Set(Object.values((await jailed({ allowedHosts: ['*'] }, argv)).words))).toEqual(new Set(['EACCES']))
      }))

    it.each(['path', 'abstract'])('a socket cannot be handed to a program outside (%s)', async (kind) => {
      const at = kind === 'path' ? `${world.folder}/take-${user}` : `@take-${user}`
      const take = act('take-socket', at)
      const outside = users[0] as User
      const [, control] = await onHost(outside, take, 'listening', () => bare(act('pass-socket', at)))
      expect(control).toContain('taken: a descriptor')
      const [{ words }, said] = await onHost(outside, act('take-socket', `${at}2`), 'listening', () =>
        jailed(one, act('pass-socket', `${at}2`))
      )
      expect(words).toEqual({ connect: kind === 'path' ? 'EACCES' : 'ECONNREFUSED' })
      expect(said).toContain('taken: nobody')
    })

    it('the supervisors and the network of the host are out of sight', async () => {
      expect((await bare(act('look-around'))).stdout).toMatch(/foreign [1-9]/)
      const { stdout, words } = await jailed(one, act('look-around'))
      // Without signal scopes pid 1 tells that it is there; of what its own jail sends it nothing arrives. pid_namespaces(7)
      expect(stdout).toMatch(probeHost().landlockAbi >= 6 ? /^processes 0 signals 0\n/ : /^processes 0 signals [01]\n/)
      expect(stdout).toContain('interfaces 1 foreign 0\nsys 0\n')
      expect(new Set(Object.values(words))).toEqual(new Set(['ENOENT', 'EPERM', 'ESRCH']))
    })
  })

  describe('publish', () => {
    it('is that port of the loopback alone, and leads to nobody else who listens there', async () => {
      const others = ['::1', 3100, '127.0.0.2', 3100]
      const [{ words, stdout }] = await onHost(user, act('listen', ...others), 'waiting', async () => {
        const control = await bare(act('connect', ...others))
        expect(Object.values(control.words)).toEqual(['ok', 'ok'])
        return await jailed({ publish: [3100] }, act('publish', 3100, 3101))
      })
      expect(words).toEqual({
        'reach before': 'EACCES',
        'reach before, IPv6': 'EACCES',
        'bind other': 'EACCES',
        'bind elsewhere': 'EACCES',
        'bind silent': 'ok',
        'reach silent': 'EACCES',
        'reach silent, IPv6': 'EACCES',
        'reach silent, beside': 'EACCES',
        'listen silent': 'ok',
        'reach own': 'ok',
        'reach own, any': 'ok',
        'reach own, IPv6': 'EACCES',
        'reach own, beside': 'EACCES'
      })
      expect(stdout).toContain('bound to loopback')
    })

    it('leads to no listener of the host on the port before it is taken', () =>
      onHost(user, act('listen', '127.0.0.1', 3102), 'waiting', async () => {
        const { words } = await jailed({ publish: [3102] }, act('publish', 3102, 3103))
        expect(only(words, 'reach before', 'bind silent', 'reach own')).toEqual(['EACCES', 'EADDRINUSE', 'EACCES'])
      }))
  })

  describe('maxConnections', () => {
    it.each([
      ['duplicates', ALLOWED, 7, 'duplicate'],
      ['sockets of other processes', ALLOWED, 7, 'child'],
      ['sockets under way in a message', ALLOWED, 7, 'message'],
      ['attempts that wait', BLACKHOLE, 7, 'waiting'],
      ['inspected connections', 'v4.example.test', 80, 'duplicate']
    ])('counts %s', async (_, host, port, how) => {
      const allowedHosts = [ALLOWED, BLACKHOLE, { host: 'v4.example.test', ports: [80], inspect: 'sni' as const }]
      const argv = act('hoard', 6, host, port, how)
      const named = port === 80 ? allowedHosts.slice(2) : allowedHosts
      const { stdout } = await jailed({ allowedHosts: named, maxConnections: 3 }, argv)
      expect(stdout).toBe('open 3 refused 3\n')
      expect((await jailed({ allowedHosts: named }, argv)).stdout).toBe('open 6 refused 0\n')
    })
  })

  describe('floods', () => {
    it('callers that die while they are answered', async () => {
      const { words, refused } = await jailed(withHole, act('die', 80, BLACKHOLE, ALLOWED, DENIED, 7))
      expect(words).toEqual({ honest: 'ok' })
      expect(refused.length).toBeGreaterThan(0)
    })

    it.each([
      ['3,000 attempts that go nowhere', 'flood-connects', 3000],
      ['400 threads that wait', 'flood-threads', 400]
    ])('%s: others are served, memory stays small', async (_, name, count) => {
      const { stdout, updates, words } = await jailed(withHole, act(name, count, BLACKHOLE, ALLOWED, 7), {
        steps: [{ when: 'flooded', host: MEMORY, stdin: '\n' }]
      })
      expect(stdout).toMatch(name === 'flood-connects' ? /going 3000/ : /started 400 refused 0/)
      expect(words).toEqual({ honest: 'ok' })
      expectLittleMemory(updates[0])
    })

    it('more waiting threads than there is room for', async () => {
      const network = { ...withHole, maxConnections: 50 }
      const { stdout } = await jailed(network, act('flood-threads', 300, BLACKHOLE, ALLOWED, 7), {
        steps: [{ when: 'flooded', stdin: '\n' }]
      })
      expect(stdout).toContain('started 300 refused 250')
    })

    it('more waiting threads than qi-monitor has descriptors for', async () => {
      const options = `--cwd /tmp --net ${ALLOWED} --net ${BLACKHOLE} --ro ${world.folder} --`.split(' ')
      const flood = act('flood-threads', 300, BLACKHOLE, ALLOWED, 7)
      const { stdout } = await world.bare(user, [
        'prlimit',
        '--nofile=160:160',
        process.execPath,
        CLI,
        ...options,
        ...flood
      ])
      // One that is not done at once, on a busy machine, has to wait as the others do.
      expect(stdout).toMatch(/^started 300 refused (1\d\d|2\d\d)\n(honest: (ok|EAGAIN)\n){5}flooded/)
      expect(stdout).toContain('honest: ok')
    })

    it('flags and patience that change under a connect do not hold up a kill', async () => {
      const steps = [{ when: 'flipping', killAfter: 1000 }]
      const { stdout, killMs, exit } = await jailed(withHole, act('flip', BLACKHOLE, ALLOWED, 7), { steps })
      expect(stdout).toMatch(/(honest: ok\n){5}flipping/)
      expect(exit.signal).toBe('SIGKILL')
      expect(killMs).toBeLessThan(HELD_UP)
    })

    it('refused names as fast as they are answered do not hold up a kill', async () => {
      const steps = [{ when: 'honest: ok\n', killAfter: 1000 }]
      const { stdout, killMs } = await jailed(one, act('dns-flood', 1, ALLOWED, 7), { steps })
      expect(stdout).toMatch(/answered: many\nhonest: ok\n/)
      expect(killMs).toBeLessThan(HELD_UP)
    })
  })

  describe('sockets that are moved into the jail', () => {
    const network: Network = { innerLoopback: true, allowedHosts: [ALLOWED] }

    it('with many numbers, in many epoll sets, one in another', async () => {
      const argv = act('places', 4100, 20, 10)
      const all = 'bind: ok\nlisten: ok\ntook little\nconnect: ok\ntold 10 same 20\n'
      expect((await bare(argv)).stdout).toBe(all)
      expect((await jailed(network, argv)).stdout).toBe(all)
    })

    it.each([
      ['more numbers than are followed', [100, 10, 0], 'the socket is in too many places to be moved'],
      ['more epoll sets', [2, 100, 0], 'the socket is in too many epoll sets to be moved'],
      ['epoll sets that hold too much', [2, 1, 200], "too many descriptors to find the socket's places among"]
    ])('%s: refused', async (_, how, rule) => {
      const { words, refused } = await jailed(network, act('places', 4101, ...how))
      expect(words.connect).toBe('EACCES')
      expect(refused).toContainEqual(expect.objectContaining({ action: 'network.refused', rule }))
    })
  })

  describe('the gateway', () => {
    it('names with bytes that have no business in one', async () => {
      const good = ['api.example.test', 'API.example.TEST', 'api.example.test.']
      const bad = [
        ...['a\\x00b.example.test', 'api\\x00.example.test', 'api.example.test\\x00', 'api\\x0a.example.test'],
        ...['api.example\\x2etest', 'ap\\xd1\\x96.example.test', 'xn--ap-zmc.example.test', ' api.example.test'],
        ...['deny.example.test', 'to-denied.example.test', 'rebind-loopback.example.test', 'rebind-own.example.test'],
        ...['rebind-link-local.example.test', 'rebind-metadata.example.test', 'rebind-private.example.test']
      ]
      const network: Network = {
        allowedHosts: [
          'api.example.test',
          'to-denied.example.test',
          'rebind-loopback.example.test',
          'rebind-own.example.test',
          'rebind-link-local.example.test',
          'rebind-metadata.example.test',
          'rebind-private.example.test'
        ],
        deniedHosts: ['deny.example.test']
      }
      const { stdout, refused } = await jailed(network, act('names', ...good, ...bad))
      const lines = stdout.trimEnd().split('\n')
      expect(lines.slice(0, good.length)).toEqual(good.map((name) => `${name}: NOERROR data`))
      for (const line of lines.slice(good.length)) expect(line).toMatch(/: NXDOMAIN$/)
      expect(lines).toHaveLength(good.length + bad.length)
      expect(refused.filter(({ action }) => action === 'dns.refused')).toHaveLength(bad.length)
    })

    it('queries that lie about their structure', async () => {
      const { words } = await jailed({ allowedHosts: ['api.example.test'] }, act('queries'))
      const { good, 'good again': again, ...lies } = words
      expect([good, again]).toEqual(['NOERROR data', 'NOERROR data'])
      expect(Object.keys(lies).length).toBeGreaterThan(14)
      for (const [name, word] of Object.entries(lies))
        expect([name, word]).toEqual([name, expect.stringMatching(/^(FORMERR|NOTIMP|REFUSED|silence)$/)])
    })

    it('connections that are only held, and ten thousand queries on one', async () => {
      const { words, updates } = await jailed(
        { allowedHosts: ['api.example.test'] },
        act('dns-streams', 'api.example.test'),
        {
          steps: [{ when: 'streamed', host: MEMORY, stdin: '\n' }]
        }
      )
      expect(words).toEqual({ held: 'NOERROR data', connect: 'ok', pipelined: 'NOERROR data' })
      expectLittleMemory(updates[0])
    })

    it('datagrams and binds in the name of others', async () => {
      const argv = act('spoof', ALLOWED, 123, DENIED)
      expect((await bare(argv)).words.honest).toBe('ok')
      const { words } = await jailed({ udp: [`${ALLOWED}:123`] }, argv)
      expect(words).toEqual({ 'bind udp': 'EACCES', 'bind tcp': 'EACCES', 'send to': 'ok', honest: 'ok' })
    })

    const V4 = 'v4.example.test'
    const inspected: Network = { allowedHosts: [{ host: V4, inspect: 'sni', ports: [80, 443] }] }
    const said = async (argv: string[]) => [(await bare(argv)).words.said, (await jailed(inspected, argv)).words.said]

    it.each([
      ['whole', [1 << 20, 16384, V4]],
      ['byte by byte', [1, 16384, V4]],
      ['in many records', [1 << 20, 20, V4]],
      ['in upper case', [1 << 20, 16384, V4.toUpperCase()]]
    ])('a hello with the name, %s, passes', async (_, how) => {
      expect(await said(act('hello', V4, 443, ...how))).toEqual(['answered', 'answered'])
    })

    it.each([
      ['another name', ['other.example.test']],
      ['another name in many records', ['other.example.test'], 20],
      ['two extensions', [V4, 'other.example.test']],
      ['two extensions, the other way', ['other.example.test', V4]],
      ['two names', [V4, '+other.example.test']],
      ['a NUL', [`${V4}\\x00.other.example.test`]],
      ['two dots at the end', [`${V4}..`]],
      ['an address', [ALLOWED]],
      ['nothing', []]
    ])('a hello with %s does not', async (_, names, record = 16384) => {
      const { words, refused } = await jailed(inspected, act('hello', V4, 443, 1 << 20, record, ...names))
      expect(words.said).toMatch(/^(ECONNRESET|end)$/)
      expect(refused).toContainEqual(expect.objectContaining({ action: 'network.refused', port: 443 }))
    })

    it.each([
      ['of a plain request', `GET / HTTP/1.1\\r\\nHost: ${V4}\\r\\n\\r\\n`],
      ['of one for the host by its whole name', `GET http://${V4}/ HTTP/1.1\\r\\nHost: ${V4}\\r\\n\\r\\n`]
    ])('the answer %s comes back', async (_, text) => {
      expect(await said(act('say', V4, 80, text))).toEqual(['answered', 'answered'])
    })

    it.each([
      ['another Host', 'GET / HTTP/1.1\\r\\nHost: other.example.test\\r\\n\\r\\n'],
      ['another target', `GET http://other.example.test/ HTTP/1.1\\r\\nHost: ${V4}\\r\\n\\r\\n`],
      ['another Host beside the target', `GET http://${V4}/ HTTP/1.1\\r\\nHost: other.example.test\\r\\n\\r\\n`],
      ['two Hosts', `GET / HTTP/1.1\\r\\nHost: ${V4}\\r\\nHost: other.example.test\\r\\n\\r\\n`],
      ['a Host with a space', `GET / HTTP/1.1\\r\\nHost: ${V4}\\r\\nHost : other.example.test\\r\\n\\r\\n`],
      ['a folded line', `GET / HTTP/1.1\\r\\nHost: ${V4}\\r\\nX: y\\r\\n Host: other.example.test\\r\\n\\r\\n`],
      ['bare line feeds', `GET / HTTP/1.1\\nHost: other.example.test\\n\\r\\nHost: ${V4}\\r\\n\\r\\n`],
      ['a tunnel', 'CONNECT other.example.test:443 HTTP/1.1\\r\\nHost: other.example.test:443\\r\\n\\r\\n'],
      ['a user before the host', `GET http://${V4}@other.example.test/ HTTP/1.1\\r\\nHost: ${V4}\\r\\n\\r\\n`],
      ['no Host', 'GET / HTTP/1.0\\r\\n\\r\\n'],
      ['HTTP/2', 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n']
    ])('that of one with %s does not', async (_, text) => {
      const { words, refused } = await jailed(inspected, act('say', V4, 80, text))
      expect(words.said).toMatch(/^(ECONNRESET|end)$/)
      expect(refused).toContainEqual(expect.objectContaining({ action: 'network.refused', port: 80 }))
    })
  })
})
