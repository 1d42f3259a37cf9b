import { describe, expect, it } from 'vitest'
import { compileNetwork } from '../../src/network/compile.js'
import { toNetwork } from '../../src/network/document.js'
import { parseHostPattern } from '../../src/network/host.js'
import { mergeNetwork } from '../../src/network/merge.js'
import { relays, resolverText, rulesText } from '../../src/network/text.js'
import { RelayKind } from '../../src/plan/layout.gen.js'
import { parseConfig, type SandboxConfig } from '../../src/policy/config.js'
import { codeOf, resolveOn } from '../profile/fake.js'

const name = (host: string) => ({ kind: 'name', name: host })
const below = (host: string) => ({ kind: 'below', name: host })
const net = (address: string, prefix: number) => ({ kind: 'net', address, prefix })
const LONG = `${`${'a'.repeat(63)}.`.repeat(3)}${'a'.repeat(61)}` // 253 bytes

describe('a host as it may be written', () => {
  it.each<[string, object, number?]>([
    ['example.com', name('example.com')],
    ['Example.COM', name('example.com')],
    ['example.com.', name('example.com')],
    ['example.com:443', name('example.com'), 443],
    ['db', name('db')],
    ['_srv.a-b.example', name('_srv.a-b.example')],
    ['3com.example', name('3com.example')],
    ['bücher.example', name('xn--bcher-kva.example')],
    ['BÜCHER.example:80', name('xn--bcher-kva.example'), 80],
    ['bu\u0308cher.example', name('xn--bcher-kva.example')],
    ['xn--bcher-kva.example', name('xn--bcher-kva.example')],
    ['пример.example', name('xn--e1afmkfd.example')],
    [LONG, name(LONG)],
    ['*', { kind: 'any' }],
    ['*:443', { kind: 'any' }, 443],
    ['*.example.com', below('example.com')],
    ['*.Example.com:8443', below('example.com'), 8443],
    ['*.bücher.example', below('xn--bcher-kva.example')],
    ['192.0.2.1', net('192.0.2.1', 32)],
    ['192.0.2.1:65535', net('192.0.2.1', 32), 65535],
    ['169.254.169.254:80', net('169.254.169.254', 32), 80],
    ['2001:db8::1', net('2001:db8::1', 128)],
    ['2001:DB8:0:0::1', net('2001:db8::1', 128)],
    ['2001:db8::1:443', net('2001:db8::1:443', 128)],
    ['[2001:db8::1]', net('2001:db8::1', 128)],
    ['[2001:db8::1]:443', net('2001:db8::1', 128), 443],
    ['64:ff9b::192.0.2.1', net('64:ff9b::c000:201', 128)],
    ['10.0.0.0/8', net('10.0.0.0', 8)],
    ['10.0.0.0/8:5432', net('10.0.0.0', 8), 5432],
    ['0.0.0.0/0', net('0.0.0.0', 0)],
    ['192.0.2.1/32', net('192.0.2.1', 32)],
    ['2001:db8::/32', net('2001:db8::', 32)],
    ['[2001:db8::]/32:443', net('2001:db8::', 32), 443],
    ['[2001:db8::/32]:443', net('2001:db8::', 32), 443],
    ['localhost:5432', { kind: 'loopback' }, 5432],
    ['127.0.0.1:80', { kind: 'loopback' }, 80],
    ['[::1]:80', { kind: 'loopback' }, 80]
  ])('%s', (written, pattern, port) => {
    expect(parseHostPattern(written)).toEqual({ value: { pattern, ...(port === undefined ? {} : { port }) } })
  })

  it('what is denied may be wider', () => {
    expect(parseHostPattern('*.zip', 'deny')).toEqual({ value: { pattern: below('zip') } })
    expect(parseHostPattern('*', 'deny')).toMatchObject({ reason: 'would deny every host' })
  })
})

