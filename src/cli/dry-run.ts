import { probeHost } from '../host/probe.js'
import { loadAddon } from '../launch/locate.js'
import { hostLine } from '../network/text.js'
import { buildPlan, MountFlag, MountKind, type MountOp, type Plan } from '../plan/index.js'
import { Attr } from '../plan/mounts.js'
import type { Profile, Protection } from '../profile/types.js'
import { inFlags, type RunOptions } from './options.js'
import { printable, printableLines } from './printable.js'
import { LAUNCHER, resolveRun } from './run.js'
import { columns } from './table.js'

interface Step {
  step: string
  target: string
  detail: string
}

/** What a launch would come to. Names of variables only: their values may be secrets. */
export function dryRun(options: RunOptions, command: string[]): string {
  const profile = resolveRun(options, command)
  const built = buildPlan(profile, probeHost(LAUNCHER), {
    compile: loadAddon().compileFilter,
    auditHead: '',
    control: true,
    auditFile: profile.audit.file !== undefined
  })
  const told = {
    ...tell(profile, options),
    protections: built.protections,
    plan: planSteps(built.plan)
  }
  return options.json ? `${printableLines(JSON.stringify(told, null, 2))}\n` : table(told)
}

type Told = ReturnType<typeof tell> & { protections: Protection[]; plan: Step[] }

function tell(profile: Profile, options: RunOptions) {
  const origin = <T extends { origin: string }>(item: T): T => ({ ...item, origin: inFlags(item.origin, options) })
  const { name, purpose, command, identity, hostname, tempDirectory, network, devices, limits, tolerate } = profile
  return {
    profile: { name, purpose },
    command,
    identity,
    hostname,
    tempDirectory,
    network: { mode: network.mode, innerLoopback: network.innerLoopback, ...rulesOf(network, options) },
    devices,
    env: profile.env.map(([variable]) => variable),
    grants: profile.grants.map(origin),
    unixSockets: profile.sockets.map(origin),
    symlinks: profile.symlinks.map(origin),
    files: profile.files.map(({ path, origin: from }) => ({ path, origin: inFlags(from, options) })),
    denies: profile.denies.map(origin),
    limits,
    tolerate,
    audit: profile.audit.file ?? null
  }
}

/** With rules only: each with its origin, and who answers for names. */
function rulesOf({ rules, resolver }: Profile['network'], options: RunOptions) {
  if (!rules) return {}
  const told = (rule: string, { origin }: { origin: string }) => ({ rule, origin: inFlags(origin, options) })
  return {
    rules: [
      ...rules.hosts.map((rule) => told(hostLine(rule), rule)),
      ...rules.loopback.map((rule) => told(`loopback ${rule.port}`, rule)),
      ...rules.publish.map((rule) => told(`publish ${rule.port}`, rule))
    ],
    maxConnections: rules.maxConnections ?? null,
    onDenied: rules.onDenied,
    askMs: rules.askMs ?? null,
    resolver
  }
}

/** RLIMIT_* by number, getrlimit(2). */
const LIMIT: Record<number, string> = { 1: 'fsize', 2: 'data', 4: 'core', 6: 'nproc', 7: 'nofile' }
const KIND = new Map(Object.entries(MountKind).map(([name, number]) => [number, name]))

function planSteps(plan: Plan): Step[] {
  return [
    ...plan.mounts.map((op) => ({ step: `mount ${KIND.get(op.kind)}`, target: op.target, detail: mountDetail(op) })),
    ...plan.guardedNames.map(({ parent, name, rule }) => ({
      step: 'guard name',
      target: `${parent}/${name}`,
      detail: rule
    })),
    ...plan.rlimits.map(({ resource, value }) => ({
      step: 'rlimit',
      target: LIMIT[resource] ?? String(resource),
      detail: String(value)
    })),
    ...plan.landlockRules.map(({ path, access }) => ({
      step: 'landlock',
      target: path,
      detail: `0x${access.toString(16)}`
    })),
    ...(['payloadFilter', 'initFilter', 'monitorFilter'] as const).map((name) => ({
      step: 'seccomp',
      target: name,
      detail: `${plan[name].length / 8} instructions`
    })),
    { step: 'exec', target: plan.execPath, detail: `in ${plan.cwd}` }
  ]
}

function mountDetail(op: MountOp): string {
  const attributes = Object.entries(Attr).flatMap(([name, bit]) => (op.attrSet & bit ? [name] : []))
  const flags = Object.entries(MountFlag).flatMap(([name, bit]) => (op.flags & bit ? [name] : []))
  const source = op.source === op.target ? '' : op.source
  return [source && `from ${source}`, ...attributes, ...flags.map((flag) => flag.toLowerCase())]
    .filter(Boolean)
    .join(' ')
}

function table(told: Told): string {
  const { profile, command, identity: id, network, limits } = told
  const section = (title: string, rows: string[][]) => (rows.length ? `\n${title}\n${columns(rows)}` : '')
  const head = [
    `profile   ${profile.name}: ${profile.purpose}`,
    `command   ${command.argv.map(quote).join(' ')}`,
    `exec      ${command.file}`,
    `cwd       ${command.cwd}${command.cwdNote ? ` (${command.cwdNote})` : ''}`,
    `user      ${id.uidInside}:${id.gidInside} inside, ${id.uidOutside}:${id.gidOutside} on the host`,
    `network   ${networkLine(network)}`,
    `env       ${told.env.join(' ')}`,
    `audit     ${told.audit ?? 'events to the caller only'}`
  ]
  return [
    ...head.map((line) => `${printable(line)}\n`),
    section(
      'grants',
      told.grants.map((g) => [g.access, g.path, g.origin])
    ),
    section(
      'hosts',
      (network.rules ?? []).map(({ rule, origin }) => [rule, origin])
    ),
    section(
      'sockets of the host',
      told.unixSockets.map(({ path, origin, risk }) => [path, origin, risk ? `RISK: ${risk}` : ''])
    ),
    section(
      'links',
      told.symlinks.map((l) => [`${l.path} -> ${l.target}`, l.origin])
    ),
    section(
      'files of the jail',
      told.files.map((f) => [f.path, f.origin])
    ),
    section(
      'denies',
      told.denies.map((d) => [d.kind, d.path, `${d.now === 'missing' ? 'not there; ' : ''}${d.origin}`])
    ),
    section(
      'limits',
      Object.entries(limits).map(([name, value]) => [name, String(value)])
    ),
    section(
      'protections',
      told.protections.map((p) => [p.state, p.name, p.reason])
    ),
    section(
      'plan',
      told.plan.map((s, i) => [String(i + 1).padStart(3), s.step, s.target, s.detail])
    )
  ].join('')
}

function networkLine({ mode, innerLoopback, ...network }: Told['network']): string {
  const { maxConnections, onDenied, askMs } = network
  return [
    mode,
    ...(innerLoopback ? ['own loopback'] : []),
    ...(maxConnections ? [`${maxConnections} connections`] : []),
    ...(onDenied ? [`others get ${onDenied}`] : []),
    ...(askMs ? [`others are asked about, ${askMs} ms`] : [])
  ].join(', ')
}

const quote = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : JSON.stringify(text))
