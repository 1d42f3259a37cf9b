import { networkOf, parseAddress } from './address.js'
import { type AllowedHost, readEntry, usualPorts } from './entry.js'
import { type NetworkPolicy, portsOf } from './merge.js'
import type { HostPattern } from './types.js'

/** Does every host of `inner` belong to `outer`? `isLocal`: the host's own table has such a name, maybe private. */
export function covers(outer: HostPattern, inner: HostPattern, isLocal: (inner: HostPattern) => boolean): boolean {
  switch (outer.kind) {
    case 'any':
      // Public hosts only. An address may be private and a network hold private ones.
      return inner.kind === 'any' || ((inner.kind === 'name' || inner.kind === 'below') && !isLocal(inner))
    case 'name':
      return inner.kind === 'name' && inner.name === outer.name
    case 'below':
      return (inner.kind === 'name' || inner.kind === 'below') && isBelow(inner, outer.name)
    case 'net':
      return inner.kind === 'net' && holds(outer, inner)
    case 'loopback':
      return inner.kind === 'loopback'
  }
}

type Net = Extract<HostPattern, { kind: 'net' }>

// A network that is wider than one of these stands for its public addresses only (docs/network.md): what lies in such a
// block is then no part of it, and a network inside one that was written as such is.
const BLOCKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'].map((text): Net => {
  const [address = '', prefix] = text.split('/')
  return { kind: 'net', address, prefix: Number(prefix) }
})
// No block of special addresses of IPv4 is smaller.
const SMALLEST = 24

function holds(outer: Net, inner: Net): boolean {
  if (!contains(outer, inner)) return false
  if (inner.prefix === outer.prefix || BLOCKS.some((block) => contains(block, outer))) return true
  return !outer.address.includes(':') && outer.prefix >= SMALLEST
}

function contains(outer: Net, inner: Net): boolean {
  const [base, address] = [parseAddress(outer.address), parseAddress(inner.address)]
  if (!base || base.bits !== address?.bits || inner.prefix < outer.prefix) return false
  return networkOf(address, outer.prefix).value === base.value
}

const isBelow = (inner: { kind: string; name: string }, domain: string): boolean =>
  inner.name.endsWith(`.${domain}`) || (inner.kind === 'below' && inner.name === domain)

/** May a connection exist that both speak of? */
const overlap = (a: HostPattern, b: HostPattern): boolean =>
  a.kind === 'any' || b.kind === 'any' || covers(a, b, () => false) || covers(b, a, () => false)

/** Is all that `entry` would allow, with these `allowedPorts`, allowed by `policy` already? */
export function isAllowed(
  policy: NetworkPolicy,
  written: AllowedHost,
  allowedPorts: number[] | undefined,
  isLocal: (inner: HostPattern) => boolean
): boolean {
  if (policy.shareHost) return true
  const entry = readEntry(written)
  if (entry.pattern.kind === 'loopback') return (entry.ports ?? []).every((port) => reachesLoopback(policy, port))
  const ports = entry.ports ?? usualPorts(entry.inspect, allowedPorts)
  const known = policy.allowed.map((one) => {
    const read = readEntry(one.value)
    return { pattern: read.pattern, inspect: read.inspect, ports: portsOf(one, policy) }
  })
  // Where any rule asks for inspection, that rule is obeyed: leaving it out would take the inspection away.
  if (!entry.inspect && known.some((k) => k.inspect && overlap(k.pattern, entry.pattern))) return false
  const holders = known.filter((k) => covers(k.pattern, entry.pattern, isLocal))
  if (ports === undefined) return holders.some((k) => k.ports === undefined)
  // Today it comes to no port. A later file may open some, to it too.
  if (ports.length === 0) return holders.length > 0
  return ports.every((port) => holders.some((k) => k.ports === undefined || k.ports.includes(port)))
}

export function reachesLoopback(policy: NetworkPolicy, port: number): boolean {
  if (policy.shareHost || policy.loopback.some(({ value }) => value === port)) return true
  const entries = policy.allowed.map(({ value }) => readEntry(value))
  return entries.some(({ pattern, ports }) => pattern.kind === 'loopback' && ports?.includes(port))
}

/** As isAllowed, of `host:port` by UDP. */
export function isAllowedUdp(
  policy: NetworkPolicy,
  written: string,
  isLocal: (inner: HostPattern) => boolean
): boolean {
  if (policy.shareHost) return true
  const entry = readEntry(written)
  return policy.udp.some(({ value }) => {
    const known = readEntry(value)
    return known.ports?.[0] === entry.ports?.[0] && covers(known.pattern, entry.pattern, isLocal)
  })
}
