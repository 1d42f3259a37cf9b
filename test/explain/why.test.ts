import { describe, expect, it } from 'vitest'
import { answerText } from '../../src/cli/why.js'
import { withMore } from '../../src/explain/merge-config.js'
import type { Access } from '../../src/explain/why.js'
import type { SandboxConfig } from '../../src/policy/config.js'
import { answer, type Given } from './world.js'

const STANDARD: Given = { profile: 'standard' }
const OPEN = 'syscalls: { allow: [kcmp] }'
const DENIED: Given = {
  config: { filesystem: { readOnlyPaths: ['~/data'], deniedPaths: ['~/data/notes.txt'] } }
}
const ONE_FILE: Given = {
  tree: { '/home/u/one.txt': 'x' },
  config: { filesystem: { readOnlyPaths: ['~/one.txt'] } }
}
const IN_PROJECT: Given = { profile: 'standard', tree: { '/home/u/app/app.sock': 'socket:' } }
const BY_NAME: Given = {
  config: { filesystem: { allowedPaths: ['~/app'], deniedPaths: ['**/.en[v]', '~/app/**/*.pem'], mediate: true } }
}
const SOCKET: Given = { tree: { '/run/db.sock': 'socket:' } }
const rules = (network: NonNullable<Given['config']>['network']): Given => ({ config: { network } as Given['config'] })

const NTP = rules({ udp: ['ntp.example.com:123'] })

