import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, expect, test } from 'vitest'
import { spawnSandboxed } from '../../src/index.js'
import { LineSplitter } from '../../src/launch/lines.js'
import { SandboxedStdioTransport } from '../../src/mcp/transport.js'

const scratch = mkdtempSync('/var/tmp/qi-hostile-')
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

function running(mark: string): number {
  const holds = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`\0${mark}`)
    } catch {
      return false
    }
  }
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && holds(pid)).length
}

test('close while the server starts leaves none behind', async () => {
  for (const delayMs of [undefined, 0, 1, 3]) {
    const mark = `9${Math.random().toString().slice(2)}`
    const transport = new SandboxedStdioTransport({ command: 'sleep', args: [mark], stderr: 'ignore' })
    const start = transport.start().then(
      () => 'started',
      (error) => error.code
    )
    if (delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, delayMs))
    const early = transport.jail === undefined
    await transport.close()
    if (early) expect(await start).not.toBe('started')
    expect(running(mark)).toBe(0)
  }
  const mark = `9${Math.random().toString().slice(2)}`
  const transport = new SandboxedStdioTransport({ command: 'sleep', args: [mark], stderr: 'ignore' })
  await transport.close() // before the start: there is nothing to close
  await transport.start()
  expect(running(mark)).toBeGreaterThan(0)
  await transport.close()
  expect(running(mark)).toBe(0)
})

test('a server that reads slowly leaves no listener per message', async () => {
  const transport = new SandboxedStdioTransport({ command: 'sh', args: ['-c', 'sleep 0.3; exec cat >/dev/null'] })
  await transport.start()
  const listeners = () => transport.jail?.stdin?.listenerCount('close') ?? -1
  const before = listeners()
  const sent = Array.from({ length: 50 }, () => transport.send({ jsonrpc: '2.0', text: 'x'.repeat(100_000) }))
  await Promise.all(sent)
  expect(listeners()).toBe(before)
  await transport.close()
})

test('a line that comes byte by byte costs its bytes', () => {
  const splitter = new LineSplitter(10_000_000)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
  }
  const before = used()
  for (let i = 0; i < 500_000; i++) for (const line of splitter.push(Buffer.from('x'))) expect(line).toBe('never')
  expect(used() - before).toBeLessThan(15_000_000)
  expect([...splitter.push(Buffer.from('\n'))][0]).toHaveLength(500_000)
})

// A qi-monitor that was taken over.
const lying = (name: string, says: string): string => {
  const file = `${scratch}/${name}`
  writeFileSync(file, `#!/bin/sh\n${says}\nread end <&4\n`, { mode: 0o755 })
  return file
}
const say = (...lines: string[]) => lines.map((line) => `printf '%s\\n' '${line}' >&4`).join('\n')

test.each<[string, string]>([
  ['null', say('null')],
  ['no-json', say('{')],
  ['list', say('[]')],
  ['prototype', say('{"__proto__":{"type":"event"}}')],
  ['no-event', say('{"type":"event"}')],
  ['empty-event', say('{"type":"event","event":{"event":1}}')],
  ['no-detail', say('{"type":"failed","step":1,"errno":1}')],
  ['endless', '/usr/bin/head -c 9000000 /dev/zero >&4']
])('a qi-monitor that says %s ends its jail, not the host', async (name, says) => {
  const launch = spawnSandboxed({}, ['true'], { monitor: lying(name, says) })
  await expect(launch).rejects.toMatchObject({ code: 'QI_MONITOR_LOST' })
})

test('a qi-monitor that says what it should is believed', async () => {
  const exit = '{"type":"exit","code":7,"reason":"exit","refusals":0,"lost":0}'
  const monitor = lying('good', `${say('{"type":"started","pid":1,"init":1}', exit)}\nexit 0`)
  const jail = await spawnSandboxed({}, ['true'], { monitor })
  expect(await jail.exited).toMatchObject({ code: 7 })
})
