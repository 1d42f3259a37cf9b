import type { CgroupFacts, HostFacts } from '../host/facts.js'
import type { Profile, ProfileLimits, ProtectionName } from '../profile/types.js'
import { type Plan, PlanFlag, type Rlimit } from './layout.gen.js'

const RLIMIT = { fsize: 1, core: 4, nproc: 6, nofile: 7 } as const

/** Quotas are of this long; the kernel's own default. */
export const CPU_PERIOD_US = 100_000

/** pids.max takes no more than PID_MAX_LIMIT, pid 1 included; no kernel has more processes. */
const MOST_PROCESSES = 4_194_303

/** A limit that only a cgroup holds: under which name it may be missing, and what it takes there. */
interface Carried {
  protection: ProtectionName
  controller: 'memory' | 'cpu' | 'io'
}

export function carriedLimits({ limits }: Profile): Carried[] {
  return [
    ...(limits.maxMemory === undefined ? [] : [{ protection: 'memoryLimit', controller: 'memory' } as const]),
    ...(limits.maxCpu === undefined && limits.cpuWeight === undefined
      ? []
      : [{ protection: 'cpuLimit', controller: 'cpu' } as const]),
    ...(limits.maxIo?.device === undefined ? [] : [{ protection: 'ioLimit', controller: 'io' } as const])
  ]
}

/** The group this jail gets: where from, and what it limits there. Otherwise why it gets none. */
export type CgroupChoice = { from: CgroupFacts; controllers: string[] } | { none: string }

/**
 * Without the memory controller a group would take the watchdog's place and limit nothing, so a memory limit wants a group
 * that has it, or none. What else is missing there is missing without a group too.
 */
export function chooseCgroup(profile: Profile, facts: HostFacts): CgroupChoice {
  const wanted = carriedLimits(profile).map((limit) => limit.controller)
  if (wanted.length === 0) return { none: 'no limit asks for a cgroup' }
  if (profile.limits.cgroup === 'off') return { none: 'resources.cgroup forbids one' }
  const { cgroup } = facts // looked for when it is asked for
  if (cgroup.source === 'none') return { none: cgroup.reason }
  const had = wanted.filter((name) => cgroup.controllers.includes(name))
  if (had.length === 0 || (wanted.includes('memory') && !had.includes('memory')))
    return {
      none: lacks(
        cgroup,
        wanted.filter((name) => !had.includes(name))
      )
    }
  return { from: cgroup, controllers: cgroup.controllers }
}

export const lacks = ({ controllers, path, source }: CgroupFacts, missing: string[]): string =>
  `the ${missing.join(' and ')} controller is not to be had in ${path ?? `a ${source} of systemd`}` +
  ` (${controllers.length > 0 ? `${controllers.join(', ')} are` : 'none is'})`

type LimitsPlan = Pick<
  Plan,
  | 'graceMs'
  | 'rootInodes'
  | 'rootBytes'
  | 'wallClockMs'
  | 'processesMax'
  | 'cpuWeight'
  | 'cpuQuotaUs'
  | 'launcherPid'
  | 'memoryMax'
  | 'memoryThreshold'
  | 'ioLimits'
  | 'rlimits'
  | 'cgroupMount'
  | 'cgroupParent'
  | 'busSocket'
>

/** `made`: inodes of the private tmpfs that the jail itself takes. */
export function planLimits(profile: Profile, facts: HostFacts, made: number): LimitsPlan {
  const { limits } = profile
  const choice = chooseCgroup(profile, facts)
  const has = (name: string) => 'from' in choice && choice.controllers.includes(name)
  return {
    graceMs: limits.terminationGrace,
    rootInodes: Math.min(limits.tmpFiles + made, 0xffffffff),
    rootBytes: BigInt(limits.tmpSize),
    wallClockMs: BigInt(limits.maxExecutionTime ?? 0),
    processesMax: processesOf(limits),
    memoryMax: BigInt(limits.maxMemory ?? 0),
    memoryThreshold: BigInt(limits.memoryThreshold ?? 0),
    cpuWeight: has('cpu') ? (limits.cpuWeight ?? 0) : 0,
    cpuQuotaUs: has('cpu') && limits.maxCpu !== undefined ? Math.round(limits.maxCpu * CPU_PERIOD_US) : 0,
    ioLimits: has('io') ? ioLimits(limits) : [],
    rlimits: rlimits(limits),
    ...source(choice)
  }
}

type Source = Pick<Plan, 'launcherPid' | 'cgroupMount' | 'cgroupParent' | 'busSocket'>

function source(choice: CgroupChoice): Source {
  const nothing = { launcherPid: 0, cgroupMount: '', cgroupParent: '', busSocket: '' }
  if ('none' in choice) return nothing
  const { source: from, mount = '', path = '', busSocket = '', launcherPid = 0 } = choice.from
  if (from === 'scope') return { ...nothing, cgroupMount: mount, busSocket }
  return { ...nothing, launcherPid, cgroupMount: mount, cgroupParent: path }
}

/** The flags of limits; see PlanFlag. */
export function limitFlags(profile: Profile, facts: HostFacts): Partial<Record<number, boolean>> {
  const choice = chooseCgroup(profile, facts)
  const from = 'from' in choice ? choice.from.source : undefined
  return {
    [PlanFlag.CgroupSubtree]: from === 'subtree' || from === 'root',
    [PlanFlag.CgroupScope]: from === 'scope',
    [PlanFlag.CgroupOptional]:
      from !== undefined && carriedLimits(profile).every(({ protection }) => profile.tolerate.includes(protection)),
    [PlanFlag.CountRunningTime]: profile.limits.executionClock === 'running',
    [PlanFlag.KillAtProcessLimit]: profile.limits.onProcessLimit === 'kill'
  }
}

const processesOf = ({ maxProcesses }: ProfileLimits): number => Math.min(maxProcesses, MOST_PROCESSES)

function ioLimits({ maxIo }: ProfileLimits): Plan['ioLimits'] {
  if (!maxIo?.device) return []
  const { device, readBytes = 0, writeBytes = 0, readOps = 0, writeOps = 0 } = maxIo
  const { major, minor } = device
  const perSecond = { readBytes, writeBytes, readOps, writeOps }
  const each = Object.entries(perSecond).map(([name, value]) => [name, BigInt(value)])
  return [{ major, minor, ...(Object.fromEntries(each) as Record<keyof typeof perSecond, bigint>) }]
}

function rlimits(limits: ProfileLimits): Rlimit[] {
  const values: [number, number][] = [
    [RLIMIT.nofile, limits.maxFileDescriptors],
    [RLIMIT.fsize, limits.maxFileSize],
    [RLIMIT.nproc, limits.maxProcesses],
    [RLIMIT.core, 0]
  ]
  return values.map(([resource, value]) => ({ resource, value: BigInt(value) }))
}
