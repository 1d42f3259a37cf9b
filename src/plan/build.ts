import { QiError } from '../errors.js'
import { gatewayFilter, initFilter, keeperFilter, monitorFilter, payloadFilter } from '../filter/build.js'
import type { MonitorOptions } from '../filter/supervisors.js'
import type { Arch, FilterSpec } from '../filter/types.js'
import type { HostFacts } from '../host/facts.js'
import { relays, resolverText, rulesText } from '../network/text.js'
import type { Profile, Protection } from '../profile/types.js'
import { fileFlags, fileRules } from './files.js'
import { landlock, landlockAbi } from './landlock.js'
import { type Plan, PlanFlag } from './layout.gen.js'
import { limitFlags, planLimits } from './limits.js'
import { planMounts } from './mounts.js'
import { protections } from './protections.js'

export interface BuildOptions {
  /** libseccomp, in the addon. Asked once per process for each of the few different filters. */
  compile: (spec: FilterSpec) => Uint8Array
  /** JSON members version, source, security of every event (src/event/head.ts). */
  auditHead: string
  control: boolean
  auditFile: boolean
  traceSteps?: boolean
}

export interface BuiltPlan {
  plan: Plan
  protections: Protection[]
}

/** Of the private tmpfs: its root, and room for what the launch makes and removes again. */
const OWN_INODES = 64

/**
 * Profile -> Plan, for one host. Pure but for `compile`.
 * @throws QiError QI_PROTECTION when the host lacks what the profile does not tolerate to miss.
 */
export function buildPlan(profile: Profile, facts: HostFacts, options: BuildOptions): BuiltPlan {
  const mounts = planMounts(profile, facts)
  requireNotifications(facts)
  const states = protections(profile, facts)
  const guardCreates = mounts.guarded.size > 0
  const hostSockets = profile.network.mode === 'allowList'
  const planFlags = flags(profile, facts, options, guardCreates)
  const keeper = (planFlags & PlanFlag.CgroupSubtree) !== 0
  const asCaller = facts.privileged && profile.sockets.length > 0
  const observeFiles = profile.audit.files !== 'off'
  const tier = profile.withoutNamespaces === undefined ? {} : { withoutNamespaces: tierOptions(profile, facts) }
  const choices = { guardCreates, hostSockets, asCaller, observeFiles, ...tier }
  const filters = filtersOf(facts.arch, choices, keeper, options.compile)
  const { identity } = profile
  const plan: Plan = {
    flags: planFlags,
    uidOutside: identity.uidOutside,
    gidOutside: identity.gidOutside,
    uidInside: identity.uidInside,
    gidInside: identity.gidInside,
    callerUid: facts.uid,
    callerGid: facts.gid,
    ...planLimits(profile, facts, mounts.mounts.length + OWN_INODES),
    ...landlock(profile, facts, mounts.guarded),
    execPath: profile.command.file,
    cwd: profile.command.cwd,
    hostname: profile.hostname,
    argv: profile.command.argv,
    envp: profile.env.map(([name, value]) => `${name}=${value}`),
    mounts: mounts.mounts,
    guardedNames: mounts.guardedNames,
    guardedGrants: mounts.guardedGrants,
    writablePaths: mounts.writablePaths,
    tempDirectory: profile.withoutNamespaces === undefined ? '' : profile.tempDirectory,
    ...network(profile),
    unixSockets: profile.sockets.map(({ path }) => path),
    ...fileRules(profile),
    ...filters,
    auditHead: options.auditHead,
    launchParams: launchParams(profile, states),
    profileName: profile.name,
    commandLine: commandLine(profile.command.argv)
  }
  return { plan, protections: states }
}

const tierOptions = (profile: Profile, facts: HostFacts) => ({
  network: profile.network.mode === 'dangerouslyShareHostNetwork',
  scoped: landlock(profile, facts, new Set()).landlockScope !== 0n
})

type Filters = Pick<
  Plan,
  'syscalls' | 'observedCases' | 'payloadFilter' | 'initFilter' | 'monitorFilter' | 'gatewayFilter' | 'keeperFilter'
