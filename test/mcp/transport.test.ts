import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { expect, onTestFinished, test } from 'vitest'
import { LineSplitter } from '../../src/launch/lines.js'
import { type RpcMessage, type SandboxedServerParameters, SandboxedStdioTransport } from '../../src/mcp/transport.js'

/** A server that is a shell script, and all that came of it. */
async function open(script: string, more: Partial<SandboxedServerParameters> = {}) {
  const transport = new SandboxedStdioTransport({ command: 'sh', args: ['-c', script], stderr: 'ignore', ...more })
  const messages: RpcMessage[] = []
  const errors: Error[] = []
  let closes = 0
  transport.onmessage = (message) => messages.push(message)
  transport.onerror = (error) => errors.push(error)
  const closed = new Promise<void>((resolve) => {
    transport.onclose = () => {
      closes++
      resolve()
    }
  })
  onTestFinished(() => transport.close())
  await transport.start()
  return { transport, messages, errors, closed, closes: () => closes }
}

test('is the SDK’s Transport', () => {
  const transport: Transport = new SandboxedStdioTransport({ command: 'true' })
  expect(transport).toBeDefined()
})

test('sends and receives messages, however they are cut', async () => {
  const { transport, messages, errors, closed } = await open('cat')
  const sent = [1, 2, 3].map((id) => ({ jsonrpc: '2.0' as const, id, method: 'é'.repeat(id * 50_000) }))
  for (const message of sent) await transport.send(message)
  await transport.close()
  await closed
  expect(messages).toEqual(sent)
  expect(errors).toEqual([])
})

test('reports what is no message and goes on', async () => {
  const good = '{"jsonrpc":"2.0","id":1,"result":{}}'
  const { messages, errors, closed } = await open(`printf 'starting\\n[1]\\n\\n${good}\\r\\n${good}'`)
  await closed
  expect(messages).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }])
  expect(errors.map(({ name }) => name)).toEqual(['SyntaxError', 'QiError'])
})

test('a message beyond the maximum ends the connection', async () => {
  const { errors, closed, transport } = await open('while :; do printf xxxxxxxxxxxxxxxx; done', { maxBufferSize: 1000 })
  await closed
  expect(errors).toHaveLength(1)
  expect(errors[0]).toBeInstanceOf(RangeError)
  expect(await transport.jail?.exited).toMatchObject({ code: null })
})

test('stderr is there before the start, with pipe', async () => {
  const transport = new SandboxedStdioTransport({ command: 'sh', args: ['-c', 'echo early >&2'], stderr: 'pipe' })
  let text = ''
  transport.stderr?.on('data', (chunk) => {
    text += chunk
  })
  const closed = new Promise<void>((resolve) => {
    transport.onclose = resolve
  })
  expect(transport.pid).toBe(null)
  await transport.start()
  await closed
  await new Promise((resolve) => setImmediate(resolve))
  expect(text).toBe('early\n')
})

test('close ends a server that minds neither end of input nor SIGTERM, once', async () => {
  const { transport, closes } = await open(`trap '' TERM; while :; do sleep 1; done`)
  expect(transport.pid).toBeGreaterThan(0)
  await Promise.all([transport.close(), transport.close()])
  expect(await transport.jail?.exited).toMatchObject({ signal: 'SIGKILL' })
  expect(closes()).toBe(1)
})

test('a server that cannot start rejects with its code; sending to none, too', async () => {
  const transport = new SandboxedStdioTransport({ command: 'no-such-server' })
  await expect(transport.start()).rejects.toMatchObject({ code: 'QI_COMMAND_NOT_FOUND' })
  await expect(transport.send({ jsonrpc: '2.0', method: 'ping' })).rejects.toMatchObject({ code: 'QI_TRANSPORT' })
  await expect(transport.start()).rejects.toMatchObject({ code: 'QI_TRANSPORT' })
  await transport.close()
})

test('variables, cwd and sandbox reach the jail', async () => {
  const script = `printf '{"jsonrpc":"2.0","env":"%s %s %s","cwd":"%s"}\\n' "$GIVEN" "$NAMED" "$TOKEN" "$PWD"`
  process.env.NAMED = 'passed'
  process.env.TOKEN = 'hidden'
  const more = { env: { GIVEN: 'given' }, cwd: '/usr/share', sandbox: { env: ['NAMED'] } }
  const { messages, closed } = await open(script, more)
  await closed
  expect(messages).toEqual([{ jsonrpc: '2.0', env: 'given passed ', cwd: '/usr/share' }])
})

test('lines are cut at newlines only, whatever the chunks', () => {
  const bytes = Buffer.from('a\n\nbé\r\nlast')
  for (let size = 1; size <= bytes.length; size++) {
    const splitter = new LineSplitter(100)
    const lines: string[] = []
    for (let at = 0; at < bytes.length; at += size) lines.push(...splitter.push(bytes.subarray(at, at + size)))
    expect(lines).toEqual(['a', '', 'bé'])
  }
  expect(() => [...new LineSplitter(3).push(Buffer.from('four'))]).toThrow(RangeError)
})
