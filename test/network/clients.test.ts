// Programs that know nothing of any jail, against the servers of the test world: each first without a jail (the control),
// then in one that allows just the host it talks to, then in one that allows another host only.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { type User, users } from '../support/user.js'
import { buildPrograms, HAS } from './programs.js'
import { allowing, refusals, requireReach } from './support.js'
import { World } from './world.js'

interface Row {
  name: string
  argv: string[]
  /** Program it needs, where that is not its first word. */
  needs?: string
  /** The rule that lets it through; default the host api.example.test. */
  allow?: string
  expect: RegExp
  timeout?: number
  /** What it prints where its host is not allowed: default, anything but what it prints where it is. */
  refused?: RegExp | 'nothing to refuse'
}

const API = 'api.example.test'
const V4 = /^ok 203\.0\.113\.10 /
const V6 = /^ok 2001:db8::10 /
const ANY = /^ok (203\.0\.113\.10|2001:db8::10) /
/** Two requests over one connection. */
const KEPT = /connection (\d+) request 1 [\s\S]*connection \1 request 2 /

let world: World

beforeAll(async () => {
  world = await World.open()
  buildPrograms(world.folder)
}, 240_000)
afterAll(() => world?.close())

/** `{w}` in a row: the world's folder. */
const fill = (argv: string[]) => argv.map((word) => word.replaceAll('{w}', world.folder))

