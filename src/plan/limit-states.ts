import { QiError } from '../errors.js'
import type { CgroupFacts, HostFacts } from '../host/facts.js'
import { placeIn } from '../profile/limits.js'
import type { Profile, ProfileLimits, Protection, ProtectionName } from '../profile/types.js'
import { type CgroupChoice, CPU_PERIOD_US, chooseCgroup, lacks } from './limits.js'
import type { State } from './state.js'

const NOT_ASKED: State = ['off', 'no limit asked for']

/** What each limit comes to on this host, and by what. */
export function limitStates(profile: Profile, facts: HostFacts) {
  const choice = chooseCgroup(profile, facts)
  return {
    memoryLimit: memoryLimit(profile.limits, choice),
    cpuLimit: cpuLimit(profile.limits, choice),
    processLimit: processLimit(profile.limits, choice, facts),
    ioLimit: ioLimit(profile.limits, choice),
    wallClock: wallClock(profile.limits)
  } satisfies Partial<Record<ProtectionName, State>>
}

/**
 * The same without the cgroup that was planned: what `jail.protections` says when it was not to be had at launch, which
 * the plan allows only when all of it is tolerated.
 */
export function withoutCgroup(profile: Profile, facts: HostFacts, planned: readonly Protection[], why: string) {
  const states: Partial<Record<ProtectionName, State>> = limitStates(profile, {
    ...facts,
    cgroup: { ...facts.cgroup, source: 'none', reason: why }
  })
  return planned.map((was): Protection => {
    const [state, reason] = states[was.name] ?? [was.state, was.reason]
    return { name: was.name, state, reason }
  })
}

function memoryLimit({ maxMemory }: ProfileLimits, choice: CgroupChoice): State {
  if (maxMemory === undefined) return NOT_ASKED
  if ('from' in choice) return ['enforced', `memory.max of the whole jail, in ${place(choice.from)}`]
  const watchdog =
    'the watchdog looks at the whole jail’s memory and ends it above the limit; it can be overshot for a moment'
  return ['degraded', `${watchdog}; no cgroup: ${choice.none}`, 'lacking']
}

function cpuLimit({ maxCpu, cpuWeight }: ProfileLimits, choice: CgroupChoice): State {
  if (maxCpu === undefined && cpuWeight === undefined) return NOT_ASKED
  if ('none' in choice) return ['off', `no cgroup: ${choice.none}`, 'lacking']
  if (!choice.controllers.includes('cpu')) return ['off', lacks(choice.from, ['cpu']), 'lacking']
  const quota = maxCpu === undefined ? [] : [`cpu.max ${Math.round(maxCpu * CPU_PERIOD_US)} ${CPU_PERIOD_US}`]
  const weight = cpuWeight === undefined ? [] : [`cpu.weight ${cpuWeight}`]
  return ['enforced', `${[...quota, ...weight].join(', ')}, in ${place(choice.from)}`]
}

function ioLimit({ maxIo }: ProfileLimits, choice: CgroupChoice): State {
  if (maxIo === undefined) return NOT_ASKED
  if (!maxIo.device) return ['off', maxIo.reason ?? 'the disk has no name', 'lacking']
  if ('none' in choice) return ['off', `no cgroup: ${choice.none}`, 'lacking']
  if (!choice.controllers.includes('io')) return ['off', lacks(choice.from, ['io']), 'lacking']
  return ['enforced', `io.max of ${maxIo.device.name}, in ${place(choice.from)}`]
}

function processLimit(limits: ProfileLimits, choice: CgroupChoice, { kernel, privileged }: HostFacts): State {
  const inGroup = 'from' in choice && choice.controllers.includes('pids')
  const { maxProcesses, onProcessLimit } = limits
  if (inGroup) return ['enforced', `${maxProcesses}, by pids.max and RLIMIT_NPROC`]
  // A uid drawn for this jail alone has no other processes, however the kernel counts.
  if (!privileged && olderThan(kernel, 5, 14))
    return ['degraded', `RLIMIT_NPROC, which before Linux 5.14 counts every process of this user; ${maxProcesses}`]
  if (onProcessLimit === 'kill')
    return ['degraded', `RLIMIT_NPROC refuses the fork; qi-monitor looks every few seconds and ends the jail then`]
  return ['enforced', `${maxProcesses}, by RLIMIT_NPROC of the jail’s own user namespace`]
}

/** For words only: what is done is the same on every kernel. */
function olderThan(kernel: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10))
  return a < major || (a === major && b < minor)
}

function wallClock({ maxExecutionTime, executionClock, terminationGrace }: ProfileLimits): State {
  if (maxExecutionTime === undefined) return NOT_ASKED
  const clock = executionClock === 'running' ? 'of running time' : 'of CLOCK_BOOTTIME'
  return ['enforced', `${maxExecutionTime} ms ${clock}, then SIGTERM, and SIGKILL ${terminationGrace} ms later`]
}

const place = ({ source, path }: CgroupFacts): string => (source === 'scope' ? 'a scope of systemd' : `${path}`)

const FIELDS: Partial<Record<ProtectionName, (limits: ProfileLimits) => [key: string, value: unknown]>> = {
  cpuLimit: ({ maxCpu, cpuWeight }) => (maxCpu === undefined ? ['cpuWeight', cpuWeight] : ['maxCpu', maxCpu]),
  ioLimit: ({ maxIo }) => ['maxIo', maxIo?.path]
}

/** Limits that nothing but a cgroup can hold say what would give one. */
export function unsupported(
  name: ProtectionName,
  { limits, origins }: Profile,
  { cgroup }: HostFacts,
  reason: string
): QiError | undefined {
  const [key, value] = FIELDS[name]?.(limits) ?? []
  if (key === undefined) return undefined
  const field = `resources.${key}`
  const remedy = limits.cgroup === 'off' ? 'drop resources.cgroup' : remedyFor(cgroup)
  const hint = `${remedy}; or leave it out, or add '${name}' to tolerate to run without it`
  return new QiError(
    'QI_LIMIT_UNSUPPORTED',
    `${placeIn(origins, field)} = ${JSON.stringify(value)}: cannot be enforced here: ${reason}`,
    {
      field,
      value,
      hint
    }
  )
}

/** What gives this host a cgroup for jails, or one in which more can be limited. */
export function remedyFor({ version, source, path }: CgroupFacts): string {
  if (source === 'subtree') return `add the controller to Delegate= of the unit of ${path}`
  if (source === 'scope')
    return 'let sessions have the controller: [Service] Delegate=cpu io memory pids in systemctl edit user@.service'
  if (source === 'root') return 'this kernel has no such controller'
  if (version !== 2) return 'boot with cgroup v2: systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all'
  return 'start it in a systemd user session (loginctl enable-linger), or in a service with Delegate=yes and DelegateSubgroup='
}
