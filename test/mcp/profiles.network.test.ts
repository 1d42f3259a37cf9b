// The profiles of servers that use a network, with these servers, in a network of the test (the rest: profiles.test.ts).
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { placeOf } from '../cli/cli.js'
import { type Refusal, refusals, requireReach } from '../network/support.js'
import { type Result, World } from '../network/world.js'
import { skipUnless } from '../support/skip.js'
import { homeOf, type User, users } from '../support/user.js'

const SERVICES: [
  name: string,
  env: Record<string, string>,
  host: string,
  path: string,
  site: object,
  tool: string,
  args: object
][] = [
  [
    'github',
    { GITHUB_PERSONAL_ACCESS_TOKEN: 't' },
    'api.github.com',
    '/search/users',
    { total_count: 1, items: [{ login: 'from the test' }] },
    'search_users',
    { q: 'x' }
  ],
  [
    'slack',
    { SLACK_BOT_TOKEN: 't', SLACK_TEAM_ID: 'T' },
    'slack.com',
    '/api/conversations.list',
    { ok: true, channels: [{ name: 'from the test' }] },
    'slack_list_channels',
    {}
  ],
  [
    'brave-search',
    { BRAVE_API_KEY: 't' },
    'api.search.brave.com',
    '/res/v1/web/search',
    { web: { results: [{ title: 'from the test', description: '', url: 'https://x' }] } },
    'brave_web_search',
    { query: 'x' }
  ]
]