>
const compiled = new WeakMap<BuildOptions['compile'], Map<string, Filters>>()

/** libseccomp takes milliseconds for what depends on few choices. */
function filtersOf(arch: Arch, choices: MonitorOptions, keeper: boolean, compile: BuildOptions['compile']): Filters {
  const known = compiled.get(compile) ?? new Map<string, Filters>()
  compiled.set(compile, known)
  const key = `${arch} ${keeper} ${JSON.stringify(choices)}`
  const found = known.get(key)
  if (found) return found
  const { spec, ...answers } = payloadFilter(arch, choices)
  const made = {
    ...answers,
    payloadFilter: compile(spec),
    initFilter: compile(initFilter(arch, choices)),
    monitorFilter: compile(monitorFilter(arch, choices)),
    gatewayFilter: choices.hostSockets ? compile(gatewayFilter(arch)) : new Uint8Array(),
    keeperFilter: keeper ? compile(keeperFilter(arch)) : new Uint8Array()
  }
  known.set(key, made)
  return made
}

function flags(profile: Profile, facts: HostFacts, options: BuildOptions, guardCreates: boolean): number {
  const wanted = {
    [PlanFlag.ShareHostNetwork]: profile.network.mode === 'dangerouslyShareHostNetwork',
    [PlanFlag.AllowListNetwork]: profile.network.mode === 'allowList',
    [PlanFlag.Privileged]: facts.privileged,
    [PlanFlag.Control]: options.control,
    [PlanFlag.Audit]: options.auditFile,
    [PlanFlag.TraceSteps]: options.traceSteps === true,
    [PlanFlag.InnerLoopback]: profile.network.innerLoopback,
    [PlanFlag.DevPts]: profile.devices.pty,
    // Where the host has it, it is stated as enforced: then nothing may make it optional.
    [PlanFlag.WithoutNamespaces]: profile.withoutNamespaces !== undefined,
    [PlanFlag.LandlockOptional]: landlockAbi(profile, facts) === 0 && profile.tolerate.includes('landlockFs'),
    [PlanFlag.GuardCreates]: guardCreates,
    ...fileFlags(profile),
    ...limitFlags(profile, facts)
  }
  return Object.entries(wanted).reduce((sum, [bit, on]) => (on ? sum | Number(bit) : sum), 0)
}

function network({ network: { mode, rules, resolver } }: Profile): Pick<Plan, 'relays' | 'networkRules' | 'resolver'> {
  if (mode !== 'allowList' || !rules || !resolver) return { relays: [], networkRules: '', resolver: '' }
  return { relays: relays(rules), networkRules: rulesText(rules), resolver: resolverText(resolver) }
}

function requireNotifications(facts: HostFacts): void {
  if (facts.seccomp.userNotif) return
  throw new QiError('QI_PROTECTION', 'this kernel cannot pass refused calls to qi-monitor (SECCOMP_RET_USER_NOTIF)', {
    field: 'seccomp',
    hint: 'Linux 5.0 or newer is needed'
  })
}

/** Members of the launch event: what this jail is, honestly. */
function launchParams(profile: Profile, states: Protection[]): string {
  const params = {
    protections: Object.fromEntries(
      states.map((p) => [p.name, p.state === 'enforced' ? p.state : `${p.state}: ${p.reason}`])
    ),
    cwd: profile.command.cwd,
    ...(profile.command.cwdNote ? { cwdNote: profile.command.cwdNote } : {}),
    network: profile.network.mode,
    auditFiles: profile.audit.files,
    ...(profile.sockets.length > 0 ? { unixSockets: profile.sockets.map(({ path }) => path) } : {})
  }
  return JSON.stringify(params).slice(1, -1)
}

/** For people; cut, since a command line may be megabytes. */
const commandLine = (argv: string[]): string => {
  const joined = argv.map((arg) => arg.slice(0, 1024)).join(' ')
  return joined.length > 2048 ? `${joined.slice(0, 2048)}…` : joined
}
