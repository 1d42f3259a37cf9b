import { isDeepStrictEqual } from 'node:util'
import { QiError } from '../errors.js'
import { isAllowed, isAllowedUdp, reachesLoopback } from '../network/cover.js'
import type { HostPattern } from '../network/types.js'
import { PASSED } from '../profile/environment.js'
import { FALLBACK } from '../profile/limits.js'
import { PROTECTIONS, type ProtectionName } from '../profile/types.js'
import { ENFORCEMENT_MODES, envRecord, type Layer, placeOf } from './layer.js'
import type { Policy } from './merge.js'

/** What narrowing has to know of the host. */
export interface NarrowContext {
  /** Names of its /etc/hosts: they may lead to private addresses, which `*` does not stand for. */
  hostNames?: () => string[]
}

/** What `value` would add to the policy below it, or undefined. `never`: each rule knows the type of its field. */
type Rule = (policy: Policy, value: never, context: NarrowContext) => string | undefined

const free: Rule = () => undefined

const atMost =
  (below: (policy: Policy) => number | undefined): Rule =>
  (policy, value: number) => {
    const most = below(policy)
    return most === undefined || value <= most ? undefined : `allows more than ${most}, as it is without this file`
  }

const same =
  (below: (policy: Policy) => unknown): Rule =>
  (policy, value) =>
    isDeepStrictEqual(value, below(policy)) ? undefined : 'is not for a project to decide'

/** May be taken as `value` only where it is so already. */
const onlyIf =
  (laxer: unknown, below: (policy: Policy) => unknown): Rule =>
  (policy, value) =>
    value !== laxer || below(policy) === laxer ? undefined : 'is laxer than it is without this file'

/** Not earlier in `order` than it is already. */
const atLeast =
  (order: readonly unknown[], below: (policy: Policy) => unknown): Rule =>
  (policy, value) =>
    order.indexOf(value) >= order.indexOf(below(policy)) ? undefined : 'is laxer than it is without this file'

/** Of a list, that nothing is missing from it. */
const EVERY: readonly unknown[] = []

const within =
  (below: (policy: Policy) => readonly unknown[]): Rule =>
  (policy, list: unknown[]) => {
    const known = below(policy)
    const more = known === EVERY ? undefined : list.find((one) => !known.includes(one))
    return more === undefined ? undefined : `${JSON.stringify(more)} is not there without this file`
  }

const resource = (key: keyof Policy['resources'] & keyof typeof FALLBACK): Rule =>
  atMost(({ resources }) => (resources[key] ?? FALLBACK[key]) as number)

/** From the laxest: what of a layer may be missing. */
const WANTED = ['off', 'degrade', 'require']

function protection(name: ProtectionName): Rule {
  return atLeast(WANTED, ({ tolerate, off }) =>
    off.includes(name) ? 'off' : tolerate.includes(name) ? 'degrade' : 'require'
  )
}