describe('a host as it may not be written', () => {
  it.each<[written: string, reason: string, hint?: string]>([
    ['', 'is empty'],
    [' example.com', 'a space'],
    ['example.com ', 'a space'],
    ['exa mple.com', 'a space'],
    ['example.com\n', 'control character'],
    ['example.com\0.evil.example', 'control character'],
    ['exa\x7fmple.com', 'control character'],
    ['exa\x01mple.com', 'control character'],
    ['exa\u00a0mple.com', 'a space'],
    ['exa\u0085mple.com', 'characters that no host name has'],
    // other spellings of IPv4
    ['0x7f.1', 'looks like an IPv4 address'],
    ['0x7f.0.0.1', 'looks like an IPv4 address'],
    ['0x7f000001', 'looks like an IPv4 address'],
    ['0X7F.0.0.0X1', 'looks like an IPv4 address'],
    ['127.1', 'looks like an IPv4 address'],
    ['2130706433', 'looks like an IPv4 address'],
    ['010.0.0.1', 'looks like an IPv4 address'],
    ['0177.0.0.1', 'looks like an IPv4 address'],
    ['1.2.3.4.', 'looks like an IPv4 address'],
    ['1.2.3.4.5', 'looks like an IPv4 address'],
    ['1.2.3.256', 'looks like an IPv4 address'],
    ['example.0x', 'looks like an IPv4 address'],
    ['１２７.0.0.1', 'no host name has'],
    ['①②⑦.0.0.1', 'no host name has'],
    ['*.1.2.3', 'looks like an IPv4 address'],
    // addresses that are nobody's or the host's own
    ['0.0.0.0', "no host's address"],
    ['::', "no host's address"],
    ['0.1.2.3', "no host's address"],
    ['224.0.0.1', "no host's address"],
    ['ff02::1', "no host's address"],
    ['255.255.255.255:80', "no host's address"],
    ['127.0.0.2:80', 'loopback', '127.0.0.1:PORT'],
    ['localhost', 'the host itself', 'localhost:PORT'],
    ['LOCALHOST.', 'the host itself'],
    ['127.0.0.1', 'the host itself', '127.0.0.1:PORT'],
    ['::1', 'the host itself'],
    ['a.localhost:80', 'loopback', 'localhost:PORT'],
    ['*.localhost', 'loopback'],
    ['::ffff:127.0.0.1', 'IPv6 form', '127.0.0.1'],
    ['[::ffff:10.0.0.1]:80', 'IPv6 form', '10.0.0.1'],
    ['fe80::1%eth0', 'a zone'],
    ['[fe80::1%eth0]:80', 'a zone'],
    ['[fe80::1%25eth0]:80', 'a zone'],
    // dots and labels
    ['.', 'empty label'],
    ['..', 'empty label'],
    ['example..com', 'empty label'],
    ['example.com..', 'empty label'],
    ['.example.com', 'starts with a dot', '*.example.com'],
    [`${'a'.repeat(64)}.com`, 'label of 64'],
    [`a.${LONG}`, 'longer than 253'],
    [`${'a.'.repeat(127)}a`, 'longer than 253'],
    // stars
    ['*.com', 'top-level domain', '"*"'],
    ['*.', 'empty label'],
    ['**', 'whole labels'],
    ['**.example.com', 'whole labels'],
    ['*example.com', 'whole labels'],
    ['a.*.com', 'whole labels'],
    ['example.*', 'whole labels'],
    ['*.*.com', 'whole labels'],
    // letters
    ['exаmple.com', 'look alike', 'xn--exmple-4nf'], // Cyrillic а
    ['gοogle.com', 'look alike'], // Greek ο
    ['ｅxample.com', 'plain form', 'example'],
    ['example。com', 'no host name has'],
    ['exam\u00adple.com', 'plain form', 'example'],
    ['exam\u200dple.com', 'no host name has'],
    ['\u212aelvin.example', 'plain form', 'kelvin'],
    ['a\u202emoc.example', 'no host name has'],
    ['xn--zzzzzzz\u00fc', 'no host name has'],
    ['xn--a.example', 'no valid punycode'],
    ['ex"ample.com', 'holds "\\""'],
    ['user@example.com', 'holds "@"'],
    ['a,b.example', 'holds ","'],
    ['a;b.example', 'holds ";"'],
    ['a\\b.example', 'holds "\\\\"'],
    // ports
    ['example.com:0', 'the port "0"'],
    ['example.com:65536', 'the port "65536"'],
    ['example.com:', 'the port ""'],
    ['example.com:0443', 'the port "0443"'],
    ['example.com:+443', 'the port "+443"'],
    ['example.com:443x', 'the port "443x"'],
    ['example.com:0x1bb', 'the port "0x1bb"'],
    ['example.com:https', 'the port "https"'],
    ['example.com:*', 'the port "*"'],
    ['[2001:db8::1]:', 'the port ""'],
    ['[2001:db8::1]:0', 'the port "0"'],
    ['a:1:2', 'neither an IPv6 address'],
    ['[example.com]:443', 'brackets'],
    ['[192.0.2.1]', 'brackets'],
    ['[2001:db8::1', 'neither an IPv6 address'],
    ['[2001:db8::1]443', 'neither an IPv6 address'],
    // networks
    ['10.0.0.1/8', 'bits set after the prefix', '10.0.0.0/8'],
    ['10.1.2.3/0', 'bits set', '0.0.0.0/0'],
    ['2001:db8::1/32', 'bits set after the prefix', '2001:db8::/32'],
    ['10.0.0.0/33', 'the prefix length "33"'],
    ['10.0.0.0/-1', 'the prefix length'],
    ['10.0.0.0/08', 'the prefix length'],
    ['10.0.0.0/255.0.0.0', 'the prefix length'],
    ['10.0.0.0/', 'the prefix length'],
    ['10/8', 'neither a host nor a network'],
    ['2001:db8::/129', 'the prefix length'],
    ['[2001:db8::/32]/32', 'two prefix lengths'],
    ['127.0.0.0/8', 'loopback'],
    ['127.0.0.1/32', 'the host itself'],
    ['127.1.0.0/16:80', 'loopback'],
    ['224.0.0.0/4', 'multicast'],
    ['239.1.0.0/16', 'multicast'],
    ['0.0.0.0/8', 'unspecified'],
    ['::ffff:10.0.0.0/104', 'IPv6 form', '10.0.0.0/8'],
    // what people paste
    ['https://example.com/path', 'is a URL', 'example.com:443'],
    ['http://example.com:8080', 'is a URL', 'example.com:8080'],
    ['example.com/path', 'neither a host nor a network', 'without a path']
  ])('%j', (written, reason, hint = '') => {
    const read = parseHostPattern(written)
    expect(read).toEqual({ reason: expect.stringContaining(reason), hint: expect.stringContaining(hint) })
  })
})

