import { type Address, isLoopback, mapped, networkOf, noHost, parseAddress } from './address.js'
import { fault, parseName, type Read } from './name.js'
import type { HostPattern } from './types.js'

export interface HostEntry {
  pattern: HostPattern
  port?: number
}

/**
 * `example.com`, `*.example.com`, `*`, `192.0.2.1`, `2001:db8::1`, `10.0.0.0/8`, each with `:port` (`[2001:db8::]/32:443`), or
 * what is wrong with it. `deny`: may be wider.
 */
export function parseHostPattern(written: string, action: 'allow' | 'deny' = 'allow'): Read<HostEntry> {
  const read = parseHost(written, action)
  if ('reason' in read || read.value.pattern.kind !== 'loopback' || read.value.port !== undefined) return read
  if (action === 'deny') return read
  return fault('is the host itself, all its services', `name the one that is needed: ${written}:PORT`)
}

/** As above; the ports of the loopback may be named elsewhere. */
export function parseHost(written: string, action: 'allow' | 'deny' = 'allow'): Read<HostEntry> {
  if (written === '') return fault('is empty', 'name a host, or leave it out')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they end or hide a part of what a person sees
  if (/[\s\x00-\x20\x7f]/.test(written)) return fault('holds a space or a control character', 'remove it')
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(written)) return fault('is a URL', `write the host only: ${hostOfUrl(written)}`)
  const split = splitPort(written)
  if ('reason' in split) return split
  const { host, port } = split.value
  const pattern = hostOf(host, action)
  if ('reason' in pattern) return pattern
  return { value: { pattern: pattern.value, ...(port === undefined ? {} : { port }) } }
}

function hostOfUrl(written: string): string {
  if (!URL.canParse(written)) return 'example.com:443'
  const { hostname, port, protocol } = new URL(written)
  const usual: Record<string, string> = { 'https:': '443', 'http:': '80', 'wss:': '443', 'ws:': '80' }
  const number = port || usual[protocol]
  return number ? `${hostname}:${number}` : hostname
}

function splitPort(written: string): Read<{ host: string; port?: number }> {
  const bracketed = /^\[([^\]]*)\](\/[^:]*)?(?::(.*))?$/s.exec(written)
  if (bracketed) {
    const [, address = '', prefix = '', port] = bracketed
    if (!address.includes(':')) return fault('has brackets around what is no IPv6 address', 'leave them out')
    if (prefix && address.includes('/')) return fault('has two prefix lengths', 'keep one')
    return withPort(`${address}${prefix}`, port)
  }
  const colons = written.split(':').length - 1
  // Without brackets an IPv6 address has no port: 2001:db8::1:443 is all address.
  if (colons !== 1) return { value: { host: written } }
  const at = written.indexOf(':')
  return withPort(written.slice(0, at), written.slice(at + 1))
}

function withPort(host: string, written: string | undefined): Read<{ host: string; port?: number }> {
  if (written === undefined) return { value: { host } }
  const port = /^[1-9]\d{0,4}$/.test(written) ? Number(written) : 0
  if (port < 1 || port > 65535)
    return fault(`has the port ${JSON.stringify(written)}`, 'a port is a whole number from 1 to 65535')
  return { value: { host, port } }
}

function hostOf(host: string, action: 'allow' | 'deny'): Read<HostPattern> {
  if (host === '*') {
    if (action === 'deny') return fault('would deny every host', 'allow none instead: leave allowedHosts empty')
    return { value: { kind: 'any' } }
  }
  if (host.startsWith('*.')) return below(host.slice(2), action)
  if (host.includes('/')) return network(host)
  if (host.includes(':')) return address(host)
  const ip = parseAddress(host)
  if (ip) return single(ip, host)
  const name = parseName(host)
  if ('reason' in name) return name
  if (name.value === 'localhost') return { value: { kind: 'loopback' } }
  if (name.value.endsWith('.localhost'))
    return fault('is a name of the loopback', 'write localhost:PORT for a service of the host')
  return { value: { kind: 'name', name: name.value } }
}

function below(domain: string, action: 'allow' | 'deny'): Read<HostPattern> {
  const name = parseName(domain)
  if ('reason' in name) return name
  if (/(?:^|\.)localhost$/.test(name.value)) return fault('is the loopback', 'write localhost:PORT')
  if (action === 'allow' && !name.value.includes('.'))
    return fault('allows a whole top-level domain', 'write *.example.com, or "*" for every public host')
  return { value: { kind: 'below', name: name.value } }
}

function address(host: string): Read<HostPattern> {
  if (host.includes('%')) return fault('has a zone', 'zones name an interface of one machine: write the address alone')
  const ip = parseAddress(host)
  if (ip) return single(ip, host)
  return fault('is neither an IPv6 address nor a host with one port', 'write host:port or [address]:port')
}

function single(ip: Address, written: string): Read<HostPattern> {
  const four = mapped(ip)
  if (four) return fault('is an IPv4 address in IPv6 form', `write ${four}`)
  if (ip.text === '127.0.0.1' || ip.text === '::1') return { value: { kind: 'loopback' } }
  if (isLoopback(ip)) return fault('is a loopback address', `write 127.0.0.1:PORT in place of ${written}`)
  const nobody = noHost(ip)
  if (nobody) return fault(`is no host's address (${nobody})`, 'name a host; "*" is every public one')
  return { value: { kind: 'net', address: ip.text, prefix: ip.bits } }
}

function network(written: string): Read<HostPattern> {
  const at = written.indexOf('/')
  const base = parseAddress(written.slice(0, at))
  const length = written.slice(at + 1)
  if (!base) {
    const hint = 'write the host only, without a path; a network is address/prefix, as in 10.0.0.0/8'
    return fault('is neither a host nor a network', hint)
  }
  const prefix = /^(?:0|[1-9]\d{0,2})$/.test(length) ? Number(length) : -1
  if (prefix < 0 || prefix > base.bits)
    return fault(`has the prefix length ${JSON.stringify(length)}`, `it is a number from 0 to ${base.bits}`)
  const whole = networkOf(base, prefix)
  if (whole.value !== base.value) {
    const hint = `write ${whole.text}/${prefix} for the network, or ${base.text} for the one host`
    return fault('has bits set after the prefix', hint)
  }
  if (prefix === base.bits) return single(base, base.text)
  const four = prefix >= 96 && mapped(base)
  if (four) return fault('is an IPv4 network in IPv6 form', `write ${four}/${prefix - 96}`)
  if (isLoopback(base, prefix)) return fault('is the loopback', 'write 127.0.0.1:PORT')
  const nobody = noHost(base, prefix)
  if (nobody) return fault(`holds ${nobody} addresses only`, 'name a network of hosts')
  return { value: { kind: 'net', address: base.text, prefix } }
}
