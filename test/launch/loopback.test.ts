import { describe, expect, it } from 'vitest'
import { drained, spawnSandboxed } from '../../src/index.js'

/** Listens on every address, or on the one given, connects to itself and says what came over. */
const SCRIPT = `
  const net = require('node:net')
  const server = net.createServer((socket) => socket.end('through'))
  server.on('error', (error) => console.log(error.code))
  server.listen({ port: 0, host: process.argv[1] || undefined }, () => {
    net.connect(server.address().port, process.argv[1] || 'localhost')
      .on('data', (data) => { console.log(String(data)); process.exit() })
      .on('error', (error) => { console.log(error.code); process.exit() })
  })`

async function talk(innerLoopback: boolean, host: string) {
  const argv = [process.execPath, '-e', SCRIPT, host]
  const jail = await spawnSandboxed({ network: { innerLoopback } }, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  jail.stdout?.on('data', (chunk) => {
    said += chunk
  })
  await Promise.all([drained(jail), jail.exited])
  const refused = []
  for await (const { event, context } of jail.events()) {
    if (event.action === 'network.refused') refused.push(context.parameters?.rule)
  }
  return { said: said.trim(), refused }
}

describe.each(['', '127.0.0.1', '::1', '0.0.0.0'])('a server inside that listens on "%s"', (host) => {
  it('is reached from inside with innerLoopback', async () => {
    expect(await talk(true, host)).toEqual({ said: 'through', refused: [] })
  })

  it('cannot even listen in strict, and that is an event', async () => {
    const { said, refused } = await talk(false, host)
    expect(said).toBe('EACCES')
    expect(refused).toContain("no network, not even the jail's own loopback")
  })
})
