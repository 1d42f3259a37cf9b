import { QiError } from '../errors.js'
import { DNS_PORT, type ReadEntry, readEntry } from './entry.js'
import { type AllowedBy, type NetworkPolicy, portsOf, type Written } from './merge.js'
import { hostLine, relays } from './text.js'
import type { HostRule, NetworkRules, PortRule, Transport } from './types.js'

export type NetworkMode = 'none' | 'allowList' | 'dangerouslyShareHostNetwork'

// What qi-monitor takes (native/network/rules.h), and sockets that a jail has from birth.
const MAX_HOSTS = 4096
const MAX_PORTS = 256
const MAX_RELAYS = 64

/**
 * What the policy comes to; rules with `allowList` only. `askMs`: the caller will be asked about what no rule names.
 * @throws QiError QI_NETWORK for rules that contradict each other or cannot be enforced.
 */
export function compileNetwork(
  policy: NetworkPolicy,
  askMs?: number,
  permissive = false
): { mode: NetworkMode; rules?: NetworkRules } {
  if (policy.shareHost) {
    refuseUnshared(policy, askMs)
    return { mode: 'dangerouslyShareHostNetwork' }
  }
  if (permissive) return { mode: 'allowList', rules: checked({ ...rulesOf(policy, unasked(askMs)), permissive }) }
  const rules = rulesOf(policy, askMs)
  const allows = rules.hosts.some((rule) => rule.action === 'allow') || rules.loopback.length + rules.publish.length > 0
  if (!allows && !policy.updatable && askMs === undefined) return { mode: 'none' }
  return { mode: 'allowList', rules }
}

const contradiction = ({ value, field, origin }: Written<unknown>, message: string, hint: string): QiError =>
  new QiError('QI_NETWORK', `${origin} = ${JSON.stringify(value)}: ${message}`, { field, value, hint })

function refuseUnshared({ denied, maxConnections, allowedPorts, onDenied }: NetworkPolicy, askMs?: number): void {
  const limit = [...denied, maxConnections, allowedPorts?.value.length ? allowedPorts : undefined, onDenied].find(
    Boolean
  )
  const hint = 'take another profile, or deny the rest with denyInternet: true'
  if (limit) throw contradiction(limit, 'cannot be enforced on the host’s own network, which is shared', hint)
  if (askMs === undefined) return
  throw new QiError('QI_NETWORK', 'nothing can be asked about the host’s own network, which is shared', {
    field: 'network.dangerouslyShareHostNetwork',
    hint
  })
}

/** Permissive lets through what would be asked about. */
function unasked(askMs: number | undefined): undefined {
  if (askMs === undefined) return undefined
  throw new QiError('QI_NETWORK', 'enforcement: permissive lets hosts through that no rule names: nobody is asked', {
    field: 'enforcement',
    value: 'permissive',
    hint: 'leave out one of the two'
  })
}

function rulesOf(policy: NetworkPolicy, askMs: number | undefined): NetworkRules {
  const loopback = policy.loopback.map(({ value, origin }) => ({ port: value, origin }))
  const hosts: HostRule[] = []
  for (const written of policy.denied) hosts.push(...denials(written))
  for (const written of policy.allowed) {
    const entry = readEntry(written.value)
    if (entry.pattern.kind === 'loopback') {
      for (const port of entry.ports ?? []) loopback.push({ port, origin: written.origin })
    } else hosts.push(...allowances(entry, written, policy))
  }
  for (const { value, origin } of policy.udp) hosts.push(...hostRules('allow', readEntry(value), 'udp', origin))
  const isDenied = deniedLoopback(policy.denied)
  const rules: NetworkRules = {
    hosts: unique(hosts, hostLine),
    loopback: unique(
      loopback.filter(({ port }) => !isDenied(port)),
      portOf
    ),
    publish: unique(
      policy.publish.map(({ value, origin }) => ({ port: value, origin })),
      portOf
    ),
    ...(policy.maxConnections ? { maxConnections: policy.maxConnections.value } : {}),
    onDenied: policy.onDenied?.value ?? 'EACCES',
    ...(policy.allowedPorts?.value.length ? { allowedPorts: policy.allowedPorts.value } : {}),
    ...(askMs === undefined ? {} : { askMs })
  }
  return checked(rules)
}

/** @throws QiError QI_NETWORK */
export function checked(rules: NetworkRules): NetworkRules {
  refuseClashes(rules)
  refuseTooMany(rules)
  return rules
}

export const portOf = ({ port }: PortRule): string => String(port)