/** What is asked, of which jail, the state, the origin, and the change that flips it or why none does. */
const CASES: [what: string, access: Access | undefined, given: Given, state: string, origin: string, flip?: string][] =
  [
    ['/usr/bin/node', 'read', {}, 'allowed', 'closure: system'],
    ['/usr/bin/node', 'execute', {}, 'allowed', 'closure: system'],
    ['/usr/bin/node', 'write', {}, 'refused', 'closure: system', '--rw /usr/bin/node'],
    ['/usr', 'write', {}, 'refused', 'closure: system', 'fixed: QI_GRANT_TOO_WIDE'],
    ['~/data/notes.txt', undefined, {}, 'refused', 'built-in', '--ro /home/u/data/notes.txt'],
    ['~/data/new.txt', 'write', {}, 'refused', 'built-in', '--rw /home/u/data'],
    ['server.js', undefined, {}, 'refused', 'built-in', '--ro /home/u/app/server.js'],
    ['server.js', 'write', STANDARD, 'allowed', 'profiles/standard.yaml'],
    ['.env', undefined, STANDARD, 'allowed', 'profiles/standard.yaml'],
    ['.env', 'write', STANDARD, 'refused', 'mandatory: .env', 'filesystem: { allowProtected: [".env"] }'],
    ['.bashrc', 'write', STANDARD, 'refused', 'mandatory: .bashrc', 'filesystem: { allowProtected: [".bashrc"] }'],
    ['~', 'write', STANDARD, 'refused', 'built-in', 'fixed: QI_GRANT_TOO_WIDE'],
    ['~/data/notes.txt', undefined, DENIED, 'refused', 'config: filesystem.deniedPaths[0]', '# remove config'],
    ['~/data', undefined, DENIED, 'allowed', 'config: filesystem.readOnlyPaths[0]'],
    ['.env', undefined, BY_NAME, 'refused', 'config: filesystem.deniedPaths[0]', '# remove config'],
    ['sub/.ENV', 'write', BY_NAME, 'refused', 'config: filesystem.deniedPaths[0]', '# remove config'],
    ['keys/a.pem', undefined, BY_NAME, 'refused', 'config: filesystem.deniedPaths[1]', '# remove config'],
    ['server.js', undefined, BY_NAME, 'allowed', 'config: filesystem.allowedPaths[0]'],
    ['server.js', 'execute', BY_NAME, 'refused', 'filesystem.mediate', 'fixed: no key'],
    ['open', undefined, BY_NAME, 'depends', 'built-in: mediated'],
    ['/', undefined, {}, 'depends', 'closure: system'],
    ['/', 'write', {}, 'refused', 'built-in', 'fixed: QI_GRANT_TOO_WIDE'],
    ['/tmp/x', 'write', {}, 'allowed', 'built-in'],
    ['/proc/self', undefined, {}, 'allowed', 'built-in'],
    ['/proc/self/x', 'write', {}, 'refused', 'built-in', 'fixed: the jail mounts its own'],
    ['/sys/kernel', undefined, {}, 'refused', 'built-in', 'fixed: '],
    ['/dev/null', 'write', {}, 'allowed', 'built-in'],
    ['/dev/null/x', undefined, {}, 'refused', 'built-in', 'fixed: there is nothing below it'],
    ['/dev/full/x', 'write', {}, 'refused', 'built-in', 'fixed: there is nothing below it'],
    ['/etc/passwd/x', undefined, {}, 'refused', 'built-in', 'fixed: there is nothing below it'],
    ['/dev/fd/3', undefined, {}, 'allowed', 'built-in'],
    ['/dev/pts/0', undefined, {}, 'refused', 'built-in', 'fixed: '],
    ['/proc/self/root/etc/shadow', undefined, {}, 'refused', 'built-in', '--ro /etc/shadow'],
    ['/proc/self/task/7/root/proc/9/root/etc/shadow', undefined, {}, 'refused', 'built-in', '--ro /etc/shadow'],
    ['/proc/self/root', undefined, {}, 'depends', 'closure: system'],
    ['/proc/self/root/usr/bin/node', 'write', {}, 'refused', 'closure: system', '--rw /usr/bin/node'],
    ['/proc/self/rooted', undefined, {}, 'allowed', 'built-in'],
    ['~/one.txt/x', undefined, ONE_FILE, 'refused', 'config: filesystem.readOnlyPaths[0]', 'fixed: there is nothing'],
    ['~/one.txt', undefined, ONE_FILE, 'allowed', 'config: filesystem.readOnlyPaths[0]'],
    ['app.sock', undefined, IN_PROJECT, 'refused', 'built-in', '--allow-unix-socket /home/u/app/app.sock'],
    ['/dev/sda', undefined, {}, 'refused', 'built-in', 'fixed: '],
    ['/run/db.sock', undefined, SOCKET, 'refused', 'built-in', '--allow-unix-socket /run/db.sock'],
    [
      '/run/db.sock',
      undefined,
      { ...SOCKET, ...rules({ allowUnixSockets: ['/run/db.sock'] }) },
      'allowed',
      'config: network.allowUnixSockets[0]'
    ],
    ['/etc/passwd', undefined, {}, 'allowed', 'system: private /etc'],
    ['/bin', undefined, {}, 'allowed', 'closure: system'],
    ['api.example.com:443', undefined, {}, 'refused', 'built-in', '--net api.example.com:443'],
    ['api.example.com', undefined, {}, 'refused', 'built-in', '--net api.example.com'],
    ['ntp.example.com:123/udp', undefined, {}, 'refused', 'built-in', '--udp ntp.example.com:123'],
    ['192.0.2.1:123/udp', undefined, rules({ allowedHosts: ['*'] }), 'refused', 'built-in', '--udp 192.0.2.1:123'],
    ['8.8.8.8:53/tcp', undefined, rules({ allowedHosts: ['*'] }), 'allowed', 'config: network.allowedHosts[0]'],
    ['ntp.example.com:123/udp', undefined, NTP, 'allowed', 'config: network.udp[0]'],
    ['ntp.example.com:124/udp', undefined, NTP, 'refused', 'built-in', '--udp ntp.example.com:124'],
    ['ntp.example.com:123', undefined, NTP, 'refused', 'built-in', '--net ntp.example.com:123'],
    [
      'ntp.example.com:123/udp',
      undefined,
      rules({ udp: ['*.example.com:123'], deniedHosts: ['ntp.example.com'] }),
      'refused',
      'config: network.deniedHosts[0]',
      '# remove config'
    ],
    ['localhost:5353/udp', undefined, rules({ allowLoopback: [5353] }), 'refused', 'built-in', 'fixed: no key'],
    ['10.0.0.5:5432', undefined, {}, 'refused', 'built-in', '--net 10.0.0.5:5432'],
    ['[2001:db8::1]:443', undefined, {}, 'refused', 'built-in', "--net '[2001:db8::1]:443'"],
    ['localhost:5432', undefined, {}, 'refused', 'built-in', '--allow-loopback 5432'],
    ['localhost:5432', undefined, rules({ allowLoopback: [5432] }), 'allowed', 'config: network.allowLoopback[0]'],
    ['localhost:5432', undefined, STANDARD, 'depends', 'network.innerLoopback'],
    [
      'a.example.com:80',
      undefined,
      rules({ allowedHosts: ['*.example.com'] }),
      'allowed',
      'config: network.allowedHosts[0]'
    ],
    [
      'example.com:80',
      undefined,
      rules({ allowedHosts: ['*.example.com'] }),
      'refused',
      'built-in',
      '--net example.com:80'
    ],
    [
      'a.example.com:80',
      undefined,
      rules({ allowedHosts: ['*.example.com'], deniedHosts: ['a.example.com'] }),
      'refused',
      'config: network.deniedHosts[0]',
      '# remove config'
    ],
    [
      'a.example.com',
      undefined,
      rules({ allowedHosts: ['a.example.com:5432'] }),
      'allowed',
      'config: network.allowedHosts[0]'
    ],
    [
      'a.example.com:80',
      undefined,
      rules({ allowedHosts: ['a.example.com:5432'] }),
      'refused',
      'built-in',
      '--net a.example.com:80'
    ],
    ['10.1.2.3:80', undefined, rules({ allowedHosts: ['*'] }), 'refused', 'built-in', '--net 10.1.2.3:80'],
    ['8.8.8.8:53', undefined, rules({ allowedHosts: ['*'] }), 'allowed', 'config: network.allowedHosts[0]'],
    ['any.example.com:80', undefined, { profile: 'dev' }, 'allowed', 'network.dangerouslyShareHostNetwork'],
    ['read', undefined, {}, 'allowed', 'built-in: file-io'],
    ['clone', undefined, {}, 'depends', 'built-in: namespaces'],
    ['uname', undefined, {}, 'allowed', 'built-in'],
    [
      'uname',
      undefined,
      { config: { syscalls: { deny: ['uname'] } } },
      'refused',
      'config: syscalls.deny[0]',
      '# remove config: syscalls.deny'
    ],
    ['getcwd', undefined, { config: { syscalls: { deny: ['uname'] } } }, 'allowed', 'built-in'],
    ['kcmp', undefined, {}, 'refused', 'built-in', OPEN],
    ['kcmp', undefined, { config: { syscalls: { allow: ['kcmp'] } } }, 'allowed', 'syscalls.allow'],
    ['init_module', undefined, {}, 'refused', 'built-in', 'fixed: QI_SYSCALLS'],
    ['connect', undefined, rules({ allowedHosts: ['*'] }), 'depends', 'built-in: connect']
  ]

