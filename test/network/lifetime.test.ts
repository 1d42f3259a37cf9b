import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import { type AuditLog, spawnSandboxed } from '../../src/index.js'
import { victim } from '../launch/driver.js'
import { left, monitors, tree } from '../launch/processes.js'
import { requireHosts } from '../support/kernel.js'

beforeEach(requireHosts)

const status = (pid: number, field: string): string =>
  new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''

/** A jail with an allow-list whose payload waits: qi-monitor, its gateway and pid 1 as seen from outside. */
async function waiting() {
  const before = new Set(monitors().map((one) => one.pid))
  const config = { network: { allowedHosts: ['api.example.test:443'] } }
  const jail = await spawnSandboxed(config, [victim, 'pause', '0', randomUUID()])
  const events: AuditLog[] = []
  jail.on('event', (event) => events.push(event))
  await once(jail.stdout as NodeJS.ReadableStream, 'data')
  const monitor = monitors().find((one) => !before.has(one.pid))?.pid ?? 0
  const all = tree(monitor)
  const children = all.filter((one) => one.parent === monitor).map((one) => one.pid)
  // pid 1 has a pid namespace of its own, and children in it.
  const init = children.find((pid) => status(pid, 'NSpid').split('\t').length > 1) ?? 0
  const gateway = children.find((pid) => pid !== init) ?? 0
  expect([all.length, children.length]).toEqual([4, 2])
  return { jail, all, monitor, init, gateway, events }
}

describe('the gateway', () => {
  it('is confined, and holds nothing of the launch', async () => {
    const { jail, gateway, monitor } = await waiting()
    expect(status(gateway, 'Seccomp')).toBe('2')
    expect(status(gateway, 'NoNewPrivs')).toBe('1')
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(BigInt(`0x${status(gateway, set)}`)).toBe(0n)
    if (process.getuid?.() === 0) {
      expect(status(gateway, 'Uid').split('\t')).not.toContain('0')
      expect(readlinkSync(`/proc/${gateway}/ns/net`)).toBe(readlinkSync(`/proc/${monitor}/ns/net`))
      expect(readFileSync(`/proc/${gateway}/maps`, 'utf8')).not.toContain('memfd:') // the plan, with the environment
      expect(readFileSync(`/proc/${monitor}/maps`, 'utf8')).toContain('memfd:')
      expect(readlinkSync(`/proc/${gateway}/fd/0`)).toBe('/dev/null')
    }
    jail.kill('SIGKILL')
    await jail.exited
  })

  it('takes the jail with it when it dies, which is an event', async () => {
    const { jail, all, gateway, events } = await waiting()
    process.kill(gateway, 'SIGKILL')
    expect(await jail.exited).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(await left(all)).toEqual([])
    expect(events.map(({ event }) => event.action)).toContain('gateway.lost')
  })

  it('ends with qi-monitor, however that ends', async () => {
    const { jail, all, monitor } = await waiting()
    process.kill(monitor, 'SIGKILL')
    expect(await jail.exited).toMatchObject({ terminationReason: 'monitor-lost' })
    expect(await left(all)).toEqual([])
  })

  it('ends with the payload', async () => {
    const { jail, all } = await waiting()
    process.kill(jail.pid, 'SIGTERM')
    expect(await jail.exited).toMatchObject({ signal: 'SIGTERM' })
    expect(await left(all)).toEqual([])
  })
})

/** Asks for evil.example and keeps the socket, as resolvers do that ask again. */
const ASKER = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.1", 53))
s.send(bytes.fromhex("000101000001000000000000046576696c076578616d706c650000010001"))
print(s.recv(512)[3] & 15, flush=True)
time.sleep(60)
`

describe('a refused lookup', () => {
  it('is told with the process that asked', async () => {
    const jail = await spawnSandboxed({ network: { allowedHosts: ['api.example.test'] } }, ['python3', '-c', ASKER])
    const [event, [rcode]] = await Promise.all([
      (async () => {
        for await (const one of jail.events()) if (one.event.action === 'dns.refused') return one
        return undefined
      })(),
      once(jail.stdout as NodeJS.ReadableStream, 'data')
    ])
    expect(String(rcode)).toBe('3\n') // NXDOMAIN
    expect(event?.context.parameters).toMatchObject({ host: 'evil.example', recordType: 'A', comm: 'python3' })
    jail.kill('SIGKILL')
    await jail.exited
  })
})
