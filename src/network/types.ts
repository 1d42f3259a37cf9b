export type Transport = 'tcp' | 'udp'

/** One host, or many. `any` is every public one. */
export type HostPattern =
  | { kind: 'name'; name: string }
  /** Any depth below, not the name itself. */
  | { kind: 'below'; name: string }
  | { kind: 'net'; address: string; prefix: number }
  | { kind: 'any' }
  /** The host's own loopback. */
  | { kind: 'loopback' }

/** What may be talked to, or (`deny`, which wins) may not. Ports from `low` to `high`. */
export interface HostRule {
  action: 'allow' | 'deny'
  pattern: Exclude<HostPattern, { kind: 'loopback' }>
  transport: Transport
  low: number
  high: number
  /** The first bytes of a connection must name the host that it was allowed for (TLS SNI, HTTP Host). */
  inspect: boolean
  /** `config: network.allowedHosts[0]`, `profiles/x.yaml: network.udp[1]`, `asked` … */
  origin: string
}

export interface PortRule {
  port: number
  origin: string
}

export const DENIED_ERRNO = { EACCES: 13, ECONNREFUSED: 111, ENETUNREACH: 101 } as const
export type DeniedErrno = keyof typeof DENIED_ERRNO

/** All that qi-monitor and the gateway judge by. */
export interface NetworkRules {
  hosts: HostRule[]
  /** Ports of the host's loopback that the jail may connect to. */
  loopback: PortRule[]
  /** Ports of servers inside that clients on the host reach. */
  publish: PortRule[]
  /** Connections at once; undefined: no limit of its own. */
  maxConnections?: number
  onDenied: DeniedErrno
  /** Of hosts that are added later without a port; undefined: any. */
  allowedPorts?: number[]
  /** What no rule names is asked of the caller, who has this many milliseconds; undefined: refused. */
  askMs?: number
  /** Public hosts that no rule names are recorded and let through. */
  permissive?: true
}

/** How names are looked up for the jail: the host's own configuration, as far as it is used. */
export interface Resolver {
  nameservers: string[]
  search: string[]
  /** Of the host's /etc/hosts. */
  hosts: { address: string; name: string }[]
}
