import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import { probeHost } from '../host/probe.js'
import { launchProfile } from '../launch/spawn.js'
import { remedyFor } from '../plan/limit-states.js'
import { type Finding, findings } from '../plan/protections.js'
import type { SandboxConfig } from '../policy/config.js'
import { DEFAULT_PROFILE } from '../policy/profiles.js'
import { nodeFs } from '../profile/fs.js'
import { readPolicy, resolve } from '../profile/resolve.js'
import type { Profile } from '../profile/types.js'
import { LAUNCHER, place } from './run.js'

/** One launch that was tried. */
export interface Trial {
  ok: boolean
  /** Milliseconds until the payload ran. */
  ms?: number
  /** Of the jail, where it had one. */
  cgroup?: string
  /** Why not, in our own words. */
  error?: string
}

export interface Diagnosis {
  /** The profile can launch here. */
  ok: boolean
  profile: string
  host: Omit<HostFacts, 'cgroup'>
  cgroup: HostFacts['cgroup']
  protections: Finding[]
  /** The limits of a jail that asks for every one. */
  limits: Finding[]
  launch: Trial
  /** Why the policy files of this place leave a launch no jail; the rest of this is without them. */
  policy?: string
  /** The same with every limit; where a cgroup is to be had. */
  limited?: Trial
  remedies: string[]
}

/** Never refused for lack of a cgroup: what comes of each is the answer. */
const LIMITS = ['memoryLimit', 'cpuLimit', 'processLimit', 'ioLimit', 'wallClock'] as const

/** @throws QiError for a profile that does not exist, and for a host that can run nothing of ours. */
export async function diagnose(profileName: string | undefined): Promise<Diagnosis> {
  const facts = probeHost(LAUNCHER)
  const config = profileName === undefined ? {} : { profile: profileName }
  const namespaces = facts.userNamespaces ?? { usable: true, reason: '' }
  const host = { ...withoutGroup(facts), userNamespaces: namespaces }
  const plain = tryProfile(config, facts)
  if (plain instanceof QiError) return undiagnosed(profileName ?? DEFAULT_PROFILE, host, facts.cgroup, plain)
  const resources = { maxMemory: '512MiB', maxCpu: 1, maxExecutionTime: '1m', maxIo: { readBytes: '1GiB' } }
  const tolerate = [...plain.tolerate, ...LIMITS]
  const limited = profileOf({ ...config, resources, tolerate }, facts)
  const launch = await attempt(plain)
  const policy = policyFault(config, facts)
  const tried = facts.cgroup.source === 'none' || !launch.ok ? undefined : await attempt(limited)
  const { cgroup } = facts
  const found = findings(plain, facts, namespaces)
  return {
    ok: launch.ok && policy === undefined,
    profile: plain.name,
    host,
    cgroup,
    protections: found.filter(({ name }) => !isLimit(name)),
    limits: findings(limited, facts).filter(({ name }) => isLimit(name)),
    launch,
    ...(policy === undefined ? {} : { policy }),
    ...(tried ? { limited: tried } : {}),
    remedies: [
      ...(policy === undefined ? [] : [policy]),
      ...remedies({ ...facts, userNamespaces: namespaces }, [launch, tried])
    ]
  }
}

const withoutGroup = ({ cgroup: _, ...host }: HostFacts) => host

/** Nobody can launch here as things are (root without its rights): that is an answer, too. */
function undiagnosed(profile: string, host: Diagnosis['host'], cgroup: HostFacts['cgroup'], why: QiError): Diagnosis {
  const launch = { ok: false, error: `${why.code}: ${why.message}` }
  const remedies = [why.hint, host.userNamespaces?.remedy].filter((each) => each !== undefined)
  return { ok: false, profile, host, cgroup, protections: [], limits: [], launch, remedies }
}

function tryProfile(config: SandboxConfig, facts: HostFacts): Profile | QiError {
  try {
    return profileOf(config, facts)
  } catch (error) {
    if (error instanceof QiError && error.code === 'QI_ROOT_UNPRIVILEGED') return error
    throw error
  }
}

const isLimit = (name: Finding['name']): boolean => (LIMITS as readonly string[]).includes(name)

function policyFault(config: SandboxConfig, facts: HostFacts): string | undefined {
  try {
    const { policy } = readPolicy({ config, argv: [], ...place(), policyFiles: true }, nodeFs, facts)
    if (policy.enforcement !== 'disabled') return undefined
    return `${policy.origins.enforcement} = "disabled": commands run without a jail`
  } catch (error) {
    if (error instanceof QiError) return `${error.code}: ${error.message}`
    throw error
  }
}

/** Of a command that is surely there. */
function profileOf(config: SandboxConfig, facts: HostFacts): Profile {
  return resolve({ config, argv: [process.execPath, '--version'], ...place() }, facts)
}

/** What the host allows is found by doing it: several things that forbid a launch cannot be read anywhere. */
async function attempt(profile: Profile): Promise<Trial> {
  const start = performance.now()
  try {
    const jail = await launchProfile(profile, { stdio: 'ignore', ...LAUNCHER })
    const ms = Math.round(performance.now() - start)
    const { code, signal } = await jail.exited
    if (code === 0) return { ok: true, ms, ...(jail.cgroup === undefined ? {} : { cgroup: jail.cgroup }) }
    return { ok: false, ms, error: `node --version ended with ${signal ?? code}` }
  } catch (error) {
    if (!(error instanceof QiError)) throw error
    return { ok: false, error: `${error.code}: ${error.message}` }
  }
}

function remedies({ landlockAbi, cgroup, kernel, userNamespaces }: HostFacts, trials: (Trial | undefined)[]): string[] {
  return [
    ...trials.flatMap((trial) => trial?.error ?? []),
    ...(userNamespaces?.usable === false ? [`user namespaces: ${userNamespaces.remedy ?? userNamespaces.reason}`] : []),
    ...(landlockAbi === 0 ? [`Landlock: add it to the kernel's lsm= list (it is compiled in since 5.13)`] : []),
    ...(landlockAbi > 0 && landlockAbi < 6
      ? [`Landlock ABI ${landlockAbi}: 6.12 and newer have all of it, not ${kernel}`]
      : []),
    ...(cgroup.source === 'none' ? [`cgroup: ${cgroup.reason}: ${remedyFor(cgroup)}`] : [])
  ]
}