/** The first of each. */
export function unique<T>(list: T[], key: (item: T) => string): T[] {
  const first = new Map<string, T>()
  for (const item of list) if (!first.has(key(item))) first.set(key(item), item)
  return [...first.values()]
}

/** `localhost` without a port is all of it. */
export function deniedLoopback(denied: Written<string>[]): (port: number) => boolean {
  const entries = denied.map(({ value }) => readEntry(value, 'deny')).filter((e) => e.pattern.kind === 'loopback')
  return (port) => entries.some(({ ports }) => ports === undefined || ports.includes(port))
}

/** Whatever the transport. */
export function denials({ value, origin }: Pick<Written<string>, 'value' | 'origin'>): HostRule[] {
  const entry = readEntry(value, 'deny')
  return (['tcp', 'udp'] as const).flatMap((transport) => hostRules('deny', entry, transport, origin))
}

function allowances(entry: ReadEntry, written: AllowedBy, policy: NetworkPolicy): HostRule[] {
  const { allowedPorts } = policy
  if (!entry.ports && allowedPorts?.value.length === 0)
    throw contradiction(
      allowedPorts,
      `leaves ${written.field} without a port`,
      'leave it out for any port, or name some'
    )
  const ports = portsOf(written, policy)
  return hostRules('allow', { ...entry, ...(ports ? { ports } : {}) }, 'tcp', written.origin)
}

/** One rule for each run of ports. */
export function hostRules(
  action: 'allow' | 'deny',
  { pattern, ports, inspect }: ReadEntry,
  transport: Transport,
  origin: string
): HostRule[] {
  if (pattern.kind === 'loopback') return []
  const runs = ports ? runsOf(ports) : [{ low: 1, high: 65535 }]
  return runs.map((run) => ({ action, pattern, transport, ...run, inspect, origin }))
}

function runsOf(ports: number[]): { low: number; high: number }[] {
  const runs: { low: number; high: number }[] = []
  for (const port of [...new Set(ports)].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last && last.high === port - 1) last.high = port
    else runs.push({ low: port, high: port })
  }
  return runs
}

/** A port of the jail has one meaning. */
function refuseClashes({ hosts, loopback, publish }: NetworkRules): void {
  const inspected = hosts.filter((rule) => rule.inspect)
  const clash = (rule: { origin: string }, port: number, message: string, hint: string): never => {
    const field = rule.origin.slice(rule.origin.lastIndexOf(': ') + 2)
    throw contradiction({ value: port, field, origin: rule.origin }, message, hint)
  }
  for (const rule of [...loopback, ...publish]) {
    if (rule.port === DNS_PORT) clash(rule, DNS_PORT, 'is the port of the jail’s own resolver', 'leave it out')
  }
  for (const rule of publish) {
    const other = loopback.find(({ port }) => port === rule.port)
    const hint = 'a port leads out to the host or in from it'
    if (other) clash(rule, rule.port, `the same port is in ${other.origin}`, hint)
    const seen = inspected.find(({ low, high }) => rule.port >= low && rule.port <= high)
    if (seen) clash(rule, rule.port, `the port is inspected for ${seen.origin}`, 'publish the server at another port')
  }
  const names = inspected.find(({ low, high }) => low <= DNS_PORT && high >= DNS_PORT)
  if (names) clash(names, DNS_PORT, 'is the port of the jail’s own resolver', 'leave it out')
}

function refuseTooMany(rules: NetworkRules): void {
  const counts: [string, string, number, number][] = [
    ['network.allowedHosts', 'rules for hosts', rules.hosts.length, MAX_HOSTS],
    ['network.allowLoopback', 'ports', rules.loopback.length, MAX_PORTS],
    ['network.publish', 'ports', rules.publish.length, MAX_PORTS],
    ['network', 'inspected and UDP ports', sockets(rules), MAX_RELAYS]
  ]
  for (const [field, what, count, max] of counts) {
    if (count <= max) continue
    const details = { field, value: count, hint: 'write fewer, wider rules' }
    throw new QiError('QI_NETWORK', `${field}: comes to ${count} ${what}, more than ${max}`, details)
  }
}

function sockets({ hosts, ...rest }: NetworkRules): number {
  const counted = hosts.filter((r) => r.action === 'allow' && (r.inspect || r.transport === 'udp'))
  return counted.reduce((sum, { low, high }) => sum + high - low + 1, 0) > MAX_HOSTS
    ? Number.POSITIVE_INFINITY
    : relays({ ...rest, hosts: counted }).length
}
