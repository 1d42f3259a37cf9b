import { type HostEntry, parseHost } from './host.js'
import { fault } from './name.js'

/** One of network.allowedHosts, checked. */
export type AllowedHost = string | { host: string; ports?: number[] | undefined; inspect?: 'sni' | undefined }

type Wrong = ReturnType<typeof fault> | undefined

export interface ReadEntry {
  pattern: HostEntry['pattern']
  /** Undefined: what the policy says of hosts without. */
  ports?: number[]
  inspect: boolean
}

/** Of what the schema let pass. */
export function readEntry(entry: AllowedHost, action: 'allow' | 'deny' = 'allow'): ReadEntry {
  const { host, ports, inspect } = typeof entry === 'string' ? { host: entry } : entry
  const read = parseHost(host, action)
  if ('reason' in read) throw new TypeError(`${host} ${read.reason}`)
  const { pattern, port } = read.value
  const named = port === undefined ? ports : [port]
  return { pattern, inspect: inspect === 'sni', ...(named ? { ports: named } : {}) }
}

const HTTPS = 443

/** Of a host that names none; undefined: any. An inspected one has a socket of its own in the jail: it must be known. */
export const usualPorts = (inspect: boolean, allowedPorts: number[] | undefined): number[] | undefined =>
  allowedPorts ?? (inspect ? [HTTPS] : undefined)

export const isAnyHost = (entry: AllowedHost): boolean => {
  const read = parseHost(typeof entry === 'string' ? entry : entry.host)
  return 'value' in read && read.value.pattern.kind === 'any'
}

/** The resolver of the jail has this port; it answers for allowed names only. */
export const DNS_PORT = 53

export function wrongForUdp({ pattern, port }: HostEntry): Wrong {
  if (port === undefined) return fault('has no port', 'write host:port')
  if (pattern.kind === 'loopback') return fault('is the loopback', 'services of the host are reached by TCP only')
  if (port === DNS_PORT) return fault('is a name server', 'names are looked up for the jail; leave it out')
  return undefined
}

export function wrongForRule({ host, ports, inspect }: Exclude<AllowedHost, string>): Wrong {
  const read = parseHost(host)
  if ('reason' in read) return read
  const { pattern, port } = read.value
  if (ports && port !== undefined) return fault('has a port in `host` and others in `ports`', 'keep one of the two')
  if (ports?.length === 0) return fault('allows no port', 'leave `ports` out for any, or the entry for none')
  if (pattern.kind === 'loopback' && !ports && port === undefined)
    return fault('is the host itself, all its services', 'name the `ports` that are needed')
  if (inspect && pattern.kind !== 'name' && pattern.kind !== 'below')
    return fault('has no name that a connection could be compared with', 'inspect hosts that are named')
  return undefined
}
