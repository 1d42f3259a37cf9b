import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { as, environmentOf, own, users } from '../support/user.js'
import { placeOf, run } from './cli.js'

describe.each(users)('qi-jail mcp, as %s', (user) => {
  const place = placeOf(user)

  /** A file in the user's home, which is also the working directory. */
  function put(name: string, content: unknown): string {
    const path = join(place.home, name)
    const made: string[] = []
    for (let at = dirname(path); at !== place.home; at = dirname(at)) made.push(at)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content, undefined, 2))
    for (const each of [path, ...made]) own(each, user)
    return path
  }

  const mcp = async (...args: string[]) => {
    const { status, stdout, stderr } = await run(place, ['mcp', ...args])
    return { status, stdout: stdout.toString(), stderr }
  }
  const records = (text: string) =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))

  test('finds the files of every client', async () => {
    const a = { command: 'srv', args: ['x'] }
    put('.config/Claude/claude_desktop_config.json', { mcpServers: { desktop: a } })
    put('.claude.json', { mcpServers: { code: a }, projects: { '/p': { mcpServers: { inProject: a } } } })
    put('.mcp.json', { mcpServers: { shared: a } })
    put('.vscode/mcp.json', '{ "servers": { "vs": { "command": "srv" }, }, } // JSONC')
    put('.config/Code/User/mcp.json', { servers: { vsUser: { type: 'http', url: 'https://x' } } })
    put('.cursor/mcp.json', { mcpServers: { cur: { command: 'docker', args: ['run', 'x'] } } })
    const { status, stdout } = await mcp('list', '--json')
    expect(status).toBe(0)
    expect(records(stdout).map(({ client, server, state }) => [client, server, state])).toEqual([
      ['claude-desktop', 'desktop', 'plain'],
      ['claude-code', 'shared', 'plain'],
      ['claude-code', 'code', 'plain'],
      ['claude-code', 'inProject', 'plain'],
      ['vscode', 'vs', 'plain'],
      ['vscode', 'vsUser', 'remote'],
      ['cursor', 'cur', 'container']
    ])
    const shown = (await mcp('list', '--client', 'claude-code')).stdout
    expect(shown).toMatch(/\.claude\.json \(project \/p\)\n {2}inProject +plain +srv x$/m)
  })

  test('wraps, tells so, and unwraps byte for byte', async () => {
    const text =
      '{\r\n\t// mine\r\n\t"mcpServers": { "s": { "command": "srv", "env": { "TOKEN": "secret" } } }\r\n}\r\n'
    const path = put('round.json', text)
    chmodSync(path, 0o600)
    const dry = await mcp('wrap', '--client', './round.json', '--profile', 'standard', '--dry-run')
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect(dry.stdout).toMatch(/^@@ -3,1 \+3,1 @@\n-.*"srv".*\n\+.*"--profile", "standard", "--env", "TOKEN"/m)
    expect(dry.stdout).not.toContain('secret')
    expect(await mcp('wrap', '--client', './round.json', '--profile', 'standard')).toMatchObject({
      status: 0,
      stderr: ''
    })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const [state] = records((await mcp('status', '--client', './round.json', '--json')).stdout)
    expect(state).toMatchObject({ server: 's', state: 'wrapped', profile: 'standard', loads: true, notes: [] })
    expect((await mcp('wrap', '--client', './round.json')).stdout).toMatch(/unchanged +standard/)
    const [undone] = records((await mcp('unwrap', '--client', './round.json', '--json')).stdout)
    expect(undone).toMatchObject({ dryRun: false, changes: [{ server: 's', outcome: 'unwrapped' }] })
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('the wrapped configuration starts the server in a jail', async () => {
    const granted = join(place.home, 'granted')
    mkdirSync(granted)
    own(granted, user)
    put('granted/a.txt', 'granted content')
    const secret = put('secret.txt', 'secret content')
    const server = join(place.root, 'node_modules/@modelcontextprotocol/server-filesystem/dist/index.js')
    const path = put('real.json', { mcpServers: { fs: { command: 'node', args: [server, granted] } } })
    expect((await mcp('wrap', '--client', './real.json')).stdout).toContain('servers/filesystem')
    const { command, args } = JSON.parse(readFileSync(path, 'utf8')).mcpServers.fs
    const calls = [join(granted, 'a.txt'), secret].map((file) => ({
      name: 'read_text_file',
      arguments: { path: file }
    }))
    const answers = await speak([command, ...args], calls)
    expect(answers.map(({ id }) => id)).toEqual([0, 1, 2, 3])
    expect(JSON.stringify(answers[1])).toContain('read_text_file')
    expect(JSON.stringify(answers[2])).toContain('granted content')
    expect(answers[3]?.result).toMatchObject({ isError: true })
  })

  /** MCP by hand, as the client would start what the configuration says: the answers by their ids. */
  async function speak(argv: string[], calls: unknown[]): Promise<{ id: number; result?: object }[]> {
    const [file, args] = as(user, argv)
    const child = spawn(file, args, {
      cwd: place.home,
      env: environmentOf(place.home),
      stdio: ['pipe', 'pipe', 'ignore']
    })
    const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const answers: { id: number; result?: object }[] = []
    const ask = async (method: string, params: unknown) => {
      const id = answers.length
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
      for (;;) {
        const { value, done } = await said.next()
        if (done) throw new Error('the server ended')
        const message = JSON.parse(value)
        if (message.id === id && message.method === undefined) return answers.push(message)
      }
    }
    await ask('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 't', version: '1' }
    })
    child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    await ask('tools/list', {})
    for (const call of calls) await ask('tools/call', call)
    child.stdin.end()
    await new Promise((resolve) => child.once('close', resolve))
    return answers
  }

  test('a server left alone is status 1, with the reason; a remote one is not', async () => {
    put('mixed.json', { mcpServers: { ok: { command: 'a' }, d: { command: 'docker' }, 'x\u001b[31m': { url: 'u' } } })
    const { status, stdout } = await mcp('wrap', '--client', './mixed.json')
    expect(status).toBe(1)
    expect(stdout).toMatch(/d +left alone +container +docker starts it outside/)
    expect(stdout).toContain('x\\u001b[31m')
    expect(stdout).not.toContain('\u001b')
    put('remote.json', { servers: { r: { type: 'sse', url: 'u' } } })
    expect(await mcp('wrap', '--client', './remote.json')).toMatchObject({ status: 0 })
  })

  test.each<[string[], RegExp]>([
    [['wrap'], /QI_USAGE: wrap the servers of which client/],
    [['frobnicate'], /QI_USAGE: unknown verb "frobnicate"/],
    [['list', 'x'], /QI_USAGE: too many arguments/],
    [['list', '--client', 'emacs'], /QI_USAGE: unknown client "emacs"; known are claude-desktop/],
    [['unwrap', '--client', 'cursor', '--profile', 'dev'], /QI_USAGE: unwrap takes no --profile/],
    [['wrap', '--client', './none.json'], /QI_CLIENT: no configuration of that client: .*none\.json/],
    [['wrap', '--client', './errors.json', '--server', 'b'], /QI_CLIENT: no server "b".*there are "a"/],
    [['wrap', '--client', './errors.json', '--profile', 'strikt'], /QI_PROFILE_UNKNOWN/],
    [['wrap', '--client', './broken.json'], /QI_CLIENT_CONFIG: .*broken\.json:1:\d+: /]
  ])('%j is refused, and nothing is changed', async (args, message) => {
    const path = put('errors.json', { mcpServers: { a: { command: 'srv' } } })
    put('broken.json', '{ "mcpServers": ')
    const before = readFileSync(path, 'utf8')
    const { status, stdout, stderr } = await mcp(...args)
    expect([status, stdout]).toEqual([125, ''])
    expect(stderr).toMatch(message)
    const { error } = JSON.parse((await mcp(...args, '--json')).stderr)
    expect(stderr).toContain(`${error.code}: `)
    expect(readFileSync(path, 'utf8')).toBe(before)
  })

  test('explains itself', async () => {
    const { status, stdout } = await mcp('--help')
    expect(status).toBe(0)
    expect(stdout).toMatch(/Examples:\n {2}qi-jail mcp list/)
  })
})