const shell = (line: string) => ['bash', '-c', line]
const node = (...args: string[]) => ['node', '{w}/clients/client.mjs', ...args]
const sockets = (...args: string[]) => ['python3', '{w}/clients/sockets.py', ...args]
const web = (...args: string[]) => ['python3', '{w}/clients/web.py', ...args]
const java = (kind: string, url: string) => [
  ...['java', '-Xmx96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
  ...['-Djavax.net.ssl.trustStore={w}/clients/trust.p12', '-Djavax.net.ssl.trustStorePassword=secret'],
  ...['-cp', '{w}/clients', 'Fetch', kind, url]
]

const nodeRows: Row[] = [
  { name: 'fetch', argv: node('fetch', API), expect: ANY },
  { name: 'fetch over TLS', argv: node('fetch-tls', API), expect: ANY },
  { name: 'fetch over IPv4', argv: node('fetch', 'v4.example.test'), allow: 'v4.example.test', expect: V4 },
  { name: 'fetch over IPv6', argv: node('fetch', 'v6.example.test'), allow: 'v6.example.test', expect: V6 },
  { name: 'fetch of a literal', argv: node('fetch', '203.0.113.10'), allow: '203.0.113.10', expect: V4 },
  { name: 'fetch of an IPv6 literal', argv: node('fetch', '2001:db8::10'), allow: '2001:db8::10', expect: V6 },
  { name: '30 fetches at once', argv: node('fetch-many', API), expect: /^(ok .*\n){30}$/ },
  {
    name: 'fetch, the first address silent',
    argv: node('fetch', 'happy.example.test'),
    allow: 'happy.example.test',
    expect: V4
  },
  { name: 'http.get', argv: node('http', API), expect: ANY },
  { name: 'https.get', argv: node('https', API), expect: ANY },
  { name: 'http keep-alive agent', argv: node('http-keep-alive', API), expect: KEPT },
  { name: 'https keep-alive agent', argv: node('https-keep-alive', API), expect: KEPT },
  { name: 'net.connect', argv: node('net', API), expect: ANY },
  {
    name: 'net.connect, the first address silent',
    argv: node('net-happy-eyeballs', 'happy.example.test'),
    allow: 'happy.example.test',
    expect: V4
  },
  { name: 'tls.connect', argv: node('tls', API), expect: ANY },
  {
    name: 'dns.lookup',
    argv: node('lookup', API),
    expect: /^(203\.0\.113\.10,2001:db8::10|2001:db8::10,203\.0\.113\.10)\n$/
  },
  {
    name: 'dns.resolve4 (c-ares)',
    argv: node('resolve4', API),
    expect: /^203\.0\.113\.10\n$/,
    refused: /^failed ENOTFOUND/
  },
  {
    name: 'dns.resolve6 (c-ares)',
    argv: node('resolve6', API),
    expect: /^2001:db8::10\n$/,
    refused: /^failed ENOTFOUND/
  }
].map((row) => ({ refused: /^failed (ENOTFOUND|EACCES)/, ...row }))

const toolRows: Row[] = [
  { name: 'curl', argv: ['curl', '-sS', `http://${API}/`], expect: ANY },
  { name: 'curl over IPv4', argv: ['curl', '-sS4', `http://${API}/`], expect: V4 },
  { name: 'curl over IPv6', argv: ['curl', '-sS6', `http://${API}/`], expect: V6 },
  { name: 'curl over TLS', argv: ['curl', '-sS', `https://${API}/`], expect: ANY },
  {
    name: 'curl to a port',

    argv: ['curl', '-sS', `https://${API}:8443/`],
    allow: `${API}:8443`,
    expect: ANY
  },
  {
    name: 'curl, two URLs on one connection',

    argv: ['curl', '-sS', '--http1.1', `https://${API}/a`, `https://${API}/b`],
    expect: KEPT
  },
  {
    name: 'curl, the first address silent',

    argv: ['curl', '-sS', 'http://happy.example.test/'],
    allow: 'happy.example.test',
    expect: V4
  },
  { name: 'wget', argv: ['wget', '-qO-', '--tries=1', `http://${API}/`], expect: ANY },
  {
    name: 'wget --timeout',

    argv: ['wget', '-qO-', '--timeout=20', '--tries=1', `http://${API}/`],
    expect: ANY
  },
  {
    name: 'wget over TLS',

    argv: ['wget', '-qO-', '--timeout=20', '--tries=1', '--ca-certificate={w}/ca.pem', `https://${API}/`],
    expect: ANY
  },
  { name: 'wget over IPv6', argv: ['wget', '-6', '-qO-', '--tries=1', `http://${API}/`], expect: V6 },
  {
    name: 'git clone over https',
    needs: 'git',
    argv: shell(`d=$(mktemp -d) && git clone -q https://${API}/git/repo.git $d/c && cat $d/c/hello && rm -rf $d`),
    expect: /^ok cloned/
  },
  { name: 'nc', needs: 'nc', argv: shell(`printf 'ok nc\\n' | nc -N ${API} 7`), expect: /^ok nc/ },
  { name: 'nc -w', needs: 'nc', argv: shell(`printf 'ok nc\\n' | nc -N -w 20 ${API} 7`), expect: /^ok nc/ },
  { name: 'nc -z', needs: 'nc', argv: shell(`nc -z ${API} 7 && echo ok nc`), expect: /^ok nc/ },
  {
    name: 'openssl s_client',
    needs: 'openssl',
    argv: shell(
      `printf 'GET / HTTP/1.0\\r\\nHost: ${API}\\r\\n\\r\\n' | openssl s_client -quiet -verify_return_error -CAfile {w}/ca.pem -connect ${API}:443 -servername ${API} 2>/dev/null | tail -n 1`
    ),
    expect: ANY
  },
  {
    name: 'bash /dev/tcp',
    needs: 'bash',
    argv: shell(`exec 3<>/dev/tcp/${API}/7; echo ok bash >&3; head -n 1 <&3`),
    expect: /^ok bash/
  },
  {
    name: 'glibc getaddrinfo',
    argv: ['{w}/clients/glibc-client', API, '7'],
    expect: /^ok/,
    refused: /^failed Name or service not known/
  },
  {
    name: 'getaddrinfo of one family, AI_ADDRCONFIG',
    argv: [
      'python3',
      '-c',
      `import socket; print([socket.getaddrinfo('${API}', 7, f, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)[0][4][0] for f in (2, 10)])`
    ],
    expect: /203\.0\.113\.10.*2001:db8::10/,
    refused: 'nothing to refuse'
  },
  {
    name: 'musl getaddrinfo',
    needs: 'musl-gcc',
    argv: ['{w}/clients/musl-client', API, '7'],
    expect: /^ok/,
    refused: /^failed Name does not resolve/
  },
  {
    name: 'a static Go program',
    needs: 'go',
    argv: ['{w}/clients/go-client', `http://${API}/`, `http://${API}/`],
    expect: KEPT,
    refused: /^failed .*no such host/
  },
  {
    name: 'Go over IPv4',
    needs: 'go',
    argv: ['{w}/clients/go-client', 'http://v4.example.test/'],
    allow: 'v4.example.test',
    expect: V4
  },
  {
    name: 'Go over IPv6',
    needs: 'go',
    argv: ['{w}/clients/go-client', 'http://v6.example.test/'],
    allow: 'v6.example.test',
    expect: V6
  },
  { name: 'Go over TLS', needs: 'go', argv: ['{w}/clients/go-client', `https://${API}/`], expect: ANY },
  {
    name: 'Go, the first address silent',
    needs: 'go',
    argv: ['{w}/clients/go-client', 'http://happy.example.test/'],
    allow: 'happy.example.test',
    expect: V4
  },
  { name: 'Java HttpClient', needs: 'javac', argv: java('client', `http://${API}/`), expect: KEPT },
  { name: 'Java HttpClient over TLS', needs: 'javac', argv: java('client', `https://${API}/`), expect: ANY },
  {
    name: 'Java HttpURLConnection',
    needs: 'javac',
    argv: java('connection', 'http://v4.example.test/'),
    allow: 'v4.example.test',
    expect: V4
  },
  {
    name: 'Java over IPv6',
    needs: 'javac',
    argv: java('connection', 'http://v6.example.test/'),
    allow: 'v6.example.test',
    expect: V6
  }
]

const pythonRows: Row[] = [
  { name: 'urllib', argv: web('urllib', `http://${API}/`), expect: ANY },
  { name: 'urllib over TLS', argv: web('urllib', `https://${API}/`), expect: ANY },
  { name: 'http.client keep-alive', argv: web('keep-alive', `http://${API}/`), expect: KEPT },
  { name: 'http.client keep-alive over TLS', argv: web('keep-alive', `https://${API}/`), expect: KEPT },
  { name: 'asyncio', argv: web('asyncio', `http://${API}/`), expect: ANY },
  { name: 'asyncio over TLS', argv: web('asyncio', `https://${API}/`), expect: ANY },
  {
    name: 'asyncio, the first address silent',
    argv: web('asyncio', 'http://happy.example.test/'),
    allow: 'happy.example.test',
    expect: V4
  },
  { name: '20 asyncio streams at once', argv: web('asyncio-many', `http://${API}/`), expect: /^(ok .*\n){20}$/ }
]

const CASES = [
  ...['blocking', 'nonblocking', 'poll', 'select', 'epoll-level', 'epoll-edge', 'options', 'names', 'half-close'],
  ...['bound', 'fork-before', 'dup-before', 'inherited', 'interrupted-often', 'threads']
]
const socketRows: Row[] = [
  ...CASES.flatMap((kind) =>
    ['v4', 'v6'].map((family) => {
      const host = `${family}.example.test`
      return { name: `${kind}, IP${family}`, argv: sockets(kind, host, '7'), allow: host, expect: /^ok/ }
    })
  ),
  {
    name: 'IPv4 through an IPv6 socket',
    argv: sockets('mapped', 'v4.example.test', '7'),
    allow: 'v4.example.test',
    expect: /^ok/
  },
  ...['timeout', 'send-timeout', 'interrupted', 'restarted'].map((kind) => ({
    name: `${kind}: nobody answers`,
    argv: sockets(kind, 'black.example.test', '7'),
    allow: 'black.example.test',
    expect: /^ok (timeout|alarm)/
  })),
  {
    name: 'nobody listens',
    argv: sockets('refused', API, '99'),
    expect: /^ok ECONNREFUSED soon/,
    refused: /^ok NONAME soon/
  },
  {
    name: 'a literal that is not listed',
    argv: sockets('refused', '203.0.113.10', '99'),
    allow: '203.0.113.10',
    expect: /^ok ECONNREFUSED soon/,
    refused: /^ok EACCES soon/
  },
  { name: '1000 connections in a row', argv: sockets('in-a-row', API, '7'), expect: /^ok 1000/, timeout: 120_000 },
  { name: '200 connections at once', argv: sockets('at-once', API, '7'), expect: /^ok 200/, timeout: 120_000 },
  { name: '2 GB down', argv: sockets('download', API, '9000'), expect: /^ok 2147483648/, timeout: 300_000 },
  { name: '2 GB up', argv: sockets('upload', API, '9000'), expect: /^ok 2147483648/, timeout: 300_000 }
]

async function check(user: User, row: Row): Promise<void> {
  const needs = row.needs ?? row.argv[0]
  skipUnless(needs === undefined || HAS[needs] !== false, `needs ${needs}`)
  const argv = fill(row.argv)
  const timeout = row.timeout ?? 60_000
  const bare = await world.bare(user, argv, { timeout })
  expect(bare.stdout, `the control, without a jail: ${bare.stderr}`).toMatch(row.expect)

  const result = await world.jailed(user, { config: allowing(world, row.allow ?? API), argv, timeout })
  expect(result.stdout, `${result.stderr} ${JSON.stringify(refusals(result))}`).toMatch(row.expect)
  expect(refusals(result)).toEqual([])

  if (row.refused === 'nothing to refuse') return
  const other = await world.jailed(user, { config: allowing(world, 'unlisted.example.test'), argv, timeout })
  expect(other.exit.signal, 'refusal must not be a hang').toBeNull()
  if (row.refused) expect(other.stdout).toMatch(row.refused)
  else expect(other.stdout).not.toMatch(row.expect)
  expect(refusals(other).map((event) => event.action)).toContainEqual(expect.stringMatching(/^(dns|network)\.refused$/))
}

/** Who launches makes no difference to an address family or to TLS: with two users, the second does without these. */
const VARIANT = /IPv6|over IPv4|over TLS|literal|at once|two URLs/

describe.each(users)('launched by %s', (user) => {
  beforeEach(() => requireReach(user))
  describe.each([
    ['Node', nodeRows],
    ['tools', toolRows],
    ['Python', pythonRows],
    ['sockets', socketRows]
  ] as const)('%s', (_, rows) => {
    const chosen = rows.filter(({ name }) => user === users[0] || !VARIANT.test(name))
    for (const row of chosen) it(row.name, () => check(user, row), 3 * (row.timeout ?? 60_000))
  })
})
