import { explain } from '../explain/explain.js'
import type { Explanation } from '../explain/types.js'
import { probeHost } from '../host/probe.js'
import { loadAddon } from '../launch/locate.js'
import { buildPlan, MountFlag, MountKind, type MountOp, type Plan } from '../plan/index.js'
import { Attr } from '../plan/mounts.js'
import { JailDisabled } from '../profile/disabled.js'
import type { Profile, ProfileLimits, Protection } from '../profile/types.js'
import { noJail } from './bare.js'
import { painter } from './color.js'
import { explanationText } from './explain-table.js'
import { inFlags, type RunOptions } from './options.js'
import { printableLines } from './printable.js'
import { LAUNCHER, resolveRun } from './run.js'
import { section } from './table.js'

interface Step {
  step: string
  target: string
  detail: string
}

/**
 * The launch that these flags ask for, up to its plan: refused where the launch would be. `explain` tells the same profile on
 * any host, with the reasons and without the plan.
 */
export function dryRun(options: RunOptions, command: string[]): string {
  try {
    return planned(resolveRun(options, command), options)
  } catch (error) {
    if (error instanceof JailDisabled) return noJail(error, options.json === true)
    throw error
  }
}

function planned(profile: Profile, options: RunOptions): string {
  const facts = probeHost(LAUNCHER)
  const built = buildPlan(profile, facts, {
    compile: loadAddon().compileFilter,
    auditHead: '',
    control: true,
    auditFile: profile.audit.file !== undefined
  })
  const told = explain(profile, facts, (origin) => inFlags(origin, options))
  const { protections } = built
  const plan = planSteps(built.plan)
  return options.json ? asJson(told, profile.limits, protections, plan) : table(told, protections, plan)
}

/** Names of variables and the plain limits, as ever; who wants their origins asks explain. */
function asJson(told: Explanation, limits: ProfileLimits, protections: Protection[], plan: Step[]): string {
  const { syscalls: _syscalls, network, ...rest } = told
  const { rules, maxConnections, onDenied, askMs, ...shared } = network
  const ruled = network.mode === 'allowList' ? { rules, maxConnections, onDenied, askMs } : {}
  const env = told.env.map(({ name }) => name)
  const all = { ...rest, network: { ...shared, ...ruled }, env, limits, protections, plan }
  return `${printableLines(JSON.stringify(all, null, 2))}\n`
}

/** RLIMIT_* by number, getrlimit(2). */
const LIMIT: Record<number, string> = { 1: 'fsize', 2: 'data', 4: 'core', 6: 'nproc', 7: 'nofile' }
const KIND = new Map(Object.entries(MountKind).map(([name, number]) => [number, name]))

function planSteps(plan: Plan): Step[] {
  return [
    ...plan.mounts.map((op) => ({ step: `mount ${KIND.get(op.kind)}`, target: op.target, detail: mountDetail(op) })),
    ...plan.writablePaths.map((path) => ({ step: 'changes by qi-monitor', target: path, detail: '' })),
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

function table(told: Explanation, protections: Protection[], plan: Step[]): string {
  const paint = painter()
  return [
    explanationText(told, paint),
    section(
      'protections',
      protections.map((p) => [p.state, p.name, p.reason]),
      paint
    ),
    section(
      'plan',
      plan.map((s, i) => [String(i + 1).padStart(3), s.step, s.target, s.detail]),
      paint
    )
  ].join('')
}
