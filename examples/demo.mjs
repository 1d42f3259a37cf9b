// `npm start`: real MCP servers do their work in a jail, then a hostile one shows what it cannot do. Exit status 0 only when
// every expectation held.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SandboxedStdioTransport } from 'qi-jail'
import { ACTS, CONTROLS } from './hostile-acts.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const colour = (code) => (text) => (process.stdout.isTTY ? `\x1b[${code}m${text}\x1b[0m` : text)
const [green, red, bold, dim] = [32, 31, 1, 2].map(colour)
let failures = 0

function expect(holds, text) {
  if (!holds) failures++
  console.log(`  ${holds ? green('ok  ') : red('FAIL')} ${text}`)
  return holds
}

/** A session with a server in its own jail: what `use` does with the client, then the end of the jail. */
async function session(title, server, use) {
  console.log(bold(`\n${title}`))
  const transport = new SandboxedStdioTransport({ stderr: 'ignore', ...server })
  const client = new Client({ name: 'qi-jail-demo', version: '1.0.0' })
  const began = performance.now()
  await client.connect(transport)
  const events = []
  transport.jail.on('event', (event) => events.push(event))
  const took = (performance.now() - began).toFixed(0)
  expect(true, `initialize: ${client.getServerVersion().name} ${dim(`${took} ms, launch and node start included`)}`)
  const { tools } = await client.listTools()
  expect(tools.length > 0, `tools/list: ${tools.length} tools`)
  const call = async (name, args = {}) => {
    const result = await client.callTool({ name, arguments: args })
    return { failed: result.isError === true, text: result.content[0]?.text ?? '' }
  }
  await use({ call, events, jail: transport.jail })
  await client.close()
  const exit = await transport.jail.exited
  expect(exit.lostEvents === 0, `ended: ${exit.terminationReason}, ${exit.refusals} calls refused, nothing left`)
}

function makeHost() {
  const base = mkdtempSync(join(tmpdir(), 'qi-demo-'))
  const [project, home] = ['project', 'home'].map((name) => join(base, name))
  mkdirSync(join(project, '.git/hooks'), { recursive: true })
  mkdirSync(join(home, '.ssh'), { recursive: true })
  writeFileSync(join(project, 'readme.txt'), 'a file in the granted folder\n')
  writeFileSync(join(project, 'tool'), '#!/bin/sh\n', { mode: 0o755 })
  writeFileSync(join(home, '.ssh/id_ed25519'), 'a private key\n', { mode: 0o600 })
  writeFileSync(join(base, 'secret.txt'), 'not granted\n')
  return { base, project, home }
}

const server = (name) => join(root, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`)

async function everything() {
  const params = { command: 'node', args: [server('everything')] }
  await session('server-everything, profile strict', params, async ({ call }) => {
    const echo = await call('echo', { message: 'hello from the jail' })
    expect(echo.text.includes('hello from the jail'), `tools/call echo: ${echo.text}`)
    const sum = await call('get-sum', { a: 19, b: 23 })
    expect(sum.text.includes('42'), `tools/call get-sum: ${sum.text}`)
    const env = JSON.parse((await call('get-env')).text)
    expect(!('QI_DEMO_TOKEN' in env), `tools/call get-env: ${Object.keys(env).join(' ')}, and not our QI_DEMO_TOKEN`)
  })
}

async function filesystem({ base, project }) {
  // The server itself is told of a folder it was not granted, so that the kernel is what refuses.
  const params = {
    command: 'node',
    args: [server('filesystem'), project, base],
    sandbox: { filesystem: { readOnlyPaths: [project] } }
  }
  await session('server-filesystem, profile strict, one folder granted read-only', params, async ({ call }) => {
    const inside = await call('read_text_file', { path: join(project, 'readme.txt') })
    expect(!inside.failed && inside.text.startsWith('a file in'), `read in the granted folder: ${inside.text.trim()}`)
    const outside = await call('read_text_file', { path: join(base, 'secret.txt') })
    expect(outside.failed && !outside.text.includes('not granted'), `read outside it: ${firstLine(outside.text)}`)
    const write = await call('write_file', { path: join(project, 'new.txt'), content: 'x' })
    expect(write.failed, `write in it: ${firstLine(write.text)}`)
  })
}

const firstLine = (text) => text.split('\n')[0].slice(0, 100)

async function hostile({ project }) {
  const helper = join(root, 'build/Release/test-tools/hostile')
  const params = {
    command: 'node',
    args: [join(root, 'examples/hostile-server.mjs'), helper, project, String(process.pid)],
    sandbox: {
      filesystem: { allowedPaths: [project], readOnlyPaths: [helper] },
      resources: { maxProcesses: 64 }
    }
  }
  await session('a hostile server, profile strict, the project folder writable', params, async ({ call, events }) => {
    for (const { name, text } of CONTROLS) expect((await call(name)).text === 'OK', `allowed: ${text}`)
    console.log(`\n       ${bold('act'.padEnd(44))}${bold('errno'.padEnd(12))}${bold('audit event')}`)
    for (const act of ACTS) {
      const from = events.length
      const errno = (await call(act.name)).text
      const event = act.syscall && (await eventOf(events, from, act.syscall))
      const told = event ? `${event.event.action}: ${describe(event.context.parameters)}` : act.why
      expect(
        act.errno.includes(errno) && (event || !act.syscall),
        `${act.text.padEnd(44)}${errno.padEnd(12)}${dim(told ?? 'NONE')}`
      )
    }
  })
}

/** Events come by a channel of their own: the answer of the server may be here first. */
async function eventOf(events, from, syscalls) {
  for (let tries = 0; tries < 100; tries++) {
    const found = events.slice(from).find(({ context }) => syscalls.includes(context.parameters?.syscall))
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function describe({ syscall, arguments: args, rule }) {
  const shown = Object.entries(args ?? {})
    .slice(0, 3)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
  return `${syscall}(${shown.join(', ')}) [${rule}]`.slice(0, Math.max(40, (process.stdout.columns ?? 180) - 85))
}

const host = makeHost()
try {
  process.env.HOME = host.home
  process.env.QI_DEMO_TOKEN = 'a secret of the caller'
  await everything()
  await filesystem(host)
  await hostile(host)
} finally {
  rmSync(host.base, { recursive: true, force: true })
}
console.log(failures === 0 ? green('\nEverything held.') : red(`\n${failures} expectations failed.`))
process.exitCode = failures === 0 ? 0 : 1
