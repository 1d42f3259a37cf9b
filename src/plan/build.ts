import { QiError } from '../errors.js'
import type { MonitorOptions } from '../filter/supervisors.js'
import type { Arch } from '../filter/types.js'
import type { HostFacts } from '../host/facts.js'
import { relays, resolverText, rulesText } from '../network/text.js'
import type { Profile, Protection } from '../profile/types.js'
import { compiledFilters } from './compiled.js'
import { fileFlags, fileRules } from './files.js'
import type { Compile, Filters } from './filters.js'
import * as filters from './filters.js'
import { landlock, landlockAbi } from './landlock.js'
import { type ForegroundPlan, type Plan, PlanFlag } from './layout.gen.js'
import { limitFlags, planLimits } from './limits.js'
import { planMounts } from './mounts.js'
import { patternProgram } from './pattern.js'
import { protections } from './protections.js'

export interface BuildOptions {
  compile: Compile
  /** JSON members version, source, security of every event (src/event/head.ts). */
  auditHead: string
  control: boolean
  auditFile: boolean
  traceSteps?: boolean
  /** For a qi-monitor that takes its launcher's place. */
  foreground?: ForegroundPlan
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
  requireLandlock(profile, facts)
  requireMediation(profile, facts)
  const states = protections(profile, facts)
  const mediates = profile.mediation !== undefined
  const guardCreates = mounts.guarded.size > 0 && !mediates
  const planFlags = flags(profile, facts, options, guardCreates)
  const keeper = (planFlags & PlanFlag.CgroupSubtree) !== 0 || (facts.privileged && options.foreground !== undefined)
  const asCaller = facts.privileged && profile.sockets.length > 0
  const control = options.foreground !== undefined
  const observeFiles = profile.audit.files !== 'off'
  const tier = profile.withoutNamespaces === undefined ? {} : { withoutNamespaces: tierOptions(profile, facts) }
  const choices = { ...choicesOf(profile, states, guardCreates), asCaller, observeFiles, mediates, control, ...tier }
  const made = filtersFor(facts.arch, choices, keeper, options.compile)
  const {
    identity,
    syscalls: { oci }
  } = profile
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
    ...mediationOf(profile),
    ...made,
    ...(oci.length > 0 ? filters.imported(oci, facts.arch, made.payloadFilter) : NOTHING_IMPORTED),
    auditHead: options.auditHead,
    launchParams: launchParams(profile, states),
    profileName: profile.name,
    commandLine: commandLine(profile.command.argv),
    foreground: options.foreground ? [options.foreground] : []
  }
  return { plan, protections: states }
}

/** @internal What the filter of a jail without namespaces depends on. */
export const tierOptions = (profile: Profile, facts: HostFacts) => ({
  network: profile.network.mode === 'dangerouslyShareHostNetwork',
  scoped: landlock(profile, facts, new Set()).landlockScope !== 0n
})

/** @throws QiError QI_SYSCALLS for calls that only the namespaces keep from the host's processes and files. */
function choicesOf({ network, syscalls, enforcement }: Profile, states: Protection[], guardCreates: boolean) {
  const isOwn = states.some(({ name, state }) => name === 'pidNamespace' && state === 'enforced')
  const reaching = isOwn || syscalls.allow.length === 0 ? undefined : filters.reachingHost(syscalls.allow)
  if (reaching) {
    throw new QiError('QI_SYSCALLS', `syscalls.allow = ${reaching}: without namespaces it reaches the host’s`, {
      field: 'syscalls.allow',
      value: reaching,
      hint: 'leave it out, or run where user namespaces are allowed'
    })
  }
  const { allow, deny, oci } = syscalls
  return {
    guardCreates,
    hostSockets: network.mode === 'allowList',
    sharedNetwork: network.mode === 'dangerouslyShareHostNetwork',
    choices: { allow, deny },
    permissive: enforcement === 'permissive',
    sharedProcesses: !isOwn,
    imported: oci.length > 0
  }
}

/** As compiled before where these choices are the usual ones. */
function filtersFor(arch: Arch, choices: MonitorOptions, keeper: boolean, compile: Compile): Filters {
  const known = compiledFilters(arch, choices)
  if (!known) return filters.filtersOf(arch, choices, keeper, compile)
  return keeper ? known : { ...known, keeperFilter: new Uint8Array() }
}

const NOTHING_IMPORTED = { tableFilter: new Uint8Array(), importedFilter: new Uint8Array(), importedRule: '' }

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
    [PlanFlag.Mediate]: profile.mediation !== undefined,
    ...fileFlags(profile),
    [PlanFlag.Permissive]: profile.enforcement === 'permissive',
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

/** A read-only mount does not keep anybody from writing into a FIFO of the host; Landlock does. */
function requireLandlock({ enforcement }: Profile, { landlockAbi }: HostFacts): void {
  if (enforcement === 'strict' || landlockAbi > 0) return
  throw new QiError(
    'QI_PROTECTION',
    'enforcement: permissive shows the host’s files, and this kernel has no Landlock',
    {
      field: 'enforcement',
      value: enforcement,
      hint: 'boot with Landlock (lsm=landlock,…), or run strict'
    }
  )
}

/** Without Landlock a call that is let go on could open what it was not asked about. */
function requireMediation(profile: Profile, facts: HostFacts): void {
  if (!profile.mediation || landlockAbi(profile, facts) > 0) return
  throw new QiError('QI_PROTECTION', 'filesystem.mediate: true needs Landlock, which this jail has not', {
    field: 'filesystem.mediate',
    value: true,
    hint: 'boot with Landlock (lsm=landlock,…), leave protections.landlockFs on, or deny folders and files by name'
  })
}

function mediationOf({ mediation }: Profile): Pick<Plan, 'pathPatterns' | 'mediatedGrants'> {
  const patterns = mediation?.patterns ?? []
  return {
    pathPatterns: patterns.map(({ base, segments, origin }) => ({
      base,
      program: patternProgram(segments) ?? new Uint8Array(), // an empty one qi-monitor refuses
      rule: origin
    })),
    mediatedGrants: mediation?.folders ?? []
  }
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
    enforcement: profile.enforcement,
    ...(profile.sockets.length > 0 ? { unixSockets: profile.sockets.map(({ path }) => path) } : {})
  }
  return JSON.stringify(params).slice(1, -1)
}

/** For people; cut, since a command line may be megabytes. */
const commandLine = (argv: string[]): string => {
  const joined = argv.map((arg) => arg.slice(0, 1024)).join(' ')
  return joined.length > 2048 ? `${joined.slice(0, 2048)}…` : joined
}
