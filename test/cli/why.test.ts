import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { own, users } from '../support/user.js'
import { placeOf, run, shell } from './cli.js'

/** What `qi-jail why` says is what a jail of the same flags does: each question is put to both. */
describe.each(users)('qi-jail why and the jail, as %s', (user) => {
  const place = placeOf(user)

  beforeAll(() => {
    for (const folder of ['read', 'write', 'out']) {
      mkdirSync(join(place.home, folder))
      own(join(place.home, folder), user)
      for (const name of ['file', 'denied', '.env']) {
        writeFileSync(join(place.home, folder, name), 'x')
        own(join(place.home, folder, name), user)
      }
    }
  })

  const FLAGS = ['--ro', 'read', '--rw', 'write', '--deny', 'read/denied', '--deny', 'write/denied']

  test.each([
    'read/file',
    'read/denied',
    'write/file',
    'write/denied',
    'write/.env',
    'write/.bashrc',
    'out/file',
    '/etc/passwd',
    '/etc/shadow',
    '/usr/bin/env',
    '/tmp/new',
    '/proc/self/comm',
    '/dev/null',
    '/dev/mem'
  ])('%s', async (path) => {
    const absolute = path.startsWith('/') ? path : join(place.home, path)
    for (const [access, act] of [
      ['--write', '[ -e "$1" ] && exec 3>>"$1" || [ ! -e "$1" ] && : >"$1"'],
      ['', 'exec 3<"$1"']
    ] as const) {
      const flags = [...FLAGS, ...(access ? [access] : [])]
      const said = await run(place, ['why', ...flags, absolute, '--', 'sh'])
      // The private tmp begins empty, so what is asked about has to be made first.
      const makes = said.stdout.includes('private tmp')
        ? `mkdir -p "$(dirname "$1")"; ${access ? '' : ': >"$1"; '}`
        : ''
      const did = await run(place, ['--quiet', ...FLAGS, '--', 'sh', '-c', makes + act, 'sh', absolute])
      const missing = access === '' && path === 'write/.bashrc' // granted, and not there: only reading it fails
      if (!missing) expect([access, said.status], said.stdout + did.stderr).toEqual([access, did.status === 0 ? 0 : 1])
    }
  })

  test('a service of the host', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const script = `require('net').connect(${port}, '127.0.0.1', () => process.exit(0)).on('error', () => process.exit(1))`
    for (const flags of [[], ['--allow-loopback', String(port)], ['--allow-loopback', '1']]) {
      const said = await run(place, ['why', ...flags, `127.0.0.1:${port}`])
      const did = await run(place, ['--quiet', ...flags, '--', process.execPath, '-e', script])
      expect([flags, said.status]).toEqual([flags, did.status])
    }
    server.close()
  })

  test('a system call', async () => {
    expect((await run(place, ['why', 'unshare'])).stdout.toString()).toMatch(/^depends {2}unshare/)
    expect((await run(place, ['why', 'ptrace'])).status).toBe(1)
    expect((await run(place, ['why', 'getpid', '--json'])).status).toBe(0)
  })

  test('the answer as JSON, in flags where flags were typed', async () => {
    const { stdout, status } = await run(place, ['why', '--json', ...FLAGS, 'read/denied'])
    expect(status).toBe(1)
    expect(JSON.parse(stdout.toString())).toEqual({
      question: { kind: 'path', of: join(place.home, 'read/denied'), access: 'read' },
      state: 'refused',
      reason: `${join(place.home, 'read/denied')} is denied`,
      origin: '--deny',
      errno: 'EACCES',
      change: { flag: null, yaml: `# remove --deny for ${join(place.home, 'read/denied')}` }
    })
  })

  test('bad questions and bad flags are errors', async () => {
    expect((await run(place, ['why'])).stderr).toMatch(/QI_USAGE/)
    expect((await run(place, ['why', '--write', '--execute', 'x/y'])).stderr).toMatch(/two questions/)
    expect((await run(place, ['why', '--memory', '12XB', 'x/y'])).stderr).toMatch(/QI_LIMIT: --memory/)
    expect((await run(place, ['explain', '--diff', 'strict'])).stderr).toMatch(/QI_USAGE: --diff takes two profiles/)
    expect((await run(place, ['explain', '--profile', 'nope', '--json'])).status).toBe(125)
  })
})

describe('qi-jail explain', () => {
  const place = placeOf(users[0] as 'root' | 'plain')

  test('tells a command what it gets, and without one the profile alone', async () => {
    const alone = JSON.parse((await run(place, ['explain', '--json'])).stdout.toString())
    expect(alone.command).toBeNull()
    const told = JSON.parse(
      (await run(place, ['explain', '--json', '--memory', '64MiB', '--', 'sh'])).stdout.toString()
    )
    expect(told.command.argv).toEqual(['sh'])
    expect(told.limits).toContainEqual({ name: 'maxMemory', value: 64 << 20, origin: '--memory' })
    expect(Object.keys(told).sort()).toEqual([...Object.keys(alone)].sort())
    const dry = JSON.parse(
      (await run(place, ['--dry-run', '--json', '--memory', '64MiB', '--', 'sh'])).stdout.toString()
    )
    for (const key of ['grants', 'denies', 'symlinks', 'files', 'profile', 'tolerate'])
      expect(dry[key]).toEqual(told[key])
  })

  test('--diff of two profiles', async () => {
    const { stdout } = await shell(place, 'mkdir -p p && cd p && "$QI" explain --diff strict dev --json -- sh')
    const { a, b, differences } = JSON.parse(stdout.toString())
    expect([a, b]).toEqual(['strict', 'dev'])
    expect(differences).toContainEqual(
      expect.objectContaining({ section: 'network', name: 'mode', b: 'dangerouslyShareHostNetwork', effect: 'more' })
    )
    expect((await run(place, ['explain', '--diff', 'strict', 'strict'])).stdout.toString()).toBe(
      'strict and strict come to the same\n'
    )
  })

  test('is coloured when asked to be, never by itself on a pipe', async () => {
    const of = async (env: Record<string, string>) => (await run(place, ['explain'], env)).stdout.toString()
    expect(await of({})).not.toContain('\x1b')
    expect(await of({ FORCE_COLOR: '1' })).toContain('\x1b[32menforced')
    expect(await of({ FORCE_COLOR: '1', NO_COLOR: '1' })).not.toContain('\x1b')
  })
})
