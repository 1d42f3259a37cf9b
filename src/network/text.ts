import { type Relay, RelayKind } from '../plan/layout.gen.js'
import { DENIED_ERRNO, type HostRule, type NetworkRules, type Resolver } from './types.js'

/** The rules as native/network/rules.h reads them, a line each. */
export function rulesLines(rules: NetworkRules): string[] {
  return [
    ...rules.hosts.map(hostLine),
    ...rules.loopback.map(({ port }) => `loopback ${port}`),
    ...rules.publish.map(({ port }) => `publish ${port}`),
    ...(rules.maxConnections === undefined ? [] : [`max-connections ${rules.maxConnections}`]),
    `on-denied ${DENIED_ERRNO[rules.onDenied]}`,
    ...(rules.askMs === undefined ? [] : [`ask ${rules.askMs}`]),
    ...(rules.permissive ? ['permissive', ...PERMISSIVE_UDP.map((port) => `permit-udp ${port}`)] : [])
  ]
}

export const rulesText = (rules: NetworkRules): string => rulesLines(rules).join('\n')

export function hostLine({ action, pattern, transport, low, high, inspect }: HostRule): string {
  const what = `${transport} ${low}-${high}${inspect ? ' inspect' : ''}`
  if (pattern.kind === 'any') return `public ${action} ${what}`
  if (pattern.kind === 'net') return `net ${action} ${pattern.address}/${pattern.prefix} ${what}`
  return `host ${action} ${pattern.kind === 'name' ? 'exact' : 'below'} ${pattern.name} ${what}`
}

/** For Plan.resolver. */
export function resolverText({ nameservers, search, hosts }: Resolver): string {
  return [
    ...nameservers.map((address) => `nameserver ${address}`),
    ...search.map((domain) => `search ${domain}`),
    ...hosts.map(({ address, name }) => `hosts ${address} ${name}`)
  ].join('\n')
}

const DNS_PORT = 53

/** Datagrams need a socket of the gateway's for each port: permissive has these. Time, HTTP/3, STUN. */
export const PERMISSIVE_UDP = [123, 443, 3478]

/** The sockets that pid 1 makes for the gateway: they cannot be added later. */
export function relays({ hosts, permissive }: NetworkRules): Relay[] {
  const ports = (wanted: (rule: HostRule) => boolean, more: number[] = []): number[] => {
    const rules = hosts.filter((rule) => rule.action === 'allow' && wanted(rule))
    return [...new Set([...rules.flatMap(({ low, high }) => range(low, high)), ...more])].sort((a, b) => a - b)
  }
  const permitted = permissive ? PERMISSIVE_UDP : []
  return [
    { kind: RelayKind.DnsUdp, port: DNS_PORT },
    { kind: RelayKind.DnsTcp, port: DNS_PORT },
    ...ports((rule) => rule.transport === 'udp', permitted).map((port) => ({ kind: RelayKind.Udp, port })),
    ...ports((rule) => rule.inspect).map((port) => ({ kind: RelayKind.Inspect, port }))
  ]
}

const range = (low: number, high: number): number[] => Array.from({ length: high - low + 1 }, (_, i) => low + i)
