import { launchRules, withHost } from '../network/live.js'
import { hostLine, rulesLines } from '../network/text.js'
import type { NetworkRules } from '../network/types.js'
import type { Profile } from '../profile/types.js'

export interface CtlRule {
  rule: string
  origin: string
}
/** Of what a client adds. */
export const ORIGIN = 'qi-jail ctl'

export function shownRules(rules: NetworkRules | undefined, tell = (origin: string) => origin): CtlRule[] | null {
  if (!rules) return null
  const told = (rule: string, { origin }: { origin: string }) => ({ rule, origin: tell(origin) })
  return [
    ...rules.hosts.map((rule) => told(hostLine(rule), rule)),
    ...rules.loopback.map((rule) => told(`loopback ${rule.port}`, rule)),
    ...rules.publish.map((rule) => told(`publish ${rule.port}`, rule))
  ]
}

/**
 * What the rules of a run without a host came from. qi-monitor keeps it as a text for its clients, which compile what they
 * want changed: it judges by rules and cannot read a policy.
 */
export interface NetworkState {
  mode: Profile['network']['mode']
  atLaunch?: NetworkRules
  /** Once they were changed. */
  now?: NetworkRules
}

/** `add`: rules that are more; `set`: all of them. */
export interface RuleChange {
  how: 'add' | 'set'
  lines: string[]
}

export const networkState = ({ mode, rules }: Profile['network'], tell: (origin: string) => string): string => {
  const told =
    rules &&
    (JSON.parse(JSON.stringify(rules), (key, value) => (key === 'origin' ? tell(value) : value)) as NetworkRules)
  return JSON.stringify({ mode, ...(told ? { atLaunch: told } : {}) } satisfies NetworkState)
}

/** How to get from one to the other; undefined: nothing has changed. What only grows leaves open questions and counts alone. */
export function changeOf(from: NetworkRules, to: NetworkRules): RuleChange | undefined {
  const [had, wanted] = [rulesLines(from), rulesLines(to)]
  const more = wanted.filter((line) => !had.includes(line))
  const grows = had.every((line) => wanted.includes(line))
  if (grows && more.length === 0) return undefined
  return grows ? { how: 'add', lines: more } : { how: 'set', lines: wanted }
}

/** @throws QiError QI_NETWORK_HOST, QI_NETWORK as `allowHost` of a jail. */
export function changed(
  { mode, atLaunch, now }: NetworkState,
  action: 'allow' | 'deny',
  host: string
): { change: RuleChange | undefined; state: NetworkState } {
  const launched: Profile['network'] = { mode, innerLoopback: false, ...(atLaunch ? { rules: atLaunch } : {}) }
  const current = now ?? launchRules(launched)
  const next = withHost(launched, current, action, host, ORIGIN)
  return { change: changeOf(current, next), state: { mode, ...(atLaunch ? { atLaunch } : {}), now: next } }
}
