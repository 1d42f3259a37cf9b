import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { AuditLog } from '../../src/event/schema.js'
import { writeDocument } from '../../src/learn/document.js'
import { nothing, type Observed, observe, raise } from '../../src/learn/observe.js'
import { propose } from '../../src/learn/propose.js'
import { isPublic } from '../../src/network/address.js'
import { createHost } from '../../src/profile/host.js'
import { fakeFs, type Tree } from '../profile/fake.js'

const TREE: Tree = {
  '/home/me/project/package.json': '{}',
  '/home/me/project/data/a.txt': 'a',
  '/home/me/project/data/b/c.txt': 'c',
  '/home/me/project/out/x': 'x',
  '/home/me/project/README.md': 'r',
  '/home/me/project/.env': 'TOKEN=1',
  '/home/me/project/.env.example': 'TOKEN=',
  '/home/me/project/.git/HEAD': 'h',
  '/home/me/other/.git/HEAD': 'h',
  '/home/me/other/src/lib/x.ts': 'x',
  '/home/me/notes/today.md': 'n',
  '/home/me/.ssh/id_ed25519': 'k',
  '/home/me/.gitconfig': 'g',
  '/home/me/.bashrc': 'b',
  '/home/me/.bash_history': 'h',
  '/home/me/.claude/.credentials.json': 'k',
  '/home/me/.claude.json': 'k',
  '/home/me/.codex/auth.json': 'k',
  '/home/me/.cargo/credentials.toml': 'k',
  '/home/me/.cargo/registry/src/x.rs': 'x',
  '/home/me/.config/git/credentials': 'k',
  '/home/me/.config/git/ignore': 'i',
  '/home/me/.config/BraveSoftware/Brave-Browser/Default/Cookies': 'c',
  '/home/me/.m2/settings.xml': 's',
  '/home/me/.gem/credentials': 'k',
  '/srv/credentials.ts': 's',
  '/srv/history': 'h',
  '/srv/auth.ts': 'a',
  '/home/me/.cache/tool/db/1': '1',
  '/home/me/.config/tool/settings.json': '{}',
  '/etc/hosts.allow': 'h',
  '/etc/fonts/fonts.conf': 'f',
  '/usr/share/dict/words': 'w',
  '/var/lib/tool/x': 'x',
  '/run/user/1000/bus': 'socket:',
  '/srv/key.pem': 'k'
}

const host = (cwd = '/home/me/project') =>
  createHost({ fs: fakeFs(TREE), writtenHome: '/home/me', callerCwd: cwd, env: {} })

const event = (action: string, parameters: Record<string, unknown>, outcome = 'blocked'): AuditLog =>
  ({
    event: { category: 'data', action, outcome, severity: 'warning' },
    context: { parameters }
  }) as unknown as AuditLog

const seen = (events: AuditLog[]): Observed => {
  const observed = nothing()
  for (const one of events) observe(observed, one)
  return observed
}

const read = (...paths: string[]) => paths.map((path) => event('file.read', { path, access: 'read' }))
const write = (...paths: string[]) => paths.map((path) => event('file.write', { path, access: 'write' }))
const create = (...paths: string[]) => paths.map((path) => event('file.create', { path, access: 'create' }))
const connect = (address: string, port: number, name?: string) =>
  event('network.refused', { host: name, arguments: { address: { family: 'AF_INET', address, port } } })

const proposed = (events: AuditLog[], cwd?: string) =>
  propose(seen(events), {
    host: host(cwd),
    folder: cwd ?? '/home/me/project',
    tempDirectory: '/tmp',
    neverAllowed: (name) => (name === 'bpf' ? 'reaches into the kernel' : undefined),
    isPublic
  })

const values = (entries: { value: string }[]) => entries.map(({ value }) => value)

