import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuditLog, type SandboxConfig, spawnSandboxed } from '../../src/index.js'
import { ACT, call, chain } from './support.js'

const [UNSPEC, INET, STREAM] = [0, 2, 1]
const FOREIGN = /not of the jail's own network/
const fdOf = (socket: Socket | Datagrams | Server): number =>
  (socket as unknown as { _handle: { fd: number } })._handle.fd

/** sockaddr_in of the loopback. */
function loopback(port: number): string {
  const bytes = Buffer.from([INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  bytes.writeUInt16BE(port, 2)
  return `b:${bytes.toString('hex')}`
}
const NO_FAMILY = `b:${Buffer.alloc(16, UNSPEC).toString('hex')}`

async function run(stdin: number, argv: string[], config: SandboxConfig = {}) {
  const jail = await spawnSandboxed(config, argv, { stdio: [stdin, 'pipe', 'inherit'] })
  const events = (async () => {
    const all: AuditLog[] = []
    for await (const event of jail.events()) all.push(event)
    return all
  })()
  const [stdout] = await Promise.all([jail.stdout ? text(jail.stdout) : '', jail.exited])
  const refusal = (await events).find(({ event }) => event.action.endsWith('.refused'))?.context.parameters
  return { line: stdout.trim(), refusal: refusal as Record<string, unknown> | undefined }
}

// As inetd(8) and socat(1) give it: the network is the host's, whatever the jail has.
describe('a connection of the host as standard input', () => {
  let service: Server
  let port = 0
  let reached = 0
  const open: Socket[] = []

  beforeAll(async () => {
    service = createServer({ pauseOnConnect: true }, () => reached++)
    await once(service.listen(0, '127.0.0.1'), 'listening')
    port = (service.address() as AddressInfo).port
  })
  afterAll(() => {
    for (const socket of open) socket.destroy()
    service.close()
  })

  /** Both ends of a new one. */
  async function connection(): Promise<{ inside: Socket; outside: Socket }> {
    const accepted = once(service, 'connection')
    const outside = connect(port, '127.0.0.1').on('error', () => {}) // dissolved by what is tried here
    const [inside] = (await accepted) as [Socket]
    open.push(inside, outside)
    return { inside, outside }
  }
  async function attempt(words: string[], config: SandboxConfig = {}) {
    const { inside } = await connection()
    reached = 0
    return { ...(await run(fdOf(inside), [ACT, 'call', ...words], config)), reached }
  }
  const ACTS: [name: string, words: () => string[]][] = [
    ['connected anew', () => call('connect', 0, loopback(port), 16)],
    ['dissolved', () => call('connect', 0, NO_FAMILY, 16)],
    ['made to listen', () => call('listen', 0, 5)],
    ['bound', () => call('bind', 0, loopback(0), 16)],
    ['bound to any', () => call('bind', 0, NO_FAMILY, 16)]
  ]
  const CONFIGS: [name: string, config: SandboxConfig][] = [
    ['no network', {}],
    ['a loopback of its own', { network: { innerLoopback: true } }]
  ]

  describe.each(CONFIGS)('with %s', (_, config) => {
    it.each(ACTS)('is not %s', async (_, words) => {
      const { line, refusal, reached } = await attempt(words(), config)
      expect(line).toBe('EACCES')
      expect(refusal?.rule).toMatch(/not of the jail's own network|^no network/)
      expect(reached).toBe(0)
    })
  })

  it('is the host’s to connect where the network is shared: the control', async () => {
    const words = chain(call('connect', 0, NO_FAMILY, 16), call('connect', 0, loopback(port), 16))
    const { line } = await attempt(words, { network: { dangerouslyShareHostNetwork: true } })
    expect(line).toMatch(/^(OK 0|EINPROGRESS)/) // as Node makes them, it does not block
    await expect.poll(() => reached).toBe(1)
  })

  it('is not routed by way of another host', async () => {
    const looseSourceRoute = call('setsockopt', 0, 0, 4, 'b:83070408080808', 7)
    expect(await attempt(looseSourceRoute)).toMatchObject({ line: 'EPERM', refusal: { rule: 'socket-options' } })
    expect((await attempt(call('setsockopt', 0, 6, 1, 'b:01000000', 4))).line).toBe('OK 0') // TCP_NODELAY
  })

  it('is read and written', async () => {
    const { inside, outside } = await connection()
    await new Promise((sent) => outside.write('ping', sent))
    const answer = once(outside, 'data') as Promise<[Buffer]>
    const words = chain(call('read', 0, 'z:4', 4), call('write', 0, 's:pong', 4))
    expect(await run(fdOf(inside), [ACT, 'call', ...words])).toMatchObject({ line: 'OK 4', refusal: undefined })
    expect(`${(await answer)[0]}`).toBe('pong')
  })

  it('does not hinder sockets of the jail’s own', async () => {
    const words = chain(
      call('socket', INET, STREAM, 0),
      call('bind', '$0', loopback(4321), 16),
      call('listen', '$0', 1),
      call('socket', INET, STREAM, 0),
      call('connect', '$3', loopback(4321), 16),
      call('connect', '$3', NO_FAMILY, 16)
    )
    expect((await attempt(words, { network: { innerLoopback: true } })).line).toBe('OK 0')
  })

  it('is refused with a word on why', async () => {
    const { refusal } = await attempt(call('connect', 0, NO_FAMILY, 16))
    expect(refusal).toMatchObject({ syscall: 'connect', rule: expect.stringMatching(FOREIGN) })
  })
})

describe('a socket of the host that is no connection, as standard input', () => {
  it('ends the launch: datagrams', async () => {
    const datagrams = createSocket('udp4')
    await new Promise<void>((done) => datagrams.bind(0, '127.0.0.1', done))
    try {
      const spawned = run(fdOf(datagrams), [ACT, 'descriptors'])
      await expect(spawned).rejects.toThrow(/standard stream 0.*no open connection/s)
      const shared = await run(fdOf(datagrams), [ACT, 'descriptors'], {
        network: { dangerouslyShareHostNetwork: true }
      })
      expect(shared.line).toBe('OK 0 1 2')
    } finally {
      datagrams.close()
    }
  })

  it('ends the launch: a listener', async () => {
    const listener = createServer()
    await once(listener.listen(0, '127.0.0.1'), 'listening')
    try {
      await expect(run(fdOf(listener), [ACT, 'descriptors'])).rejects.toThrow(/standard stream 0.*no open connection/s)
    } finally {
      listener.close()
    }
  })
})