describe('why', () => {
  it.each(CASES)('%s (%s) of %j is %s by %s', (what, access, given, state, origin, flip) => {
    const found = answer(what, access, given)
    expect(found.state).toBe(state)
    expect(found.origin).toContain(origin)
    const told = found.change ? (found.change.flag ?? found.change.yaml) : found.fixed && `fixed: ${found.fixed}`
    if (flip === undefined) expect(told).toBeUndefined()
    else expect(told?.slice(0, flip.length)).toBe(flip)
  })

  it.each(CASES.filter(([, , , , , flip]) => flip?.startsWith('--')))(
    '%s (%s) of %j: the change flips it',
    (what, access, given) => {
      const { change } = answer(what, access, given)
      const yaml = change?.yaml as string
      const [, section, key, value] = /^(\w+): \{ (\w+): \[(.*)\] \}$/.exec(yaml) ?? []
      const more = { [section as string]: { [key as string]: [JSON.parse(value as string)] } } as SandboxConfig
      const config = withMore(given.config ?? {}, more)
      expect(answer(what, access, { ...given, config }).state).toBe('allowed')
    }
  )

  it('refuses to guess what is many hosts, or nothing at all', () => {
    for (const what of ['*.example.com', '10.0.0.0/8', '*', 'no such thing'])
      expect(() => answer(what, undefined)).toThrow(/QI_USAGE|is many hosts|is no path/)
  })
})