const lineOf = (id: number, method: string, params: object) =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`

type Call = [tool: string, args: object]

/** A whole session: its beginning, the list of the tools, one call after the other. */
function stepsOf(calls: Call[], stays = false) {
  const hello = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 't', version: '1' } }
  const initialized = '{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
  return [
    { when: '', stdin: lineOf(0, 'initialize', hello) },
    { when: '"id":0', stdin: `${initialized}${lineOf(1, 'tools/list', {})}` },
    ...calls.map(([name, args], i) => ({
      when: `"id":${i + 1}`,
      stdin: lineOf(i + 2, 'tools/call', { name, arguments: args })
    })),
    { when: `"id":${calls.length + 1}`, ...(stays ? { killAfter: 1 } : { end: true }) }
  ]
}

interface More {
  args?: string[]
  env?: Record<string, string>
  readOnlyPaths?: string[]
  network?: object
  /** What is called after that. */
  then?: Call
  /** It does not end with its input. */
  stays?: boolean
}

interface Session {
  /** The answers, as text: to the list and to the last call. */
  tools: string
  answer: string
  refused: Refusal[]
}

describe.each(users)('servers with a network, as %s', (user) => {
  let world: World
  const place = placeOf(users[0] as User)

  beforeAll(async () => {
    world = await World.open()
    await world.setZone(Object.fromEntries(SERVICES.map(([, , host]) => [host, { A: ['203.0.113.10'] }])))
    await world.setSites(Object.fromEntries(SERVICES.map(([, , host, path, site]) => [`${host}${path}`, site])))
  }, 240_000)
  afterAll(() => world?.close())
  beforeEach(() => requireReach(user))

  const config = (name: string, { readOnlyPaths = [], network }: More = {}) => ({
    profile: `servers/${name}`,
    filesystem: { readOnlyPaths: [world.folder, ...readOnlyPaths] },
    env: ['NODE_EXTRA_CA_CERTS'],
    ...(network && { network })
  })

  async function session(name: string, tool: string, args: object, more: More = {}): Promise<Session> {
    const calls: Call[] = [[tool, args], ...(more.then ? [more.then] : [])]
    const program =
      name === 'playwright' ? '@playwright/mcp/cli.js' : `@modelcontextprotocol/server-${name}/dist/index.js`
    const argv = ['node', join(place.root, 'node_modules', program), ...(more.args ?? [])]
    const result = await world.jailed(user, {
      config: config(name, more),
      argv,
      env: more.env,
      steps: stepsOf(calls, more.stays)
    })
    const answers = result.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
    const told = (id: number) => JSON.stringify(answers.find((answer) => answer.id === id)) ?? result.stderr
    return { tools: told(1), answer: told(calls.length + 1), refused: refusals(result) }
  }

  const fetching = (name: string, url: string): Promise<Result> => {
    const program = `fetch('${url}').then((r) => r.text()).then((t) => console.log(t.slice(0, 2)), (e) => console.log(e.cause.code))`
    return world.jailed(user, { config: config(name), argv: ['node', '-e', program] })
  }

  test.each(SERVICES)('%s: the host of its API', async (name, env, host, _path, _site, tool, args) => {
    const { tools, answer, refused } = await session(name, tool, args, { env })
    expect(tools).toContain(tool)
    expect(answer).toContain('from the test')
    expect(refused).toEqual([])
    expect((await fetching(name, `https://${host}/`)).stdout).toBe('ok\n')
    const other = await fetching(name, 'https://api.example.test/')
    expect(other.stdout).not.toContain('ok')
    expect(refusals(other).length).toBeGreaterThan(0)
  })

  test('fetch, playwright and puppeteer: public hosts on the ports of the web, no private ones', async () => {
    for (const name of ['fetch', 'playwright', 'puppeteer']) {
      const got = async (url: string) => (await fetching(name, url)).stdout
      expect(await got('https://api.example.test/')).toBe('ok\n')
      expect(await got('http://other.example.test/')).toBe('ok\n')
      for (const url of ['http://api.example.test:8080/', 'http://rebind-private.example.test/', 'http://10.1.2.3/'])
        expect(await got(url)).not.toContain('ok')
    }
  })

  test('postgres: the database of this host; another port or host only where it is granted', async () => {
    const asking = (at: string, network?: object) =>
      session('postgres', 'query', { sql: 'select 1' }, { args: [`postgresql://me:secret@${at}/shop`], network })
    const own = await asking('localhost')
    expect(own.tools).toContain('"query"')
    expect(own.answer).toContain('port 5432 has no shop for me')
    expect(own.refused).toEqual([])
    const port = await asking('localhost:5433')
    expect(port.answer).toContain('connect EACCES')
    const rule = "the loopback of the host, and the jail's own, are not allowed"
    expect(port.refused).toMatchObject([{ action: 'network.refused', verdict: 'EACCES', rule }])
    expect((await asking('localhost:5433', { allowLoopback: [5433] })).answer).toContain('port 5433 has no shop for me')
    const host = await asking('db.internal.test')
    expect(host.answer).toContain('getaddrinfo ENOTFOUND db.internal.test')
    expect(host.refused[0]).toMatchObject({ action: 'dns.refused', host: 'db.internal.test' })
    const granted = { allowedHosts: ['db.internal.test:5432'] }
    expect((await asking('db.internal.test', granted)).answer).toContain('port 5432 has no shop for me')
  })

  describe('with a browser', () => {
    const home = { path: '', remove: () => {} }
    beforeAll(() => Object.assign(home, homeOf(user)))
    afterAll(() => home.remove())

    function file(path: string, content: string): string {
      const full = join(home.path, path)
      mkdirSync(dirname(full), { recursive: true })
      writeFileSync(full, content)
      chmodSync(full, 0o755)
      return full
    }

    /** What takes the place of one: it tells that it runs, and the user's key if it can read it. */
    const browser = (path: string) => file(path, '#!/bin/sh\necho "it runs" >&2\ncat "$HOME/.ssh/key" >&2\nexit 1\n')

    const CHROMIUM = '/usr/bin/chromium'
    const PUBLIC = 'http://other.example.test/'
    const PRIVATE = 'http://10.1.2.3/'
    const QUIET = { PUPPETEER_LAUNCH_OPTIONS: '{"headless":true,"args":["--no-sandbox"]}', ALLOW_DANGEROUS: 'true' }
    const REAL: [name: string, look: (url: string) => Promise<Session>][] = [
      [
        'playwright',
        (url) => {
          const args = ['--headless', '--isolated', '--no-sandbox', '--executable-path', CHROMIUM]
          const then: Call = ['browser_evaluate', { function: '() => document.body.innerText' }]
          return session('playwright', 'browser_navigate', { url }, { args, then, env: { HOME: home.path } })
        }
      ],
      [
        'puppeteer',
        (url) => {
          const env = { HOME: home.path, PUPPETEER_EXECUTABLE_PATH: CHROMIUM, ...QUIET }
          const then: Call = ['puppeteer_evaluate', { script: 'document.body.innerText' }]
          return session('puppeteer', 'puppeteer_navigate', { url }, { env, then, stays: true })
        }
      ]
    ]

    test.each(REAL)('%s: Chromium shows the page of a public host, and not that of a private one', async (_, look) => {
      skipUnless(existsSync(CHROMIUM), 'no chromium')
      // Where browsers were installed before, that folder is there, and read-only.
      mkdirSync(join(home.path, '.cache/ms-playwright'), { recursive: true })
      const [shown, refused] = [await look(PUBLIC), await look(PRIVATE)]
      expect(shown.answer).toContain('ok')
      expect(refused.answer).not.toContain('ok')
      expect(refused.refused).toContainEqual(expect.objectContaining({ action: 'network.refused', verdict: 'EACCES' }))
    })

    type Navigate = (executable?: string, readOnlyPaths?: string[]) => Promise<Session>
    const SERVERS: [name: string, cache: string, missing: string, navigate: Navigate][] = [
      [
        'playwright',
        '.cache/ms-playwright',
        "'chrome' is not found at",
        (executable, readOnlyPaths) => {
          const chosen = executable ? ['--executable-path', executable] : []
          const args = ['--headless', '--isolated', '--no-sandbox', ...chosen]
          const more = { args, env: { HOME: home.path }, readOnlyPaths }
          return session('playwright', 'browser_navigate', { url: 'https://api.example.test/' }, more)
        }
      ],
      [
        'puppeteer',
        '.cache/puppeteer',
        'Could not find Chrome',
        (executable, readOnlyPaths) => {
          const env = { HOME: home.path, ...(executable && { PUPPETEER_EXECUTABLE_PATH: executable }) }
          return session(
            'puppeteer',
            'puppeteer_navigate',
            { url: 'https://api.example.test/' },
            { env, readOnlyPaths }
          )
        }
      ]
    ]

    test.each(SERVERS)('%s: from %s, which does not see ~/.ssh', async (name, cache, missing, navigate) => {
      const key = file('.ssh/key', 'secret of the user')
      const none = await navigate()
      expect(none.tools).toContain(`"${name === 'playwright' ? 'browser' : name}_navigate"`)
      expect(none.answer).toContain(missing)
      const kept = await navigate(browser(join(cache, 'chrome')))
      expect(kept.answer).toContain('it runs')
      expect(kept.answer).not.toContain('secret of the user')
      expect((await navigate(browser('.ssh/chrome'))).answer).toMatch(
        /executable doesn't exist|no executable was found/
      )
      expect((await navigate(browser(join(cache, 'chrome')), [key])).answer).toContain('secret of the user')
    })
  })
})
