import type { NativeAddon } from '../launch/native.js'
import { hostLine, rulesText } from '../network/text.js'
import type { HostPattern, HostRule, NetworkRules, Transport } from '../network/types.js'
import type { Profile } from '../profile/types.js'
import { BUILT_IN, type Verdict } from './types.js'

/** Exactly one host: what can be connected to. */
export interface OneHost {
  pattern: Extract<HostPattern, { kind: 'name' | 'net' | 'loopback' }>
  port?: number
  /** Default: tcp. */
  transport?: Transport
}

type Judge = NativeAddon['judgeHost']

/** By the code that judges for qi-monitor (native/network/rules.h): `judge` is the addon's. */
export function judgeHost({ network }: Profile, host: OneHost, judge: Judge): Verdict {
  const { mode, innerLoopback, rules } = network
  if (mode === 'dangerouslyShareHostNetwork')
    return {
      state: 'allowed',
      reason: 'the jail shares the host’s network',
      origin: 'network.dangerouslyShareHostNetwork'
    }
  if (host.pattern.kind === 'loopback') return judgeLoopback(host, innerLoopback, rules)
  // Landlock refuses every connect, unless the jail has a loopback to connect to: then there is merely no way out of it.
  const errno = innerLoopback ? 'ENETUNREACH' : 'EACCES'
  if (!rules) return { state: 'refused', reason: 'the jail has no network', origin: BUILT_IN, errno }
  return judgeRules(rules, host, judge)
}

/** Without a port it is allowed when any is. */
function judgeRules(rules: NetworkRules, { pattern, port, transport = 'tcp' }: OneHost, judge: Judge): Verdict {
  const host = nameOf(pattern)
  const text = rulesText(rules)
  const own = rules.hosts.filter((rule) => rule.transport === transport)
  const ports = port === undefined ? [HTTPS, ...new Set(own.map(({ low }) => low))] : [port]
  const answers = ports.map((each) => ({ each, answer: judge(text, host, each, transport === 'udp') }))
  const { each, answer } = answers.find(({ answer: found }) => found?.allowed) ?? answers[0] ?? {}
  if (!answer) return { state: 'refused', reason: `${host} is neither a name nor an address`, origin: BUILT_IN }
  const rule = rules.hosts[answer.rule]
  const origin = rule?.origin ?? BUILT_IN
  if (!answer.allowed && answer.ask)
    return { state: 'depends', reason: `${answer.reason}: the caller is asked`, origin }
  if (!answer.allowed && answer.permit)
    return { state: 'allowed', reason: `${answer.reason}: recorded, let through`, origin }
  if (!answer.allowed) return { state: 'refused', reason: answer.reason, origin, errno: rules.onDenied }
  const where = port === undefined ? ` at port ${each}` : ''
  const public_ = pattern.kind === 'name' ? '; where the name leads to a public address' : ''
  const inspected = answer.inspect ? '; what is said first must name it' : ''
  return { state: 'allowed', reason: `allowed${where} by ${line(rule)}${public_}${inspected}`, origin }
}

const HTTPS = 443
const line = (rule: HostRule | undefined): string => (rule ? hostLine(rule) : 'a rule')

const nameOf = (pattern: OneHost['pattern']): string =>
  pattern.kind === 'name' ? pattern.name : pattern.kind === 'net' ? pattern.address : 'localhost'

/** What is let in from the host's loopback is TCP; datagrams stay on the jail's own. */
function judgeLoopback(
  { port, transport = 'tcp' }: OneHost,
  innerLoopback: boolean,
  rules: NetworkRules | undefined
): Verdict {
  const own = innerLoopback || rules?.permissive === true
  const rule = rules?.loopback.find((each) => transport === 'tcp' && (port === undefined || each.port === port))
  if (rule) return { state: 'allowed', reason: `the host’s own loopback, port ${rule.port}`, origin: rule.origin }
  const errno = rules?.onDenied ?? 'EACCES'
  if (own)
    return {
      state: 'depends',
      reason: 'the jail’s own loopback: servers of the jail only, none of the host',
      origin: innerLoopback ? 'network.innerLoopback' : 'enforcement',
      errno
    }
  return {
    state: 'refused',
    reason: 'neither the jail’s own loopback nor this service of the host',
    origin: BUILT_IN,
    errno
  }
}