describe('files', () => {
  it.each([
    ['the working directory, for a folder in it', read('/home/me/project/data/b/c.txt'), ['./**']],
    ['or a file', read('/home/me/project/README.md'), ['./**']],
    ['the working directory itself', read('/home/me/project'), ['./**']],
    ['a project beside it, by its mark', read('/home/me/other/src/lib/x.ts'), ['~/other/**']],
    ['a folder without a mark', read('/home/me/notes/today.md'), ['~/notes/**']],
    ['a file of the home', read('/home/me/.gitconfig'), ['~/.gitconfig']],
    ['the folder of one program', read('/home/me/.config/tool/settings.json'), ['~/.config/tool/**']],
    ['a file of the system', read('/etc/hosts.allow'), ['/etc/hosts.allow']],
    ['a folder of the system', read('/etc/fonts/fonts.conf'), ['/etc/fonts/**']],
    ['what the jail has its own of', read('/proc/self/maps', '/dev/null', '/tmp/x', '/sys/kernel'), []],
    ['what lies beside credentials', read('/home/me/.cargo/registry/src/x.rs'), ['~/.cargo/registry/**']],
    ['a file beside credentials', read('/home/me/.config/git/ignore'), ['~/.config/git/ignore']],
    [
      'names that are no secret',
      read('/srv/credentials.ts', '/srv/history', '/srv/auth.ts'),
      ['/srv/auth.ts', '/srv/credentials.ts', '/srv/history']
    ],
    ['one within another', read('/home/me/project', '/home/me/project/data/a.txt'), ['./**']]
  ])('reads: %s', (_, events, expected) => {
    const { readOnlyPaths, allowedPaths, drafts } = proposed(events)
    expect([values(readOnlyPaths), allowedPaths, drafts]).toEqual([expected, [], []])
  })

  it.each([
    ['an entry of the working directory', write('/home/me/project/out/x'), ['./out/**']],
    ['a file that was made there', create('/home/me/project/out/new'), ['./out/**']],
    ['a file made at its top', create('/home/me/project/new.txt'), ['./**']],
    ['the cache of one program', write('/home/me/.cache/tool/db/1'), ['~/.cache/tool/**']]
  ])('writes: %s', (_, events, expected) => {
    const { readOnlyPaths, allowedPaths, drafts } = proposed(events)
    expect([values(allowedPaths), drafts]).toEqual([expected, []])
    // Where it starts has to be there, too.
    expect(values(readOnlyPaths)).toEqual(expected[0]?.startsWith('./out') ? ['./**'] : [])
  })

  it.each([
    ['credentials', read('/home/me/.ssh/id_ed25519')],
    ['files of secrets', read('/srv/key.pem')],
    [
      'credentials among other things',
      read(
        '/home/me/.claude/.credentials.json',
        '/home/me/.claude.json',
        '/home/me/.codex/auth.json',
        '/home/me/.cargo/credentials.toml',
        '/home/me/.config/git/credentials',
        '/home/me/.config/BraveSoftware/Brave-Browser/Default/Cookies',
        '/home/me/.m2/settings.xml',
        '/home/me/.gem/credentials',
        '/home/me/.bash_history'
      )
    ],
    ['folders with credentials in them', read('/home/me/.cargo', '/home/me/.config/git', '/home/me/.m2')],
    ['the home', read('/home/me')],
    ['everything', read('/')],
    ['shelves of many programs', read('/etc', '/home/me/.config')],
    ['sockets of the system', read('/run/user/1000/bus')],
    ['writing the system', write('/var/lib/tool/x', '/etc/fonts/fonts.conf')],
    ['making names in the system', create('/usr/share/dict/new')],
    ['start-up files of shells', write('/home/me/.bashrc')]
  ])('leaves to a person: %s', (_, events) => {
    const { readOnlyPaths, allowedPaths, drafts } = proposed(events)
    expect([readOnlyPaths, allowedPaths]).toEqual([[], []])
    expect(drafts).toHaveLength(events.length)
    for (const { risk } of drafts) expect(risk).not.toBe('')
  })

  it('keeps secrets in a given folder out, and says how they would be let in', () => {
    const { deniedPaths, drafts } = proposed(read('/home/me/project/data/a.txt', '/home/me/project/.env'))
    expect(deniedPaths).toEqual([
      { value: './.env', because: 'looks like a file of secrets; the command used it: without this line it may' }
    ])
    expect(drafts).toEqual([])
  })

  it('never grants a folder around the home when started in it', () => {
    const { readOnlyPaths, drafts } = proposed(read('/home/me/notes/today.md', '/home/me/.ssh/id_ed25519'), '/home/me')
    expect(values(readOnlyPaths)).toEqual(['~/notes/**'])
    expect(values(drafts)).toEqual(['~/.ssh/id_ed25519'])
  })
})