const PERMISSIVE: SandboxConfig = { enforcement: 'permissive' }
const OCI = JSON.stringify({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    { names: ['getcwd'], action: 'SCMP_ACT_ERRNO' },
    { names: ['uname'], action: 'SCMP_ACT_KILL' }
  ]
})

describe('why, of a permissive jail', () => {
  const IMPORTED: SandboxConfig = { syscalls: { oci: '~/oci.json' } }
  const OWN_LOOPBACK: SandboxConfig = { network: { innerLoopback: true } }
  it.each<[what: string, access: Access | undefined, config: SandboxConfig, outcome: string | undefined]>([
    ['~/data/notes.txt', undefined, {}, 'let through'],
    ['~/data/notes.txt', 'write', {}, 'refused'],
    ['~/data/notes.txt', undefined, { filesystem: { readOnlyPaths: ['~/data'] } }, undefined],
    ['~/data/notes.txt', undefined, { filesystem: { deniedPaths: ['~/data'] } }, 'refused'],
    ['~/.ssh/id_ed25519', undefined, {}, 'refused'],
    ['/run/db.sock', undefined, {}, 'refused'],
    ['/dev/sda', undefined, {}, 'refused'],
    ['api.example.com:443', undefined, {}, 'let through'],
    ['api.example.com:443', undefined, { network: { allowedHosts: ['api.example.com'] } }, undefined],
    ['api.example.com:443', undefined, { network: { deniedHosts: ['*.example.com'] } }, 'refused'],
    ['10.0.0.5:5432', undefined, {}, 'refused'],
    ['localhost:5432', undefined, {}, 'depends'],
    ['localhost:5432', undefined, OWN_LOOPBACK, 'depends'],
    ['ntp.example.com:123/udp', undefined, {}, 'let through'],
    ['ntp.example.com:124/udp', undefined, {}, 'refused'],
    ['8.8.8.8:123/udp', undefined, {}, 'let through'],
    ['ptrace', undefined, {}, 'let through'],
    ['ptrace', undefined, { syscalls: { deny: ['ptrace'] } }, 'refused'],
    ['ptrace', undefined, { syscalls: { allow: ['ptrace'] } }, undefined],
    ['bpf', undefined, {}, 'refused'],
    ['clone', undefined, {}, 'depends'],
    ['getcwd', undefined, IMPORTED, 'let through'],
    ['uname', undefined, IMPORTED, 'refused'],
    ['read', undefined, IMPORTED, undefined]
  ])('%s (%s) of %j: %s', (what, access, config, outcome) => {
    const tree = { '/run/db.sock': 'socket:', '/home/u/oci.json': OCI }
    const found = answer(what, access, { tree, config: { ...config, ...PERMISSIVE } })
    expect(found.permissive).toBe(outcome)
    const { permissive: _outcome, ...verdict } = found
    expect(verdict).toEqual(answer(what, access, { tree, config }))
    expect(answerText(found, (_, text) => text).includes('permissive: recorded')).toBe(outcome !== undefined)
  })
})