type Network = NonNullable<SandboxConfig['network']>

const compile = (layers: Network[], askMs?: number) =>
  compileNetwork(
    mergeNetwork(
      layers.map((network, i) => ({ origin: `layer ${i}`, network: parseConfig({ network }).network as object }))
    ),
    askMs
  )

/** Without the line that every set of rules has. */
function lines(...layers: Network[]): string[] {
  const { mode, rules } = compile(layers)
  if (!rules) return [mode]
  return rulesText(rules)
    .split('\n')
    .filter((line) => line !== 'on-denied 13')
}

describe('rules as qi-monitor reads them', () => {
  it.each<[Network, string[]]>([
    [{ allowedHosts: ['Example.com'] }, ['host allow exact example.com tcp 1-65535']],
    [{ allowedHosts: ['*.example.com:443'] }, ['host allow below example.com tcp 443-443']],
    [{ allowedHosts: ['*'] }, ['public allow tcp 1-65535']],
    [{ denyInternet: false }, ['public allow tcp 1-65535']],
    [{ denyInternet: false, allowedPorts: [443, 80] }, ['public allow tcp 80-80', 'public allow tcp 443-443']],
    [{ allowedHosts: ['192.0.2.1:80'] }, ['net allow 192.0.2.1/32 tcp 80-80']],
    [{ allowedHosts: ['[2001:DB8::]/32:443'] }, ['net allow 2001:db8::/32 tcp 443-443']],
    [
      { allowedHosts: ['a.example', 'b.example:22'], allowedPorts: [443, 80, 81] },
      [
        'host allow exact a.example tcp 80-81',
        'host allow exact a.example tcp 443-443',
        'host allow exact b.example tcp 22-22'
      ]
    ],
    [
      { allowedHosts: [{ host: 'a.example', ports: [1, 2, 4] }] },
      ['host allow exact a.example tcp 1-2', 'host allow exact a.example tcp 4-4']
    ],
    [{ allowedHosts: [{ host: 'a.example', inspect: 'sni' }] }, ['host allow exact a.example tcp 443-443 inspect']],
    [
      { allowedHosts: [{ host: '*.a.example', ports: [8443], inspect: 'sni' }] },
      ['host allow below a.example tcp 8443-8443 inspect']
    ],
    [{ allowedHosts: ['a.example', 'A.example.', 'a.example'] }, ['host allow exact a.example tcp 1-65535']],
    [
      { allowedHosts: ['*'], deniedHosts: ['*.zip', '10.0.0.0/8:443'], allowedPorts: [443] },
      [
        'host deny below zip tcp 1-65535',
        'host deny below zip udp 1-65535',
        'net deny 10.0.0.0/8 tcp 443-443',
        'net deny 10.0.0.0/8 udp 443-443',
        'public allow tcp 443-443'
      ]
    ],
    [{ udp: ['time.example:123', '*:443'] }, ['host allow exact time.example udp 123-123', 'public allow udp 443-443']],
    [{ allowedHosts: ['localhost:5432'], allowLoopback: [5432, 6379] }, ['loopback 5432', 'loopback 6379']],
    [{ allowedHosts: [{ host: 'localhost', ports: [1, 2] }] }, ['loopback 1', 'loopback 2']],
    [{ allowLoopback: [80, 81], deniedHosts: ['localhost:80'] }, ['loopback 81']],
    [{ publish: [3000], maxConnections: 5 }, ['publish 3000', 'max-connections 5']],
    [
      { allowedHosts: ['a.example'], onDenied: 'ENETUNREACH' },
      ['host allow exact a.example tcp 1-65535', 'on-denied 101']
    ],
    [{ updatable: true }, []]
  ])('%j', (network, expected) => expect(lines(network)).toEqual(expected))

  it.each<Network>([
    {},
    { allowedHosts: [], allowedPorts: [], udp: [], publish: [], allowLoopback: [], denyInternet: true },
    { maxConnections: 5 },
    { deniedHosts: ['a.example'] },
    { allowedPorts: [443] },
    { onDenied: 'ECONNREFUSED' },
    { updatable: false }
  ])('%j is no network', (network) => expect(compile([network])).toEqual({ mode: 'none' }))

  it('asking is a rule of its own', () => {
    const { mode, rules } = compile([{}], 1500)
    expect(mode).toBe('allowList')
    expect(rules && rulesText(rules)).toBe('on-denied 13\nask 1500')
  })

  it('sockets of the gateway follow from them', () => {
    const hosts = [{ host: 'a.example', ports: [443, 444], inspect: 'sni' as const }, 'b.example:80']
    const { rules } = compile([{ allowedHosts: hosts, udp: ['c.example:123', 'd.example:123'] }])
    expect(rules && relays(rules)).toEqual([
      { kind: RelayKind.DnsUdp, port: 53 },
      { kind: RelayKind.DnsTcp, port: 53 },
      { kind: RelayKind.Udp, port: 123 },
      { kind: RelayKind.Inspect, port: 443 },
      { kind: RelayKind.Inspect, port: 444 }
    ])
  })

  it.each<[Network, string]>([
    [{ publish: [80], allowLoopback: [80] }, 'network.publish[0]'],
    [{ publish: [80], allowedHosts: ['localhost:80'] }, 'network.publish[0]'],
    [{ publish: [53] }, 'network.publish[0]'],
    [{ allowLoopback: [53] }, 'network.allowLoopback[0]'],
    [{ allowedHosts: ['127.0.0.1:53'] }, 'network.allowedHosts[0]'],
    [{ publish: [443], allowedHosts: [{ host: 'a.example', inspect: 'sni' }] }, 'network.publish[0]'],
    [{ allowedHosts: [{ host: 'a.example', ports: [53], inspect: 'sni' }] }, 'network.allowedHosts[0]'],
    [{ allowedHosts: ['a.example'], allowedPorts: [] }, 'network.allowedPorts'],
    [{ publish: Array.from({ length: 257 }, (_, i) => i + 100) }, 'network.publish'],
    [{ udp: Array.from({ length: 70 }, (_, i) => `a.example:${i + 100}`) }, 'network'],
    [{ allowedHosts: Array.from({ length: 4097 }, (_, i) => `a${i}.example`) }, 'network.allowedHosts']
  ])('%j contradicts itself at %s', (network, field) => {
    try {
      compile([network])
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ code: 'QI_NETWORK', field, hint: expect.any(String) })
    }
  })
})

