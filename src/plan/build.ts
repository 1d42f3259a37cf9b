import { QiError } from '../errors.js'
import { gatewayFilter, initFilter, monitorFilter, payloadFilter } from '../filter/build.js'
import type { PayloadOptions } from '../filter/table.js'
import type { Arch, FilterSpec } from '../filter/types.js'
import type { HostFacts } from '../host/facts.js'
import { relays, resolverText, rulesText } from '../network/text.js'
import type { Profile, Protection } from '../profile/types.js'
import { landlock } from './landlock.js'
import { type Plan, PlanFlag, type Rlimit } from './layout.gen.js'
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

/** Grace between TERM and KILL when the wall clock runs out, milliseconds. */
const GRACE_MS = 2000
const ROOT_INODES = 65536
const RLIMIT = { fsize: 1, core: 4, nproc: 6, nofile: 7 } as const

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
  const filters = filtersOf(facts.arch, { guardCreates, hostSockets }, options.compile)
  const { identity, limits } = profile
  const plan: Plan = {
    flags: flags(profile, facts, options, guardCreates),
    uidOutside: identity.uidOutside,
    gidOutside: identity.gidOutside,
    uidInside: identity.uidInside,
    gidInside: identity.gidInside,
    callerUid: facts.uid,
    callerGid: facts.gid,
    graceMs: GRACE_MS,
    rootInodes: ROOT_INODES,
    wallClockMs: BigInt(limits.maxExecutionTime ?? 0),
    rootBytes: BigInt(limits.tmpSize),
    ...cgroup(profile),
    ...landlock(profile, facts, mounts.guarded),
    execPath: profile.command.file,
    cwd: profile.command.cwd,
    hostname: profile.hostname,
    argv: profile.command.argv,
    envp: profile.env.map(([name, value]) => `${name}=${value}`),
    mounts: mounts.mounts,
    rlimits: rlimits(profile),
    guardedNames: mounts.guardedNames,
    guardedGrants: mounts.guardedGrants,
    ...network(profile),
    ...filters,
    auditHead: options.auditHead,
    launchParams: launchParams(profile, states),
    profileName: profile.name,
    commandLine: commandLine(profile.command.argv)
  }
  return { plan, protections: states }
}

type Filters = Pick<Plan, 'syscalls' | 'payloadFilter' | 'initFilter' | 'monitorFilter' | 'gatewayFilter'>
const compiled = new WeakMap<BuildOptions['compile'], Map<string, Filters>>()

/** libseccomp takes milliseconds for what depends on few choices. */
function filtersOf(arch: Arch, choices: PayloadOptions, compile: BuildOptions['compile']): Filters {
  const known = compiled.get(compile) ?? new Map<string, Filters>()
  compiled.set(compile, known)
  const key = `${arch} ${JSON.stringify(choices)}`
  const found = known.get(key)
  if (found) return found
  const { spec, syscalls } = payloadFilter(arch, choices)
  const made = {
    syscalls,
    payloadFilter: compile(spec),
    initFilter: compile(initFilter(arch, choices)),
    monitorFilter: compile(monitorFilter(arch, choices)),
    gatewayFilter: choices.hostSockets ? compile(gatewayFilter(arch)) : new Uint8Array()
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
    [PlanFlag.LandlockOptional]: facts.landlockAbi === 0 && profile.tolerate.includes('landlockFs'),
    [PlanFlag.GuardCreates]: guardCreates
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

function rlimits({ limits }: Profile): Rlimit[] {
  const values: [number, number | undefined][] = [
    [RLIMIT.nofile, limits.maxFileDescriptors],
    [RLIMIT.fsize, limits.maxFileSize],
    [RLIMIT.nproc, limits.maxProcesses],
    [RLIMIT.core, 0]
  ]
  return values.flatMap(([resource, value]) => (value === undefined ? [] : [{ resource, value: BigInt(value) }]))
}

type CgroupPlan = Pick<
  Plan,
  | 'processesMax'
  | 'cpuWeight'
  | 'cpuQuotaUs'
  | 'launcherPid'
  | 'memoryMax'
  | 'memoryThreshold'
  | 'ioLimits'
  | 'cgroupMount'
  | 'cgroupParent'
  | 'busSocket'
  | 'keeperFilter'
>

function cgroup({ limits }: Profile): CgroupPlan {
  return {
    processesMax: limits.maxProcesses,
    cpuWeight: 0,
    cpuQuotaUs: 0,
    launcherPid: 0,
    memoryMax: BigInt(limits.maxMemory ?? 0),
    memoryThreshold: 0n,
    ioLimits: [],
    cgroupMount: '',
    cgroupParent: '',
    busSocket: '',
    keeperFilter: new Uint8Array()
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
    network: profile.network.mode
  }
  return JSON.stringify(params).slice(1, -1)
}

/** For people; cut, since a command line may be megabytes. */
const commandLine = (argv: string[]): string => {
  const joined = argv.map((arg) => arg.slice(0, 1024)).join(' ')
  return joined.length > 2048 ? `${joined.slice(0, 2048)}…` : joined
}
