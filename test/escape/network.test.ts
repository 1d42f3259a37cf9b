import { chmodSync, mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import { ACT, bare, call, chain, jailed, scratch, type User, users } from './support.js'
import { BARE, type Control, escapes, otherwise, type Row, refused } from './table.js'

const [UNIX, INET, INET6] = [1, 2, 10]
const [STREAM, DGRAM, RAW] = [1, 2, 3]
const FAMILIES = 'socket-families'
const inLoopbackJail = { config: () => ({ network: { innerLoopback: true } }) }

function inet(address: string, port: number): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(INET, 0)
  bytes.writeUInt16BE(port, 2)
  for (const [i, part] of address.split('.').entries()) bytes.writeUInt8(Number(part), 4 + i)
  return bytes.toString('hex')
}
function inet6(groups: number[], port: number): string {
  const bytes = Buffer.alloc(28)
  bytes.writeUInt16LE(INET6, 0)
  bytes.writeUInt16BE(port, 2)
  for (const [i, group] of groups.entries()) bytes.writeUInt16BE(group, 8 + i * 2)
  return bytes.toString('hex')
}
const local = (path: string) => `0100${Buffer.from(`${path}\0`).toString('hex')}`
const socket = (family: number, type: number) => call('socket', family, type, 0)
const connecting = (family: number, address: string, length: string | number = 'len') =>
  chain(socket(family, STREAM), call('connect', '$0', `b:${address}`, length))

/** Port 1 of the jail's own loopback: refused by nobody listening, so the call itself was let through. */
const loopback: Control = {
  where: 'jail',
  ...inLoopbackJail,
  act: ['call', ...connecting(INET, inet('127.0.0.1', 1))],
  expect: /^ECONNREFUSED/
}

const noConnect = (name: string, family: number, address: string, decoded: Record<string, unknown>): Row => ({
  name: `connect to ${name}`,
  act: ['call', ...connecting(family, address)],
  expect: 'EACCES #1',
  event: { syscall: 'connect', rule: /^no network/, args: { sockfd: 3, address: decoded } },
  control: loopback
})