describe('hosts, sockets and calls', () => {
  it('gives public names, and drafts the rest with the risk', () => {
    const { allowedHosts, drafts } = proposed([
      connect('93.184.216.34', 443, 'example.com'),
      connect('93.184.216.34', 80),
      connect('10.0.0.5', 5432, 'db.internal'),
      connect('169.254.169.254', 80),
      event('dns.refused', { host: 'example.com' }),
      event('dns.refused', { host: 'only.example.org' }),
      event('network.refused', { arguments: { address: { family: 'AF_UNIX', path: '/run/user/1000/bus' } } })
    ])
    expect(values(allowedHosts)).toEqual(['example.com:443'])
    expect(values(drafts)).toEqual([
      '/run/user/1000/bus',
      '169.254.169.254:80',
      '93.184.216.34:80',
      'db.internal:5432',
      'only.example.org'
    ])
  })

  it('gives datagrams to public names by themselves, and never as connections', () => {
    const sent = (address: string, port: number, host?: string) =>
      event('network.refused', { address, port, protocol: 'udp', ...(host ? { host } : {}) })
    const { udp, allowedHosts, drafts } = proposed([
      sent('93.184.216.34', 123, 'ntp.example.com'),
      sent('93.184.216.34', 443, 'Web.example.com'),
      connect('93.184.216.34', 443, 'web.example.com'),
      sent('93.184.216.34', 53, 'dns.example.com'),
      sent('10.0.0.5', 123, 'ntp.internal'),
      sent('93.184.216.35', 123),
      sent('93.184.216.34', 123, '*'),
      event('network.refused', {
        protocol: 'udp',
        host: 'connected.example.com',
        arguments: { address: { family: 'AF_INET', address: '93.184.216.36', port: 3478 } }
      }),
      event('network.refused', { address: '93.184.216.34', port: 80, protocol: 'tcp', host: 'inspected.example.com' })
    ])
    expect(values(udp)).toEqual(['connected.example.com:3478', 'ntp.example.com:123', 'web.example.com:443'])
    expect(values(allowedHosts)).toEqual(['web.example.com:443'])
    expect(drafts.map(({ key, value }) => [key, value])).toEqual(
      ['*:123', '93.184.216.35:123', 'dns.example.com:53', 'ntp.internal:123'].map((value) => ['network.udp', value])
    )
    const text = writeDocument({ ...proposed([]), udp }, { name: 'p', extends: 'strict', head: [] })
    expect(parse(text).sandbox.profiles.p.network.udp).toEqual([
      'connected.example.com:3478',
      'ntp.example.com:123',
      'web.example.com:443'
    ])
  })

  it('gives calls that may be given', () => {
    const refused = (syscall: string) => event('syscall.refused', { syscall, rule: 'group' })
    const { syscalls, drafts } = proposed([refused('io_setup'), refused('bpf'), refused('unknown')])
    expect([values(syscalls), values(drafts)]).toEqual([['io_setup'], ['bpf']])
  })

  it.each([
    '*',
    '*.example.com',
    '0.0.0.0/0',
    '10.0.0.0/8',
    '93.184.216.34',
    'localhost',
    '127.0.0.1',
    '::1',
    'a b',
    'x:1'
  ])('gives no host for the event that names %j', (name) => {
    const { allowedHosts, drafts } = proposed([
      connect('93.184.216.34', 443, name),
      connect('93.184.216.34', 443, 'Real.example.com')
    ])
    expect([values(allowedHosts), drafts.length]).toEqual([['real.example.com:443'], 1])
  })

  it('leaves calls that nobody knows in a comment', () => {
    const refused = (syscall: string) => event('syscall.refused', { syscall, rule: 'group' })
    const { syscalls, drafts } = proposed(['io_setup', 'no_such_call', '@keyring', 'constructor'].map(refused))
    expect([values(syscalls), values(drafts)]).toEqual([['io_setup'], ['@keyring', 'constructor', 'no_such_call']])
  })

  it('takes what was let through and would not have been, and nothing else', () => {
    const success = { path: '/home/me/notes/today.md', access: 'read' }
    const { readOnlyPaths } = proposed([
      event('file.read', success, 'success'),
      event('file.read', { ...success, path: '/home/me/.gitconfig', wouldBe: 'blocked' }, 'success')
    ])
    expect(values(readOnlyPaths)).toEqual(['~/.gitconfig'])
  })

  it.each([
    ['no path', event('file.read', {})],
    ['a path that is none', event('file.read', { path: 7 })],
    ['a relative path', event('file.read', { path: 'x' })],
    ['a line break', event('file.read', { path: '/home/me/notes\n- /' })],
    ['no address', event('network.refused', { arguments: null })],
    ['a port that is none', event('network.refused', { arguments: { address: { address: '1.1.1.1', port: 'x' } } })]
  ])('is not misled by %s', (_, one) => {
    const { readOnlyPaths, allowedHosts, drafts } = proposed([one])
    expect([readOnlyPaths, allowedHosts, drafts]).toEqual([[], [], []])
  })
})

