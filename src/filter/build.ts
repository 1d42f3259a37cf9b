import { type ObservedCase, type SyscallRule, Verdict } from '../plan/layout.gen.js'
import { withChoices } from './choices.js'
import type { Calls } from './conditions.js'
import { EPERM, type Group } from './group.js'
import { isObserved, observedCases } from './observed.js'
import { isOpen, ON_PROCESSES } from './refused.js'
import { gatewayCalls, initCalls, keeperCalls, type MonitorOptions, monitorCalls } from './supervisors.js'
import { SYSCALLS } from './syscalls.gen.js'
import { type PayloadOptions, payloadGroups } from './table.js'
import type { Arch, FilterAction, FilterRule, FilterSpec } from './types.js'

const ALLOW: FilterAction = { kind: 'allow' }
const KILL: FilterAction = { kind: 'kill' }
const NOTIFY: FilterAction = { kind: 'notify' }
const NO_SUCH_CALL: FilterAction = { kind: 'errno', errno: 38 }

export interface PayloadFilter {
  spec: FilterSpec
  /** How qi-monitor answers each known call that can reach it, ascending by number. */
  syscalls: SyscallRule[]
  /** When those go on that are passed up for no other reason than to be seen. */
  observedCases: ObservedCase[]
}

/** What the payload may do. A call in no rule goes to qi-monitor: known ones are in `syscalls`, the rest is ENOSYS. */
export function payloadFilter(arch: Arch, options: PayloadOptions): PayloadFilter {
  const { choices = { allow: [], deny: [] } } = options
  const groups = withChoices(payloadGroups(options), choices)
  const observes = (name: string) => options.observeFiles === true && isObserved(name)
  const watched = groups.flatMap((group) => numbered(arch, group.calls).filter(({ name }) => observes(name)))
  return {
    spec: { arch, fallback: NOTIFY, rules: groups.flatMap((group) => groupRules(arch, without(group, observes))) },
    syscalls: groups.flatMap((group) => notified(arch, group, options, observes)).sort((a, b) => a.number - b.number),
    observedCases: watched.flatMap(({ number, cases }) => observedCases(number, cases))
  }
}

/** The group as the filter sees it: a call in no rule is passed up. */
const without = (group: Group, observes: (name: string) => boolean): Group => ({
  ...group,
  calls: Object.fromEntries(Object.entries(group.calls).filter(([name]) => !observes(name)))
})

/** Of pid 1, once the payload runs. */
export const initFilter = (arch: Arch, options: Omit<PayloadOptions, 'guardCreates'>): FilterSpec => ({
  arch,
  fallback: KILL,
  rules: allowRules(arch, initCalls(options))
})

/** Of qi-monitor, once the payload runs. */
export const monitorFilter = (arch: Arch, options: MonitorOptions): FilterSpec => ({
  arch,
  fallback: KILL,
  rules: allowRules(arch, monitorCalls(options))
})

/** Of the gateway, from before it is asked anything. */
export const gatewayFilter = (arch: Arch): FilterSpec => ({
  arch,
  fallback: KILL,
  rules: allowRules(arch, gatewayCalls())
})

/** Of the keeper, for its whole life. */
export const keeperFilter = (arch: Arch, options: Pick<MonitorOptions, 'control'> = {}): FilterSpec => ({
  arch,
  fallback: KILL,
  rules: allowRules(arch, keeperCalls(options))
})

function groupRules(arch: Arch, { calls, otherwise }: Group): FilterRule[] {
  const allowed = allowRules(arch, calls)
  if (otherwise !== 'enosys') return allowed
  return [...allowed, ...numbered(arch, calls).map(({ number }) => ({ number, action: NO_SUCH_CALL, args: [] }))]
}

const allowRules = (arch: Arch, calls: Calls): FilterRule[] =>
  numbered(arch, calls).flatMap(({ number, cases }) => cases.map((args) => ({ number, action: ALLOW, args })))

function notified(
  arch: Arch,
  group: Group,
  options: PayloadOptions,
  observes: (name: string) => boolean
): SyscallRule[] {
  const { name: rule, calls, otherwise } = group
  const answer = otherwise === 'enosys' ? undefined : otherwise
  const imported = options.imported === true && otherwise !== 'enosys'
  return numbered(arch, calls).flatMap(({ name, number }) => {
    const observed = observes(name) ? 1 : 0
    if (!answer && !observed && !imported) return []
    const known = { number, ...(answer ?? { verdict: Verdict.Continue, error: EPERM }), observed, name, rule }
    return isPermitted(name, group, options) ? { ...known, verdict: Verdict.Permit } : known
  })
}

/** Permissive lets through whole calls only, whatever their arguments point to, and nothing that the policy denies by name. */
function isPermitted(name: string, group: Group, { permissive, sharedProcesses, choices }: PayloadOptions): boolean {
  if (!permissive || !isOpen(name, group) || choices?.deny.some((denied) => denied.name === name)) return false
  return !(sharedProcesses && ON_PROCESSES.has(name))
}

/** The calls that this architecture has; arm64 lacks the ones that newer calls replaced. */
function numbered(arch: Arch, calls: Calls) {
  return Object.entries(calls).flatMap(([name, cases]) => {
    const numbers = SYSCALLS[name]
    if (!numbers) throw new Error(`filter table names an unknown system call: ${name}`)
    const number = numbers[arch]
    return number === undefined ? [] : [{ name, number, cases }]
  })
}
