// Rules as they are written, against servers: what each lets through, and that nothing else is.
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { type User, users } from '../support/user.js'
import { copyScripts, HAS } from './programs.js'
import { configOf, type Network, refusals, requireReach } from './support.js'
import { type Request, World } from './world.js'

let world: World
beforeAll(async () => {
  world = await World.open()
  copyScripts(world.folder)
}, 240_000)
afterAll(() => world?.close())

const API = 'api.example.test'
const LITERAL4 = '203.0.113.10'
const LITERAL6 = '2001:db8::10'
const shell = (...commands: string[]) => ['python3', `${world.folder}/clients/shell.py`, ...commands]

/** A service on the host's loopback, in the world's host namespace. */
async function onHost<T>(user: User, listen: string, use: () => Promise<T>): Promise<T> {
  const [file, args] = world.command(user, shell(listen, 'mark waiting'))
  const child = spawn(file, args, { env: world.env, stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  try {
    await expect.poll(() => said, { timeout: 20_000 }).toContain('waiting')
    expect(said).toContain(`${listen}: ok`)
    return await use()
  } finally {
    child.stdin.end()
    await new Promise((resolve) => child.once('close', resolve))
  }
}

describe.each(users)('launched by %s', (user: User) => {
  beforeEach(() => {
    requireReach(user)
    skipUnless(HAS.python3, 'needs python3')
  })

  /** What each command came to, and the refusals. */
  const run = async (network: Network, commands: string[], more: Partial<Request> = {}) => {
    const result = await world.jailed(user, { config: configOf(world, network), argv: shell(...commands), ...more })
    const said = (command: string) =>
      result.stdout
        .split('\n')
        .flatMap((line) => (line.startsWith(`${command}: `) ? line.slice(command.length + 2) : []))
    return { ...result, said, refused: refusals(result), words: commands.map((command) => said(command)[0]) }
  }
  const bare = async (...commands: string[]) => {
    const { stdout } = await world.bare(user, shell(...commands))
    const lines = stdout.trimEnd().split('\n')
    return commands.map((command) => lines.find((line) => line.startsWith(`${command}: `))?.slice(command.length + 2))
  }
  /** `allowed` work without a jail and in it; `refused` work without it and fail with `errno` and an event in it. */
  const compare = async (network: Network, allowed: string[], refused: string[], errno = 'EACCES') => {
    const commands = [...allowed, ...refused]
    expect(await bare(...commands), 'the control, without a jail').toEqual(commands.map(() => 'ok'))
    const result = await run(network, commands)
    expect(result.words).toEqual([...allowed.map(() => 'ok'), ...refused.map(() => errno)])
    if (refused.length === 0) expect(result.refused).toEqual([])
    else expect(result.refused.length).toBeGreaterThan(0)
    return result
  }
  const allowsOnly = async (...what: Parameters<typeof compare>): Promise<void> => {
    await compare(...what)
  }

  describe('hosts and ports', () => {
    it('a name with a port', async () => {
      const { refused } = await compare({ allowedHosts: [`${API}:7`] }, [`connect ${API} 7`], [`connect ${API} 1007`])
      expect(refused[0]).toMatchObject({
        action: 'network.refused',
        host: API,
        syscall: 'connect',
        protocol: 'tcp',
        verdict: 'EACCES',
        rule: 'no rule allows this port of the host'
      })
      expect(refused[0]?.commandLine).toContain('shell.py')
    })

    it('allowedPorts hold for hosts without a port', async () => {
      await allowsOnly(
        { allowedHosts: ['v4.example.test', 'v6.example.test:2007'], allowedPorts: [7, 80] },
        ['connect v4.example.test 7', 'connect v4.example.test 80', 'connect v6.example.test 2007'],
        ['connect v4.example.test 1007', 'connect v6.example.test 7']
      )
    })

    it('a host with ports of its own', () =>
      allowsOnly(
        { allowedHosts: [{ host: API, ports: [7, 1007] }] },
        [`connect ${API} 7`, `connect ${API} 1007`],
        [`connect ${API} 2007`]
      ))

    it('addresses', () =>
      allowsOnly(
        { allowedHosts: [LITERAL4, `[${LITERAL6}]:7`] },
        [`connect ${LITERAL4} 7`, `connect ${LITERAL4} 80`, `connect ${LITERAL6} 7`],
        [`connect ${LITERAL6} 80`, 'connect 203.0.113.11 7', 'connect 2001:db8::11 7']
      ))

    it('an IPv4 address is the same in its IPv6 form', () =>
      allowsOnly({ allowedHosts: [LITERAL4] }, [`connect ::ffff:${LITERAL4} 7`], ['connect ::ffff:203.0.113.11 7']))

    it('networks', () =>
      allowsOnly(
        { allowedHosts: ['203.0.113.10/31', '10.0.0.0/8:7', '2001:db8::/64'] },
        ['connect 203.0.113.11 7', 'connect 10.1.2.3 7', 'connect 2001:db8::11 80'],
        ['connect 203.0.113.53 53', 'connect 10.1.2.3 80', 'connect 192.168.7.7 7', 'connect fd00:ec2::254 7']
      ))

    const PRIVATE = ['10.1.2.3', '192.168.7.7', '169.254.169.254', 'fd00:ec2::254']
    it.each([
      ['*', { allowedHosts: ['*'] }],
      ['0.0.0.0/0 and 2000::/3', { allowedHosts: ['0.0.0.0/0', '2000::/3'] }],
      ['denyInternet: false', { denyInternet: false }]
    ] as [string, Network][])('%s is every public host, and no private one', (_, network) =>
      allowsOnly(
        network,
        [`connect ${LITERAL4} 7`, `connect ${LITERAL6} 80`],
        [...PRIVATE, '198.51.100.2', '2001:db8:1::2'].slice(0, 4).map((address) => `connect ${address} 7`)
      )
    )

    it('* resolves every name, and leads to no address of the host itself', async () => {
      const own = ['connect 198.51.100.2 5007', 'connect 2001:db8:1::2 5007']
      const { words, refused } = await run({ allowedHosts: ['*'] }, [`connect ${API} 7`, 'connect www 7', ...own])
      expect(words).toEqual(['ok', 'ok', 'EACCES', 'EACCES'])
      expect(refused).toHaveLength(2)
      expect(await bare(...own)).toEqual(['ECONNREFUSED', 'ECONNREFUSED'])
    })

    it.each([
      ['0.0.0.0', 7],
      ['::', 7],
      ['127.0.0.1', 7],
      ['::1', 7],
      ['::ffff:127.0.0.1', 7],
      ['::ffff:10.1.2.3', 7],
      ['64:ff9b::a01:203', 7],
      ['224.0.0.1', 7],
      ['255.255.255.255', 7],
      ['ff02::1', 7],
      [LITERAL4, 0]
    ])('nothing leads to %s port %d', async (address, port) => {
      const command = `connect ${address} ${port}`
      const { words, refused } = await run({ allowedHosts: ['*'] }, [command, `connect ${API} 7`])
      expect(words).toEqual(['EACCES', 'ok'])
      expect(refused).toHaveLength(1)
    })
  })

  describe('deniedHosts win', () => {
    it('by name, and below a name', async () => {
      const network = { allowedHosts: ['*'], deniedHosts: [API, '*.wild.example.test'] }
      await allowsOnly(
        network,
        ['connect v4.example.test 7', 'connect wild.example.test 7'],
        [`connect ${API} 7`, 'connect x.wild.example.test 7'],
        'NONAME'
      )
    })

    it('by address, whatever the name', () =>
      allowsOnly(
        { allowedHosts: ['v4.example.test', 'v6.example.test'], deniedHosts: ['203.0.113.0/24'] },
        ['connect v6.example.test 7'],
        ['connect v4.example.test 7']
      ))
  })

  describe('refusals', () => {
    it.each(['EACCES', 'ECONNREFUSED', 'ENETUNREACH'] as const)('onDenied: %s', async (onDenied) => {
      const result = await compare(
        { allowedHosts: [API], onDenied },
        [`connect ${API} 7`],
        ['connect 203.0.113.11 7'],
        onDenied
      )
      expect(result.refused[0]?.verdict).toBe(onDenied)
    })

    it('updatable without a rule allows nothing', () =>
      allowsOnly({ updatable: true }, [], [`connect ${LITERAL4} 7`, `connect ${LITERAL6} 80`]))
  })

  describe('the loopback of the host', () => {
    it.each(['127.0.0.1', '::1'])('allowLoopback reaches the listed port at %s', (address) =>
      onHost(user, `listen ${address} 5007`, () =>
        onHost(user, `listen ${address} 5008`, async () => {
          await allowsOnly({ allowLoopback: [5007] }, [`connect ${address} 5007`], [`connect ${address} 5008`])
          await allowsOnly({ allowedHosts: ['*'] }, [], [`connect ${address} 5007`])
        })
      )
    )

    it('localhost:PORT means the same', () =>
      onHost(user, 'listen 127.0.0.1 5009', () =>
        allowsOnly({ allowedHosts: ['localhost:5009'] }, ['connect 127.0.0.1 5009'], [])
      ))
  })

  describe('publish', () => {
    const client = (port: number) => [
      'python3',
      `${world.folder}/clients/shell.py`,
      `connect 127.0.0.1 ${port}`,
      'echo'
    ]

    it.each(['127.0.0.1', '0.0.0.0', '::'])(
      'clients on the host reach a published server that listens on %s',
      async (address) => {
        const commands = [
          `listen ${address} 3000`,
          `listen ${address} 3001`,
          'mark listening',
          'connect 127.0.0.1 3000'
        ]
        const { said, updates } = await run({ publish: [3000] }, commands, {
          steps: [
            { when: 'listening', host: client(3000) },
            { when: 'listening', host: client(3001) },
            // From beside the loopback it is not there.
            {
              when: 'listening',
              host: ['python3', `${world.folder}/clients/shell.py`, 'connect 198.51.100.2 3000'],
              stdin: '\n'
            }
          ]
        })
        expect(said(commands[0] as string)).toEqual(['ok'])
        expect(said(commands[1] as string)).not.toEqual(['ok'])
        expect(updates[0]).toBe('connect 127.0.0.1 3000: ok\necho: ok 1')
        expect(updates[1]).toMatch(/^connect 127\.0\.0\.1 3001: ECONNREFUSED/)
        expect(updates[2]).toMatch(/ECONNREFUSED$/)
        expect(said('connect 127.0.0.1 3000')).toEqual(['ok'])
      }
    )

    it('with a loopback of its own, other ports are inside only', async () => {
      const commands = ['listen 127.0.0.1 3001', 'mark listening', 'connect 127.0.0.1 3001', 'echo']
      const { said, updates } = await run({ publish: [3000], innerLoopback: true }, commands, {
        steps: [{ when: 'listening', host: client(3001), stdin: '\n' }]
      })
      expect(updates[0]).toMatch(/ECONNREFUSED/)
      expect(said('connect 127.0.0.1 3001')).toEqual(['ok'])
      expect(said('echo')).toEqual(['ok 1'])
    })
  })

  describe('UDP', () => {
    it('reaches listed hosts and ports, and nothing else', async () => {
      const allowed = [
        `udp ${LITERAL4} 123`,
        `udp ${LITERAL6} 123`,
        'udp v4.example.test 124',
        'udp v6.example.test 124'
      ]
      const refused = [`udp ${LITERAL4} 124`, 'udp 203.0.113.11 123', 'udp 10.1.2.3 123', `udp ${LITERAL6} 124`]
      const network = {
        udp: [`${LITERAL4}:123`, `[${LITERAL6}]:123`, 'v4.example.test:124', 'v6.example.test:124'],
        allowedHosts: ['shared.example.test']
      }
      expect(await bare(...allowed, ...refused)).toEqual([...allowed, ...refused].map(() => 'ok'))
      // First what is refused: then no name has made these addresses known.
      const result = await run(network, [...refused, ...allowed])
      expect(result.words.slice(refused.length)).toEqual(allowed.map(() => 'ok'))
      for (const word of result.words.slice(0, refused.length)) expect(word).toMatch(/^(E[A-Z]+|timeout)$/)
      expect(result.refused.length).toBeGreaterThanOrEqual(refused.length)
    })

    it('is told apart from TCP where nothing is sent', async () => {
      const [allowed, other] = [`associate ${LITERAL4} 123`, `associate ${LITERAL4} 124`]
      const { refused } = await compare({ udp: [`${LITERAL4}:123`] }, [allowed], [other])
      expect(refused).toEqual([
        expect.objectContaining({ action: 'network.refused', syscall: 'connect', protocol: 'udp' })
      ])
    })

    it('is not allowed by a rule for TCP', async () => {
      const { words, refused } = await run({ allowedHosts: [`${LITERAL4}:123`] }, [`udp ${LITERAL4} 123`])
      expect(words[0]).toMatch(/^(E[A-Z]+|timeout)$/)
      expect(refused.length).toBeGreaterThan(0)
    })
  })

  describe('maxConnections', () => {
    it('counts connections that are open', async () => {
      const one = `connect ${API} 7`
      const commands = [one, one, one, one, 'echo', 'close', one, one]
      const { said, refused } = await run({ allowedHosts: [API], maxConnections: 3 }, commands)
      expect(said(one)).toEqual(['ok', 'ok', 'ok', 'EACCES', 'ok', 'EACCES'])
      expect(said('echo')).toEqual(['ok 3'])
      expect(refused[0]?.rule).toMatch(/maxConnections/)
    })
  })

  describe('live updates', () => {
    const one = `connect ${API} 7`

    it('open and close hosts, and keep what is open', async () => {
      const commands = [one, 'mark first', one, 'mark second', one, 'echo']
      const { said, updates } = await run({ updatable: true }, commands, {
        steps: [
          { when: 'first', network: { allowedHosts: [API] }, stdin: '\n' },
          { when: 'second', network: { allowedHosts: ['v4.example.test:80'] }, stdin: '\n' }
        ]
      })
      expect(updates).toEqual(['ok', 'ok'])
      expect(said(one)).toEqual(['NONAME', 'ok', 'NONAME'])
      expect(said('echo')).toEqual(['ok 1'])
    })

    it('one host more, one less', async () => {
      const commands = ['connect v4.example.test 7', one, 'mark first', one, 'mark second', one]
      const { said, updates } = await run({ allowedHosts: ['v4.example.test'] }, commands, {
        steps: [
          { when: 'first', allow: API, stdin: '\n' },
          { when: 'second', deny: API, stdin: '\n' }
        ]
      })
      expect(updates).toEqual(['ok', 'ok'])
      expect(said(one)).toEqual(['NONAME', 'ok', 'NONAME'])
    })

    it('that are wrong change nothing', async () => {
      const commands = ['mark first', one, 'connect 203.0.113.11 7']
      const { said, updates } = await run({ allowedHosts: [API] }, commands, {
        steps: [
          { when: 'first', network: { allowedHosts: ['203.0.113.11', '0x7f.1'] } },
          { when: 'first', allow: 'not a host', stdin: '\n' }
        ]
      })
      expect(updates).toEqual([expect.stringMatching(/^QI_/), expect.stringMatching(/^QI_/)])
      expect(said(one)).toEqual(['ok'])
      expect(said('connect 203.0.113.11 7')).toEqual(['EACCES'])
    })
  })

  describe('onConnect', () => {
    const one = 'connect v4.example.test 7'

    it('is asked about what no rule names, and decides', async () => {
      const denied = 'connect v6.example.test 7'
      const other = 'connect other.example.test 7' // of its own address: API's is open to whoever is told it
      const { said, asked, refused } = await run({ allowedHosts: [API] }, [`connect ${API} 7`, other, denied], {
        answers: { 'other.example.test': 'once', 'v6.example.test': 'deny' }
      })
      expect(said(`connect ${API} 7`)).toEqual(['ok'])
      expect(said(other)).toEqual(['ok'])
      expect(said(denied)[0]).toMatch(/^(NONAME|NODATA|EACCES)$/)
      expect(asked.map((one) => one.host)).not.toContain(API)
      const about = asked.filter((one) => one.host === 'other.example.test')
      expect(about.map((one) => one.port)).toEqual([undefined, 7]) // the lookup, then the connection
      expect(refused.some((one) => one.host === 'v6.example.test')).toBe(true)
    })

    it('is asked about addresses, with the process', async () => {
      const { said, asked } = await run({ allowedHosts: [API] }, [`connect ${LITERAL4} 7`], {
        answers: { [LITERAL4]: 'session' }
      })
      expect(said(`connect ${LITERAL4} 7`)).toEqual(['ok'])
      expect(asked[0]).toMatchObject({ host: LITERAL4, address: LITERAL4, port: 7 })
      expect(String(asked[0]?.commandLine)).toContain('shell.py')
    })

    it('session: is not asked again; always: says what to write', async () => {
      const { said, asked, decided } = await run({ allowedHosts: [API] }, [one, one, one], {
        answers: { 'v4.example.test': 'always' }
      })
      expect(said(one)).toEqual(['ok', 'ok', 'ok'])
      const questions = asked.map((one) => `${one.host} ${one.port}`)
      expect(new Set(questions).size).toBe(questions.length)
      expect(decided.some((one) => String(one.policy).includes('v4.example.test'))).toBe(true)
    })

    it('no answer in time denies', async () => {
      const { said, refused } = await run({ allowedHosts: [API] }, [`connect ${LITERAL4} 7`, `connect ${API} 7`], {
        answers: { [LITERAL4]: 'never' },
        askTimeout: 500
      })
      expect(said(`connect ${LITERAL4} 7`)).toEqual(['EACCES'])
      expect(said(`connect ${API} 7`)).toEqual(['ok'])
      expect(refused).toHaveLength(1)
    })
  })

  describe('inspect', () => {
    const curl = (...args: string[]) => ['curl', '-sS', '-m', '30', ...args]
    const network: Network = {
      allowedHosts: [
        { host: API, inspect: 'sni', ports: [443] },
        { host: 'v4.example.test', inspect: 'sni', ports: [80] }
      ]
    }
    const both = async (argv: string[]) => {
      const control = await world.bare(user, argv)
      const result = await world.jailed(user, { config: configOf(world, network), argv })
      return { control: control.stdout, jailed: result.stdout, refused: refusals(result) }
    }

    it.each([
      ['TLS with the allowed name', [`https://${API}/`]],
      ['HTTP with the allowed name', ['http://v4.example.test/']]
    ])('%s passes', async (_, args) => {
      const { control, jailed, refused } = await both(curl(...args))
      for (const said of [control, jailed]) expect(said).toMatch(/^ok /)
      expect(refused).toEqual([])
    })

    it.each([
      [
        'TLS',
        ['--connect-to', `other.example.test:443:${API}:443`, 'https://other.example.test/'],
        'other.example.test'
      ],
      ['HTTP', ['-H', 'Host: other.example.test', 'http://v4.example.test/'], 'other.example.test']
    ])('%s with another name is refused', async (_, args, claimed) => {
      const { control, jailed, refused } = await both(curl(...args))
      expect(control).toMatch(/^ok /)
      expect(jailed).toBe('')
      expect(refused).toContainEqual(expect.objectContaining({ action: 'network.refused', claimedHost: claimed }))
    })

    it('bytes that name nobody are refused', async () => {
      const argv = ['bash', '-c', `exec 3<>/dev/tcp/v4.example.test/80; printf 'hello\\r\\n\\r\\n' >&3; head -c 12 <&3`]
      const { control, jailed, refused } = await both(argv)
      expect(control).toMatch(/^HTTP\/1\.1 400/)
      expect(jailed).toBe('')
      expect(refused.length).toBeGreaterThan(0)
    })
  })
})