escapes('network', [
  ...['203.0.113.7', '10.1.2.3', '192.168.1.1', '169.254.169.254', '8.8.8.8', '0.0.0.0'].map((address) =>
    noConnect(address, INET, inet(address, 80), { family: 'AF_INET', address, port: 80 })
  ),
  noConnect('an IPv6 host', INET6, inet6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 443), {
    family: 'AF_INET6',
    address: '2001:db8::1',
    port: 443
  }),
  noConnect('an address mapped into IPv6', INET6, inet6([0, 0, 0, 0, 0, 0xffff, 0x0a01, 0x0203], 80), {
    address: '::ffff:10.1.2.3'
  }),
  noConnect('the resolver', INET, inet('127.0.0.1', 53), { address: '127.0.0.1', port: 53 }),
  {
    name: 'UDP by connect',
    act: ['call', ...chain(socket(INET, DGRAM), call('connect', '$0', `b:${inet('203.0.113.7', 53)}`, 'len'))],
    expect: 'EACCES #1',
    event: { syscall: 'connect', rule: 'no network', args: { address: { address: '203.0.113.7' } } },
    control: loopback
  },
  {
    name: 'UDP by sendto',
    act: ['call', ...chain(socket(INET, DGRAM), call('sendto', '$0', 's:x', 1, 0, `b:${inet('203.0.113.7', 53)}`, 16))],
    expect: 'EACCES #1',
    event: { syscall: 'sendto', rule: 'no network', args: { address: { address: '203.0.113.7', port: 53 } } },
    control: {
      where: 'jail',
      ...inLoopbackJail,
      act: ['call', ...chain(socket(INET, DGRAM), call('sendto', '$0', 's:x', 1, 0, `b:${inet('127.0.0.1', 9)}`, 16))]
    }
  },
  {
    name: 'UDP by sendmsg',
    act: [
      'call',
      ...chain(socket(INET, DGRAM), call('sendmsg', '$0', `p:&${inet('203.0.113.7', 53)},16,0,0,0,0,0`, 0))
    ],
    expect: /^(ENETUNREACH|EPERM|EACCES) #1/,
    by: 'the network namespace: it has no route',
    control: {
      where: 'jail',
      ...inLoopbackJail,
      act: ['call', ...chain(socket(INET, DGRAM), call('sendmsg', '$0', `p:&${inet('127.0.0.1', 9)},16,0,0,0,0,0`, 0))]
    }
  },
  ...(['sendto', 'sendmsg', 'sendmmsg'] as const).map((name): Row => {
    const fast = 0x20000000
    const header = `p:&${inet('203.0.113.7', 80)},16,0,0,0,0,0,0`
    const act = {
      sendto: call('sendto', '$0', 's:x', 1, fast, `b:${inet('203.0.113.7', 80)}`, 16),
      sendmsg: call('sendmsg', '$0', header, fast),
      sendmmsg: call('sendmmsg', '$0', header, 1, fast)
    }[name]
    return {
      name: `${name} MSG_FASTOPEN`,
      act: ['call', ...chain(socket(INET, STREAM), act)],
      expect: /^E(PERM|ACCES) #1$/,
      event: { syscall: name, rule: /^send-/, args: { flags: 'MSG_FASTOPEN' } },
      control: loopback
    }
  }),
  refused('socket', [16, RAW, 9], FAMILIES, BARE, { domain: 'AF_NETLINK', type: 'SOCK_RAW', protocol: 9 }), // AUDIT
  refused('socket', [16, RAW, 12], FAMILIES, otherwise(/^(OK|EPROTONOSUPPORT)/), {
    domain: 'AF_NETLINK',
    protocol: 12
  }), // NETFILTER
  refused('socket', [16, RAW, 15], FAMILIES, BARE, { protocol: 15 }), // KOBJECT_UEVENT
  refused(
    'socket',
    [17, RAW, 0x0300],
    FAMILIES,
    { where: 'private', expect: /^(OK|EAFNOSUPPORT)/ },
    { domain: 'AF_PACKET' }
  ),
  refused('socket', [38, 5, 0], FAMILIES, otherwise(/^(OK|EAFNOSUPPORT)/), { domain: 'AF_ALG' }),
  refused('socket', [40, STREAM, 0], FAMILIES, otherwise(/^(OK|EAFNOSUPPORT|ENODEV)/), { domain: 'AF_VSOCK' }),
  refused('socket', [44, RAW, 0], FAMILIES, otherwise(/^(OK|EAFNOSUPPORT|EPERM)/), { domain: 'AF_XDP' }),
  refused('socket', [31, RAW, 1], FAMILIES, otherwise(/^(OK|E)/), { domain: 'AF_BLUETOOTH' }),
  refused('socket', [INET, RAW, 1], FAMILIES, { where: 'private' }, { domain: 'AF_INET', type: 'SOCK_RAW' }),
  refused('socket', [INET6, RAW, 58], FAMILIES, { where: 'private' }, { domain: 'AF_INET6', type: 'SOCK_RAW' }),
  refused('socket', [INET, DGRAM, 1], FAMILIES, otherwise(/^(OK|EACCES)/), { type: 'SOCK_DGRAM' }), // ping
  refused('socket', [INET, STREAM, 262], FAMILIES, otherwise(/^(OK|EPROTONOSUPPORT)/), { protocol: 262 }), // MPTCP
  refused('socket', [UNIX, DGRAM, 0], FAMILIES, BARE, { domain: 'AF_UNIX', type: 'SOCK_DGRAM' }),
  refused('socket', [UNIX, RAW, 0], FAMILIES, BARE, { type: 'SOCK_RAW' }),
  refused('socket', ['0x700000010', RAW, 9], FAMILIES, BARE, { domain: 'AF_NETLINK' }),
  refused('socketpair', [UNIX, DGRAM, 0, 'z:8'], FAMILIES, BARE, { domain: 'AF_UNIX' })
])