describe('the file', () => {
  const options = { name: 'learned', extends: 'strict', head: [' head'] }
  const events = [
    ...read('/home/me/notes/today.md', '/home/me/.ssh/id_ed25519', '/etc/hosts.allow', '/home/me/.gitconfig'),
    ...write('/home/me/project/out/x'),
    connect('93.184.216.34', 443, 'example.com'),
    connect('10.0.0.5', 5432, 'db.internal')
  ]

  it('is the same in whatever order things happened', () => {
    const forwards = writeDocument(proposed(events), options)
    expect(writeDocument(proposed([...events].reverse()), options)).toBe(forwards)
    expect(forwards).toMatchSnapshot()
  })

  it('has no control character of an event in it', () => {
    const rude = 'a\u001b[2J\u0085\u202eb\n- x'
    const proposal = proposed([
      event('syscall.refused', { syscall: 'io_setup', rule: rude }),
      event('syscall.refused', { syscall: `x${rude}`, rule: 'r' }),
      event('network.refused', { arguments: { address: { family: 'AF_UNIX', path: `/run/${rude}` } } }),
      connect('93.184.216.34', 443, `h${rude}`)
    ])
    const text = writeDocument(proposal, options)
    expect(text).not.toMatch(/[^\P{Cc}\n]|\u202e/u)
    expect(text).toContain('io_setup # a\\u001b[2J\\u0085\\u202eb\\u000a- x\n')
    expect(text).toContain('"/run/a\\u001b[2J\\u0085\\u202eb\\n- x"')
    expect(Object.keys(parse(text).sandbox.profiles.learned)).toEqual(['extends', 'syscalls'])
  })

  it('is merged into without losing a comment, and merging again changes nothing', () => {
    const existing =
      '# mine\nsandbox:\n  profiles:\n    learned:\n      extends: standard # on purpose\n      resources: { maxProcesses: 4096 }\n'
    const proposal = { ...proposed(events), limits: { maxProcesses: 64, maxMemory: 2 ** 30 } }
    const once = writeDocument(proposal, options, existing)
    expect(once).toContain('# mine')
    expect(once).toContain('extends: standard # on purpose')
    expect(once).toContain('maxProcesses: 4096')
    expect(once).toContain('maxMemory: 1024MiB')
    expect(writeDocument(proposal, options, once)).toBe(once)
  })

  it.each([
    'sandbox: 7',
    'sandbox:\n  profiles: []',
    'sandbox: {profiles: {learned: {filesystem: {readOnlyPaths: x}}}}',
    'a: [',
    '- 1'
  ])('refuses to merge into %j', (text) =>
    expect(() => writeDocument(proposed(events), options, text)).toThrow(/merge into/)
  )
})

it('limits are twice the peak in steps', () => {
  const peaks = {}
  raise(peaks, { memory: 200 * 2 ** 20, processes: 40 })
  raise(peaks, { memory: 100 * 2 ** 20, descriptors: 900 })
  const { limits } = propose(
    { ...nothing(), peaks },
    { host: host(), folder: '/', tempDirectory: '/tmp', neverAllowed: () => undefined, isPublic }
  )
  expect(limits).toEqual({ maxMemory: 512 * 2 ** 20, maxProcesses: 128, maxFileDescriptors: 2048 })
})