describe('layers', () => {
  const a: Network = { allowedHosts: ['a.example'] }
  const b: Network = { allowedHosts: ['b.example'] }
  const share: Network = { dangerouslyShareHostNetwork: true }
  const A = 'host allow exact a.example tcp 1-65535'
  const B = 'host allow exact b.example tcp 1-65535'

  it('lists add up, with their origins; scalars: the last word', () => {
    expect(lines(a, b)).toEqual([A, B])
    expect(compile([a, b]).rules?.hosts.map((h) => h.origin)).toEqual([
      'layer 0: network.allowedHosts[0]',
      'layer 1: network.allowedHosts[0]'
    ])
    expect(lines({ publish: [1], maxConnections: 1 }, { publish: [1, 2], maxConnections: 2 })).toEqual([
      'publish 1',
      'publish 2',
      'max-connections 2'
    ])
    expect(lines(a, { ...b, allowedPorts: [80] })).toEqual([A, B].map((line) => line.replace('1-65535', '80-80')))
  })

  it('a later denyInternet takes back what is open to everybody, not what is named', () => {
    expect(lines(a, { denyInternet: true })).toEqual([A])
    expect(lines(a, { denyInternet: false }, { denyInternet: true })).toEqual([A])
    expect(lines({ allowedHosts: ['*:443', 'b.example'] }, { denyInternet: true })).toEqual([B])
    expect(lines({ denyInternet: true }, { denyInternet: false })).toEqual(['public allow tcp 1-65535'])
  })

  it('who lists hosts over a shared network means these; what cannot be enforced there is refused', () => {
    expect(lines(share)).toEqual(['dangerouslyShareHostNetwork'])
    expect(lines(share, a)).toEqual([A])
    expect(lines(share, { denyInternet: true })).toEqual(['none'])
    expect(lines(a, share)).toEqual(['dangerouslyShareHostNetwork'])
    for (const limit of [{ deniedHosts: ['a.example'] }, { maxConnections: 1 }, { allowedPorts: [1] }] as Network[]) {
      expect(codeOf(() => compile([share, limit]))).toBe('QI_NETWORK')
      expect(codeOf(() => compile([limit, share]))).toBe('QI_NETWORK')
    }
    expect(codeOf(() => compile([share], 1000))).toBe('QI_NETWORK')
  })
})

