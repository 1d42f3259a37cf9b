import { describe, expect, it } from 'vitest'
import { parseHostPattern } from '../../src/network/host.js'

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
    ['::/0', 'every IPv4 address'],
    ['::/64', 'every IPv4 address'],
    // what people paste
    ['https://example.com/path', 'is a URL', 'example.com:443'],
    ['http://example.com:8080', 'is a URL', 'example.com:8080'],
    ['example.com/path', 'neither a host nor a network', 'without a path']
  ])('%j', (written, reason, hint = '') => {
    const read = parseHostPattern(written)
    expect(read).toEqual({ reason: expect.stringContaining(reason), hint: expect.stringContaining(hint) })
  })
})