// An address that cannot be read, is too long, or lies about its length is refused as the kernel would.
const lying = (name: string, address: string | number, length: string | number, expected: RegExp): Row => ({
  name,
  act: ['call', ...chain(socket(INET, STREAM), call('connect', '$0', address, length))],
  expect: expected,
  event: { syscall: 'connect', rule: /connect|no network/ },
  control: { where: 'bare', expect: expected }
})
escapes('addresses that lie', [
  lying('unmapped', '0xdead000', 16, /^EFAULT #1/),
  lying('kernel memory', '0xffffffff81000000', 16, /^EFAULT #1/),
  lying('longer than any', 'z:256', 4096, /^E(INVAL|FAULT) #1/),
  lying('a negative length', 'z:256', -1, /^E(INVAL|FAULT) #1/),
  lying('no address', 0, 16, /^E(INVAL|FAULT|AFNOSUPPORT) #1/)
])

describe.each(users)('services of the host, launched by %s', (user: User) => {
  let tcp: Server
  let named: Server
  let abstract: Server
  let reached = 0
  let folder = ''
  let port = 0
  const listen = (where: string | number) =>
    new Promise<Server>((resolve, reject) => {
      const server = createServer((peer) => {
        reached++
        peer.destroy()
      })
      const options = typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where }
      server.once('error', reject).listen(options, () => resolve(server))
    })
  const abstractName = `qi-escape-${process.pid}-${user}`
  const abstractHex = `010000${Buffer.from(abstractName).toString('hex')}`

  beforeAll(async () => {
    folder = scratch(user)
    mkdirSync(`${folder}/sub`)
    tcp = await listen(0)
    port = (tcp.address() as { port: number }).port
    named = await listen(`${folder}/s`)
    abstract = await listen(`\0${abstractName}`)
    chmodSync(`${folder}/s`, 0o777)
  })
  afterAll(() => {
    for (const server of [tcp, named, abstract]) server?.close()
  })
  const attempt = async (words: string[], config = {}) => {
    const result = await jailed(user, { argv: [ACT, 'call', ...words], config })
    return { line: result.stdout.trim(), event: result.events.find((e) => e.event.action.endsWith('.refused')) }
  }

  it('a port of its loopback cannot be reached', async () => {
    const words = connecting(INET, inet('127.0.0.1', port))
    expect((await attempt(words)).line).toBe('EACCES #1')
    // With a loopback of its own in the jail, nobody listens there.
    expect((await attempt(words, inLoopbackJail.config())).line).toBe('ECONNREFUSED #1')
    expect(reached).toBe(0)
    expect(bare([ACT, 'call', ...words])).toBe('OK 0')
    await expect.poll(() => reached).toBe(1)
  })

  it.each(['readOnlyPaths', 'allowedPaths'])('a named socket in %s cannot be reached', async (kind) => {
    reached = 0
    const config: SandboxConfig = { filesystem: { [kind]: [folder] } }
    const ways = [
      connecting(UNIX, local(`${folder}/s`)),
      chain(call('chdir', `s:${folder}/sub`), socket(UNIX, STREAM), call('connect', '$1', `b:${local('../s')}`, 'len')),
      chain(
        call('symlinkat', `s:${folder}/s`, -100, 's:/tmp/l'),
        socket(UNIX, STREAM),
        call('connect', '$1', `b:${local('/tmp/l')}`, 'len')
      )
    ]
    for (const words of ways) {
      const { line, event } = await attempt(words, config)
      expect(line).toMatch(/^EACCES #\d$/)
      expect(event?.context.parameters).toMatchObject({
        syscall: 'connect',
        rule: 'named sockets of programs outside the jail'
      })
    }
    // Paths that qi-monitor does not follow lead nowhere.
    const odd = chain(
      call('chdir', `s:${folder}`),
      socket(UNIX, STREAM),
      call('connect', '$1', `b:${local('/proc/self/cwd/s')}`, 'len')
    )
    expect((await attempt(odd, config)).line).toMatch(/^(ENOENT|ELOOP|EACCES) #2/)
    expect(reached).toBe(0)
    expect(bare([ACT, 'call', ...(ways[0] as string[])])).toBe('OK 0')
    await expect.poll(() => reached).toBe(1)
  })

  it('an abstract socket cannot be reached', async () => {
    reached = 0
    // How much of the name counts depends on the Node that listens: the control finds out.
    const ways = [abstractHex, abstractHex.padEnd(220, '0')].map((address) => connecting(UNIX, address))
    const words = ways.find((way) => bare([ACT, 'call', ...way]) === 'OK 0')
    if (!words) throw new Error('the control cannot reach the socket')
    await expect.poll(() => reached).toBe(1)
    expect((await attempt(words)).line).toBe('ECONNREFUSED #1') // the namespace has none of that name
    const shared = await attempt(words, { network: { dangerouslyShareHostNetwork: true } })
    expect(shared.line).toBe('EACCES #1')
    expect(shared.event?.context.parameters).toMatchObject({ rule: 'abstract sockets of the host' })
    expect(reached).toBe(1)
  })

  it('its interfaces are not told of: a standard stream is often one of its sockets', async () => {
    const flagsOfLo = `b:${'6c6f'.padEnd(80, '0')}`
    const words = chain(socket(INET, DGRAM), call('ioctl', '$0', 0x8913, flagsOfLo)) // SIOCGIFFLAGS
    expect(bare([ACT, 'call', ...words])).toBe('OK 0')
    const { line, event } = await attempt(words)
    expect(line).toBe('EPERM #1')
    expect(event?.context.parameters).toMatchObject({ syscall: 'ioctl', rule: 'ioctl' })
    const shared = await attempt(words, { network: { dangerouslyShareHostNetwork: true } })
    expect(shared.line).toBe('OK 0')
  })

  it('sockets of its own work', async () => {
    const own = (address: string) =>
      chain(
        socket(UNIX, STREAM),
        call('bind', '$0', `b:${address}`, 'len'),
        call('listen', '$0', 1),
        socket(UNIX, STREAM),
        call('connect', '$3', `b:${address}`, 'len')
      )
    expect((await attempt(own(local('/tmp/own')))).line).toBe('OK 0')
    expect((await attempt(own(abstractHex))).line).toBe('OK 0')
    const tcpOwn = chain(
      socket(INET, STREAM),
      call('bind', '$0', `b:${inet('127.0.0.1', 4321)}`, 'len'),
      call('listen', '$0', 1),
      socket(INET, STREAM),
      call('connect', '$3', `b:${inet('127.0.0.1', 4321)}`, 'len')
    )
    expect((await attempt(tcpOwn, inLoopbackJail.config())).line).toBe('OK 0')
  })
})