/** By field. One that is not here is no project's to set, so that a new one cannot widen before somebody thought of it. */
const RULES: Record<string, Rule> = {
  'processIsolation.enabled': free, // only true is taken at all
  'processIsolation.noNewPrivileges': free,
  'processIsolation.uid': same(({ processIsolation }) => processIsolation.uid),
  'processIsolation.gid': same(({ processIsolation }) => processIsolation.gid),
  // Paths are judged where links are known: profile/narrow.ts.
  'filesystem.readOnlyPaths': free,
  'filesystem.allowedPaths': free,
  'filesystem.deniedPaths': free,
  'filesystem.mediate': onlyIf(false, ({ filesystem }) => filesystem.mediate),
  'filesystem.tempDirectory': same(({ filesystem }) => filesystem.tempDirectory),
  'filesystem.maxFileSize': atMost(({ filesystem }) => filesystem.maxFileSize ?? FALLBACK.maxFileSize),
  'filesystem.allowProtected': within(({ filesystem }) => filesystem.allowProtected),
  'network.allowedHosts': free, // with the ports they come to: hosts()
  'network.allowedPorts': free,
  'network.deniedHosts': free,
  'network.denyInternet': denyInternet,
  'network.udp': free,
  'network.allowLoopback': loopback,
  'network.publish': within(({ network }) => (network.shareHost ? EVERY : network.publish.map(({ value }) => value))),
  'network.allowUnixSockets': within(({ network }) => network.unixSockets.map(({ value }) => value)),
  'network.maxConnections': atMost(({ network }) => network.maxConnections?.value),
  'network.onDenied': free, // which error a refused call gets opens nothing
  'network.updatable': onlyIf(true, ({ network }) => network.updatable),
  'network.innerLoopback': onlyIf(true, ({ network }) => network.shareHost || network.innerLoopback),
  'network.dangerouslyShareHostNetwork': onlyIf(true, ({ network }) => network.shareHost),
  'resources.maxMemory': atMost(({ resources }) => resources.maxMemory),
  'resources.memoryThreshold': atMost(({ resources }) => resources.memoryThreshold),
  'resources.maxCpu': atMost(({ resources }) => resources.maxCpu),
  'resources.cpuWeight': atMost(({ resources }) => resources.cpuWeight ?? 100),
  'resources.maxIo': maxIo,
  'resources.maxExecutionTime': atMost(({ resources }) => resources.maxExecutionTime),
  'resources.executionClock': onlyIf('running', ({ resources }) => resources.executionClock),
  'resources.terminationGrace': resource('terminationGrace'),
  'resources.maxFileDescriptors': resource('maxFileDescriptors'),
  'resources.maxProcesses': resource('maxProcesses'),
  'resources.onProcessLimit': onlyIf('refuse', ({ resources }) => resources.onProcessLimit ?? FALLBACK.onProcessLimit),
  'resources.tmpSize': resource('tmpSize'),
  'resources.tmpFiles': resource('tmpFiles'),
  'resources.cgroup': onlyIf('off', ({ resources }) => resources.cgroup),
  'devices.pty': onlyIf(true, ({ pty }) => pty),
  'syscalls.allow': liftedCalls,
  'syscalls.deny': free,
  'syscalls.oci': free, // every profile narrows
  enforcement: atLeast(ENFORCEMENT_MODES, ({ enforcement }) => enforcement),
  'audit.file': same(({ auditFile }) => auditFile),
  'audit.files': auditFiles,
  cwd: same(({ cwd }) => cwd),
  tolerate: within(({ tolerate }) => tolerate),
  ...Object.fromEntries(PROTECTIONS.map((name) => [`protections.${name}`, protection(name)]))
}

/** @throws QiError QI_POLICY_WIDENS, located, when `layer` would add anything to what `policy` allows. */
export function refuseWidening(policy: Policy, layer: Layer, context: NarrowContext): void {
  for (const [field, value] of fieldsOf(layer.config)) {
    const rule = Object.hasOwn(RULES, field) ? (RULES[field] as Rule) : undefined
    const reason = rule ? rule(policy, value as never, context) : 'is not for a project to decide'
    if (reason !== undefined) throw widens(layer, field, value, reason)
  }
  refuseVariables(policy, layer)
  refuseHosts(policy, layer, context)
}

/** What a file would add, where it says so, and the way out. */
export function widens(layer: Pick<Layer, 'origin' | 'marks'>, field: string, value: unknown, reason: string): QiError {
  const { field: written, origin } = placeOf(layer, field)
  const shown = JSON.stringify(value) ?? String(value)
  return new QiError(
    'QI_POLICY_WIDENS',
    `${origin} = ${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown}: ${reason}`,
    {
      field: written,
      value,
      path: layer.origin,
      hint: `a project's file only takes away; read it, and if you want it as it is: qi-jail policy trust ${layer.origin}`
    }
  )
}

/** `section.key` and its value; `env` is judged variable by variable. */
function* fieldsOf(config: Layer['config']): Generator<[field: string, value: unknown]> {
  for (const [section, value] of Object.entries(config)) {
    if (value === undefined || section === 'env') continue
    if (typeof value !== 'object' || Array.isArray(value)) yield [section, value]
    else for (const [key, one] of Object.entries(value)) if (one !== undefined) yield [`${section}.${key}`, one]
  }
}

