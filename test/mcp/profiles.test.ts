// The profiles of profiles/servers with the servers they are made for: each starts, is of use, and is held.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { placeOf, run } from '../cli/cli.js'
import { refusals, requireReach } from '../network/support.js'
import { type Result, World } from '../network/world.js'
import { as, environmentOf, own, type User, users } from '../support/user.js'

interface Answer {
  isError?: boolean
  content: { text: string }[]
}

const textOf = (answer?: Answer): string => answer?.content[0]?.text ?? ''
const entry = (root: string, name: string) =>
  join(root, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`)

describe.each(users)('servers that need no network, as %s', (user) => {
  const place = placeOf(user)

  async function session(name: string, args: string[], calls: object[], more: object = {}, sandbox: object = {}) {
    const profile = `servers/${name}`
    const server = {
      command: 'node',
      args: [entry(place.root, name), ...args],
      ...more,
      sandbox: { profile, ...sandbox }
    }
    const script = join(place.root, 'test/mcp/session.mjs')
    const [file, words] = as(user, [process.execPath, script, JSON.stringify({ server, calls })])
    const env = { ...environmentOf(place.home), CALLER_TOKEN: 'of the caller' }
    const { stdout } = await promisify(execFile)(file, words, { cwd: place.home, env })
    return JSON.parse(stdout) as { tools: string[]; results: Answer[]; exit: object }
  }

  function folder(...names: string[]): string {
    const path = join(place.home, ...names)
    for (let i = 1; i <= names.length; i++) {
      const part = join(place.home, ...names.slice(0, i))
      mkdirSync(part, { recursive: true })
      own(part, user)
    }
    return path
  }

  function file(path: string, content: string): string {
    writeFileSync(path, content)
    own(path, user)
    return path
  }

  test('everything: it sees no variable of the caller but what is passed', async () => {
    const ask = [{ name: 'get-env', arguments: {} }]
    const { tools, results } = await session('everything', [], ask)
    expect(tools).toContain('echo')
    expect(JSON.parse(textOf(results[0]))).toMatchObject({ HOME: place.home })
    expect(textOf(results[0])).not.toContain('CALLER_TOKEN')
    const passed = await session('everything', [], ask, {}, { env: ['CALLER_TOKEN'] })
    expect(JSON.parse(textOf(passed.results[0]))).toMatchObject({ CALLER_TOKEN: 'of the caller' })
  })

  test('sequential-thinking: it thinks', async () => {
    const thought = { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 }
    const { results } = await session('sequential-thinking', [], [{ name: 'sequentialthinking', arguments: thought }])
    expect(JSON.parse(textOf(results[0]))).toMatchObject({ thoughtNumber: 1 })
  })

  test('memory: its graph lies in its folder, and nowhere else', async () => {
    const inside = join(folder('.local', 'share', 'mcp-memory'), 'graph.jsonl')
    const outside = join(folder('elsewhere'), 'graph.jsonl')
    const entities = [{ name: 'qi-jail', entityType: 'program', observations: ['jails servers'] }]
    const calls = [
      { name: 'create_entities', arguments: { entities } },
      { name: 'read_graph', arguments: {} }
    ]
    const kept = await session('memory', [], calls, { env: { MEMORY_FILE_PATH: inside } })
    expect(textOf(kept.results[1])).toContain('jails servers')
    expect(readFileSync(inside, 'utf8')).toContain('jails servers')
    const lost = await session('memory', [], calls.slice(0, 1), { env: { MEMORY_FILE_PATH: outside } })
    expect(lost.results[0]).toMatchObject({ isError: true })
    expect(() => readFileSync(outside)).toThrow('ENOENT')
  })

  test('filesystem: the folders that are granted, of those it is told', async () => {
    const granted = folder('granted')
    const a = file(join(granted, 'a.txt'), 'granted content')
    const b = file(join(folder('other'), 'b.txt'), 'other content')
    const calls = [
      { name: 'read_text_file', arguments: { path: a } },
      { name: 'write_file', arguments: { path: join(granted, 'c.txt'), content: 'written' } },
      { name: 'read_text_file', arguments: { path: b } }
    ]
    const roots = [granted, join(place.home, 'other')]
    const { results } = await session('filesystem', roots, calls, {}, { filesystem: { allowedPaths: [granted] } })
    expect(textOf(results[0])).toBe('granted content')
    expect(readFileSync(join(granted, 'c.txt'), 'utf8')).toBe('written')
    expect(results[2]).toMatchObject({ isError: true })
    const both = await session('filesystem', roots, calls, {}, { filesystem: { allowedPaths: roots } })
    expect(textOf(both.results[2])).toBe('other content')
  })

  test('git: commits with the caller’s name, and leaves no hook', async () => {
    const repo = folder('repo')
    file(join(place.home, '.gitconfig'), '[user]\n\tname = A Person\n\temail = a@example.com\n')
    const jailed = async (script: string) => {
      const shell = ['sh', '-c', script]
      const { status, stdout, stderr } = await run(place, [
        '--profile',
        'servers/git',
        '--rw',
        repo,
        '--cwd',
        repo,
        '--',
        ...shell
      ])
      return { status, text: `${stdout}${stderr}` }
    }
    const [program, args] = as(user, ['git', 'init', '-q', repo])
    await promisify(execFile)(program, args, { env: environmentOf(place.home) })
    file(join(repo, 'x'), 'content')
    expect((await jailed('git add x && git commit -qm one && git log --format=%an')).text).toBe('A Person\n')
    const hook = await jailed('echo exit >.git/hooks/pre-commit')
    expect(hook.text).toMatch(/Read-only file system|Permission denied/)
    expect((await jailed('git config core.hooksPath /tmp')).status).not.toBe(0)
    expect(await jailed('echo exit >pre-commit')).toMatchObject({ status: 0 })
  })

  test('sqlite: the folder of its database, with the journal beside it', async () => {
    const data = folder('data')
    const query = (path: string) =>
      `import sqlite3; c = sqlite3.connect('${path}'); c.execute('create table if not exists t (x)'); c.execute('insert into t values (7)'); c.commit(); print(c.execute('select x from t').fetchall())`
    const jailed = (path: string) =>
      run(place, ['--profile', 'servers/sqlite', '--rw', data, '--', 'python3', '-c', query(path)])
    expect((await jailed(join(data, 'x.db'))).stdout.toString()).toBe('[(7,)]\n')
    const refused = await jailed(join(folder('private'), 'y.db'))
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('unable to open database file')])
  })
})

describe('servers of one API, in a network of the test', () => {
  let world: World
  const place = placeOf(users[0] as User)
  const SERVICES: [
    name: string,
    env: Record<string, string>,
    host: string,
    path: string,
    site: object,
    call: object
  ][] = [
    [
      'github',
      { GITHUB_PERSONAL_ACCESS_TOKEN: 't' },
      'api.github.com',
      '/search/users',
      { total_count: 1, items: [{ login: 'from the test' }] },
      { name: 'search_users', arguments: { q: 'x' } }
    ],
    [
      'slack',
      { SLACK_BOT_TOKEN: 't', SLACK_TEAM_ID: 'T' },
      'slack.com',
      '/api/conversations.list',
      { ok: true, channels: [{ name: 'from the test' }] },
      { name: 'slack_list_channels', arguments: {} }
    ],
    [
      'brave-search',
      { BRAVE_API_KEY: 't' },
      'api.search.brave.com',
      '/res/v1/web/search',
      { web: { results: [{ title: 'from the test', description: '', url: 'https://x' }] } },
      { name: 'brave_web_search', arguments: { query: 'x' } }
    ]
  ]

  beforeAll(async () => {
    world = await World.open()
    await world.setZone(Object.fromEntries(SERVICES.map(([, , host]) => [host, { A: ['203.0.113.10'] }])))
    await world.setSites(Object.fromEntries(SERVICES.map(([, , host, path, site]) => [`${host}${path}`, site])))
  }, 240_000)
  afterAll(() => world?.close())

  const config = (profile: string) => ({
    profile,
    filesystem: { readOnlyPaths: [world.folder] },
    env: ['NODE_EXTRA_CA_CERTS']
  })
  const lineOf = (id: number, method: string, params: object) =>
    `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`

  const fetching = (user: User, profile: string, url: string): Promise<Result> => {
    const program = `fetch('${url}').then((r) => r.text()).then((t) => console.log(t.slice(0, 2)), (e) => console.log(e.cause.code))`
    return world.jailed(user, { config: config(profile), argv: ['node', '-e', program] })
  }

  describe.each(users)('as %s', (user) => {
    beforeEach(() => requireReach(user))

    test.each(SERVICES)('%s', async (name, env, host, _path, _site, call) => {
      const hello = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 't', version: '1' } }
      const steps = [
        { when: '', stdin: lineOf(0, 'initialize', hello) },
        {
          when: '"id":0',
          stdin: `{"jsonrpc":"2.0","method":"notifications/initialized"}\n${lineOf(1, 'tools/list', {})}`
        },
        { when: '"id":1', stdin: lineOf(2, 'tools/call', call) },
        { when: '"id":2', end: true }
      ]
      const argv = ['node', entry(place.root, name)]
      const asked = world.jailed(user, { config: config(`servers/${name}`), argv, env, steps })
      const { stdout, events } = await asked
      const answers = stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
      expect(JSON.stringify(answers.find(({ id }) => id === 1))).toContain((call as { name: string }).name)
      expect(JSON.stringify(answers.find(({ id }) => id === 2))).toContain('from the test')
      expect(refusals({ events } as Result)).toEqual([])
      expect((await fetching(user, `servers/${name}`, `https://${host}/`)).stdout).toBe('ok\n')
      const other = await fetching(user, `servers/${name}`, 'https://api.example.test/')
      expect(other.stdout).not.toContain('ok')
      expect(refusals(other).length).toBeGreaterThan(0)
    })

    test('fetch, playwright and puppeteer: public hosts on the ports of the web, no private ones', async () => {
      for (const profile of ['servers/fetch', 'servers/playwright', 'servers/puppeteer']) {
        const got = async (url: string) => (await fetching(user, profile, url)).stdout
        expect(await got('https://api.example.test/')).toBe('ok\n')
        expect(await got('http://other.example.test/')).toBe('ok\n')
        for (const url of ['http://api.example.test:8080/', 'http://rebind-private.example.test/', 'http://10.1.2.3/'])
          expect(await got(url)).not.toContain('ok')
      }
    })
  })
})