describe('the profile', () => {
  const fileOf = (profile: ReturnType<typeof resolveOn>, path: string) =>
    profile.files.find((file) => file.path === path)?.content
  const tree = {
    '/run/resolv.conf': [
      '# mine',
      'nameserver 192.0.2.53 # first',
      'nameserver fe80::1%eth0',
      'nameserver 2001:DB8::53',
      'nameserver 0x7f.1',
      'nameserver 192.0.2.54',
      'nameserver 192.0.2.55',
      'domain old.example',
      'search Corp.example. bad..name lab.example',
      'options ndots:5 rotate',
      ''
    ].join('\n'),
    '/etc/hosts': [
      '127.0.0.1 localhost localhost.localdomain',
      '::1 ip6-localhost',
      '0.0.0.0 ads.example',
      '10.0.0.9 other.example # x',
      '10.0.0.7\tdb.corp.example DB',
      'nonsense a.example',
      '127.0.1.1 box'
    ].join('\n')
  }
  const config: SandboxConfig = { network: { allowedHosts: ['db', '*.corp.example:443'] } }

  it('looks up names as the host does, through the gateway', () => {
    const profile = resolveOn({ config, tree })
    expect(profile.network.mode).toBe('allowList')
    expect(profile.network.resolver && resolverText(profile.network.resolver).split('\n')).toEqual([
      'nameserver 192.0.2.53',
      'nameserver 2001:db8::53',
      'nameserver 192.0.2.54',
      'search corp.example',
      'search lab.example',
      'hosts 10.0.0.7 db.corp.example',
      'hosts 10.0.0.7 db',
      'hosts 10.0.0.9 other.example',
      'hosts 127.0.1.1 box'
    ])
    const resolv = 'nameserver 127.0.0.1\nsearch corp.example lab.example\noptions timeout:5 attempts:2\n'
    expect(fileOf(profile, '/etc/resolv.conf')).toBe(resolv)
    expect(fileOf(profile, '/etc/hosts')).toBe(fileOf(resolveOn({ tree }), '/etc/hosts'))
  })

  it('waits for a person who is asked', () => {
    const profile = resolveOn({ askMs: 20_000, tree: { '/run/resolv.conf': '' } })
    expect(profile.network).toMatchObject({ rules: { askMs: 20_000 }, resolver: { nameservers: ['127.0.0.1'] } })
    expect(fileOf(profile, '/etc/resolv.conf')).toBe('nameserver 127.0.0.1\noptions timeout:15 attempts:2\n')
  })

  it('knows at most 256 names of the table, those that are allowed first', () => {
    const many = Array.from({ length: 400 }, (_, i) => `10.0.0.1 h${i}.example`).join('\n')
    const { resolver } = resolveOn({ config, tree: { '/etc/hosts': `${many}\n10.0.0.2 db` } }).network
    expect(resolver?.hosts).toHaveLength(256)
    expect(resolver?.hosts[0]).toEqual({ address: '10.0.0.2', name: 'db' })
  })

  it('without rules is what it was', () => {
    const { origins, ...profile } = resolveOn({ config: { network: { maxConnections: 5 } } })
    expect(origins).toEqual({ 'network.maxConnections': 'config: network.maxConnections' })
    expect({ ...profile, origins: {} }).toEqual(resolveOn())
    expect(resolveOn().network).toEqual({ mode: 'none', innerLoopback: false })
  })

  it('the rules of a policy document are the same rules', () => {
    const document = { allowed_hosts: ['a.example:443'], denied_hosts: ['b.example'], max_connections: 3 }
    const network = toNetwork(document)
    expect(network).toEqual({ allowedHosts: ['a.example:443'], deniedHosts: ['b.example'], maxConnections: 3 })
    expect(lines(network)).toContain('host allow exact a.example tcp 443-443')
    expect(toNetwork({})).toEqual({})
  })
})
