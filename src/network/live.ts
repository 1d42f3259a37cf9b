import { QiError } from '../errors.js'
import type { SandboxConfig } from '../policy/config.js'
import * as schemas from '../policy/config.js'
import type { Profile } from '../profile/types.js'
import { checked, compileNetwork, denials, hostRules, portOf, unique } from './compile.js'
import { type ReadEntry, readEntry } from './entry.js'
import { parseHostPattern } from './host.js'
import { mergeNetwork } from './merge.js'
import { hostLine, relays } from './text.js'
import type { NetworkRules, PortRule } from './types.js'

type Network = SandboxConfig['network']

/** Why the rules of this jail cannot be changed, or its rules at launch. */
export function launchRules({ mode, rules }: Profile['network']): NetworkRules {
  if (rules) return rules
  const shared = mode === 'dangerouslyShareHostNetwork'
  throw new QiError(
    'QI_NETWORK',
    `this jail has ${shared ? 'the host’s network' : 'no network'} and no rules to change`,
    {
      field: 'network',
      value: mode,
      hint: 'launch it with at least one rule, or with network.updatable: true'
    }
  )
}

/** What a launch with `network` would have come to, over the same profile. @throws QiError as a launch would */
export function replaced(launched: Profile['network'], network: Network): NetworkRules {
  const atLaunch = launchRules(launched)
  const parsed = schemas.parseConfig({ network }, 'update').network ?? {}
  if (parsed.innerLoopback !== undefined && parsed.innerLoopback !== launched.innerLoopback)
    throw fixed('network.innerLoopback', parsed.innerLoopback, 'is decided at launch')
  if (parsed.allowUnixSockets?.length)
    throw fixed('network.allowUnixSockets', parsed.allowUnixSockets, 'is decided at launch')
  const policy = mergeNetwork([...(launched.layers ?? []), { origin: 'update', network: parsed }])
  const { rules } = compileNetwork({ ...policy, updatable: true }, atLaunch.askMs, atLaunch.permissive)
  if (!rules) throw fixed('network.dangerouslyShareHostNetwork', true, 'is decided at launch')
  return withoutNewSockets(rules, atLaunch)
}

/** `current` and one host more. @throws QiError QI_NETWORK_HOST, QI_NETWORK */
export function withHost(
  launched: Profile['network'],
  current: NetworkRules,
  action: 'allow' | 'deny',
  host: string,
  origin: string
): NetworkRules {
  const read = typeof host === 'string' ? parseHostPattern(host, action) : { reason: 'is no text', hint: 'name a host' }
  if ('reason' in read)
    throw new QiError('QI_NETWORK_HOST', `${JSON.stringify(host)} ${read.reason}`, {
      field: 'host',
      value: host,
      hint: read.hint
    })
  const next = action === 'allow' ? allowing(current, readEntry(host), origin) : denying(current, host, origin)
  return withoutNewSockets(checked(next), launchRules(launched))
}

function allowing(rules: NetworkRules, entry: ReadEntry, origin: string): NetworkRules {
  if (entry.pattern.kind === 'loopback') {
    const added = (entry.ports ?? []).map((port): PortRule => ({ port, origin }))
    return { ...rules, loopback: unique([...rules.loopback, ...added], portOf) }
  }
  const ports = entry.ports ?? rules.allowedPorts
  const added = hostRules('allow', { ...entry, ...(ports ? { ports } : {}) }, 'tcp', origin)
  return { ...rules, hosts: unique([...rules.hosts, ...added], hostLine) }
}

function denying(rules: NetworkRules, host: string, origin: string): NetworkRules {
  const { pattern, ports } = readEntry(host, 'deny')
  if (pattern.kind === 'loopback')
    return { ...rules, loopback: rules.loopback.filter(({ port }) => ports && !ports.includes(port)) }
  return { ...rules, hosts: unique([...rules.hosts, ...denials({ value: host, origin })], hostLine) }
}

const fixed = (field: string, value: unknown, message: string): QiError =>
  new QiError('QI_NETWORK', `update: ${field} = ${JSON.stringify(value)}: ${message}`, {
    field,
    value,
    hint: 'launch a new jail with it'
  })

/** Sockets are made at launch: what needs another one cannot come later. */
function withoutNewSockets(rules: NetworkRules, atLaunch: NetworkRules): NetworkRules {
  const had = new Set(relays(atLaunch).map(({ kind, port }) => `${kind} ${port}`))
  const relay = relays(rules).find(({ kind, port }) => !had.has(`${kind} ${port}`))
  if (relay) throw fixed('network', relay.port, 'this UDP or inspected port was not among those at launch')
  const publish = rules.publish.find(({ port }) => !atLaunch.publish.some((known) => known.port === port))
  if (publish) throw fixed('network.publish', publish.port, 'was not published at launch')
  return rules
}