/** A value of a variable chooses what programs do (NODE_OPTIONS, LD_PRELOAD); its name tells what the caller has in it. */
function refuseVariables(policy: Policy, layer: Layer): void {
  for (const [name, value] of Object.entries(envRecord(layer.config.env))) {
    const below = Object.hasOwn(policy.env, name) ? policy.env[name] : PASSED.test(name) ? true : undefined
    if (below === value) continue
    const field = Array.isArray(layer.config.env) ? `env[${layer.config.env.indexOf(name)}]` : `env.${name}`
    throw widens(layer, field, Array.isArray(layer.config.env) ? name : value, 'is not passed on without this file')
  }
}

/** Each host with the ports that it comes to when both lists are in force. */
function refuseHosts({ network: policy }: Policy, layer: Layer, context: NarrowContext): void {
  const { network } = layer.config
  if (!network || (!network.allowedHosts && !network.allowedPorts && !network.udp)) return
  const isLocal = localNames(context)
  const before = policy.allowedPorts?.value
  const added = before && network.allowedPorts?.find((port) => !before.includes(port))
  if (added !== undefined && !policy.shareHost)
    throw widens(layer, 'network.allowedPorts', network.allowedPorts, `port ${added} is not open without this file`)
  const ports = network.allowedPorts ?? before
  const reason = 'can reach what is out of reach without this file'
  for (const [i, entry] of (network.allowedHosts ?? []).entries()) {
    if (!isAllowed(policy, entry, ports, isLocal)) throw widens(layer, `network.allowedHosts[${i}]`, entry, reason)
  }
  for (const [i, entry] of (network.udp ?? []).entries()) {
    if (!isAllowedUdp(policy, entry, isLocal)) throw widens(layer, `network.udp[${i}]`, entry, reason)
  }
  if (network.allowedHosts || policy.shareHost) return
  // An inspected host without a port of its own moves with allowedPorts.
  const moved = policy.allowed.find(({ value }) => !isAllowed(policy, value, ports, isLocal))
  if (moved) throw widens(layer, 'network.allowedPorts', network.allowedPorts, `${reason}, at ${moved.origin}`)
}

function localNames({ hostNames = () => [] }: NarrowContext): (pattern: HostPattern) => boolean {
  let names: string[] | undefined
  return (pattern) => {
    names ??= hostNames()
    if (pattern.kind === 'name') return names.includes(pattern.name)
    return pattern.kind === 'below' && names.some((name) => name.endsWith(`.${pattern.name}`))
  }
}

const RECORDED = ['off', 'denied', 'all']

function auditFiles({ auditFiles: below, auditFile }: Policy, value: string): string | undefined {
  const least = below ?? (auditFile === undefined ? 'off' : 'denied')
  return RECORDED.indexOf(value) < RECORDED.indexOf(least) ? `records less than ${least}` : undefined
}

function denyInternet(policy: Policy, value: boolean, context: NarrowContext): string | undefined {
  if (value || isAllowed(policy.network, '*', policy.network.allowedPorts?.value, localNames(context))) return undefined
  return 'is laxer than it is without this file'
}

function liftedCalls(_: Policy, entries: string[]): string | undefined {
  return entries.length === 0 ? undefined : 'lifts what is refused without this file'
}

function loopback({ network }: Policy, ports: number[]): string | undefined {
  const more = ports.find((port) => !reachesLoopback(network, port))
  return more === undefined ? undefined : `port ${more} is out of reach without this file`
}

/** Of each kind that is limited below, a limit again: what this layer leaves out would be gone. */
function maxIo({ resources }: Policy, value: Record<string, unknown>): string | undefined {
  for (const [key, most] of Object.entries(resources.maxIo ?? {})) {
    const given = value[key]
    if (most === undefined || (typeof most === 'number' ? (given as number) <= most : given === most)) continue
    return given === undefined ? `leaves out ${key}` : `allows more ${key} than ${most}`
  }
  // Another disk would be limited in place of the working directory's.
  if (resources.maxIo && value.path !== undefined && resources.maxIo.path === undefined) return 'limits another disk'
  return undefined
}
