import { QiError } from '../errors.js'
import type { HostFacts, UserNamespaces } from '../host/facts.js'
import { probeHost } from '../host/probe.js'
import { type Restrictions, readRestrictions } from '../host/restrictions.js'
import { remedyFor } from '../plan/limit-states.js'
import { type Finding, findings } from '../plan/protections.js'
import type { SandboxConfig } from '../policy/config.js'
import { DEFAULT_PROFILE, listProfiles } from '../policy/profiles.js'
import { nodeFs } from '../profile/fs.js'
import { readPolicy } from '../profile/resolve.js'
import type { Profile } from '../profile/types.js'
import { diagnoseFolders, type FolderFinding } from './diagnose-folders.js'
import { LAUNCHER, place } from './run.js'
import { attempt, failed, profileOf, type Trial } from './trial.js'

/** What a profile comes to here. */
export interface ProfileFinding {
  profile: string
  launch: Trial
  /** None where it cannot even be resolved. */
  protections: Finding[]
}

export interface Diagnosis {
  /** The profile can launch here. */
  ok: boolean
  profile: string
  host: Omit<HostFacts, 'cgroup'>
  /** What is around this process: container, chroot, AppArmor, a seccomp filter. */
  restrictions: Restrictions
  cgroup: HostFacts['cgroup']
  protections: Finding[]
  /** The limits of a jail that asks for every one. */
  limits: Finding[]
  launch: Trial
  /** Why the policy files of this place leave a launch no jail; the rest of this is without them. */
  policy?: string
  /** The same with every limit; where a cgroup is to be had. */
  limited?: Trial
  /** Every built-in profile; with --profile that one only. */
  profiles: ProfileFinding[]
  folders: FolderFinding[]
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
  const found = findings(plain, facts, namespaces).filter(({ name }) => !isLimit(name))
  const judged = { profile: plain.name, launch, protections: found }
  const profiles = profileName === undefined ? await everyProfile(judged, facts, namespaces) : [judged]
  const folders = await diagnoseFolders(facts)
  return {
    ok: launch.ok && policy === undefined,
    profile: plain.name,
    host,
    restrictions: readRestrictions(),
    cgroup: facts.cgroup,
    protections: found,
    limits: findings(limited, facts).filter(({ name }) => isLimit(name)),
    launch,
    ...(policy === undefined ? {} : { policy }),
    ...(tried ? { limited: tried } : {}),
    profiles,
    folders,
    remedies: unique([
      ...(policy === undefined ? [] : [policy]),
      ...[launch, tried, ...profiles.map((each) => each.launch)].flatMap((trial) => trial?.error ?? []),
      ...remedies({ ...facts, userNamespaces: namespaces }),
      ...folders.flatMap(({ path, idMapped, reason }) => (idMapped === 'no' ? `${path}: ${reason}` : []))
    ])
  }
}

const unique = (texts: string[]): string[] => [...new Set(texts)]

/** By launching each: what a profile lacks here is not all that can be in its way. */
async function everyProfile(
  judged: ProfileFinding,
  facts: HostFacts,
  namespaces: UserNamespaces
): Promise<ProfileFinding[]> {
  const all: ProfileFinding[] = []
  for (const profile of listProfiles()) {
    all.push(profile === judged.profile ? judged : await diagnoseProfile(profile, facts, namespaces))
  }
  return all
}

async function diagnoseProfile(profile: string, facts: HostFacts, namespaces: UserNamespaces): Promise<ProfileFinding> {
  try {
    const resolved = profileOf({ profile }, facts)
    const protections = findings(resolved, facts, namespaces).filter(({ name }) => !isLimit(name))
    return { profile, launch: await attempt(resolved), protections }
  } catch (error) {
    return { profile, launch: failed(error), protections: [] }
  }
}

const withoutGroup = ({ cgroup: _, ...host }: HostFacts) => host

/** Nobody can launch here as things are (root without its rights): that is an answer, too. */
function undiagnosed(profile: string, host: Diagnosis['host'], cgroup: HostFacts['cgroup'], why: QiError): Diagnosis {
  const launch = { ok: false, error: `${why.code}: ${why.message}` }
  const remedies = [why.hint, host.userNamespaces?.remedy].filter((each) => each !== undefined)
  const none = { protections: [], limits: [], profiles: [], folders: [] }
  return { ok: false, profile, host, restrictions: readRestrictions(), cgroup, ...none, launch, remedies }
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

function remedies({
  landlockAbi,
  cgroup,
  kernel,
  userNamespaces,
  mountSetattr,
  netnsCookie,
  seccomp
}: HostFacts): string[] {
  return [
    ...(userNamespaces?.usable === false ? [`user namespaces: ${userNamespaces.remedy ?? userNamespaces.reason}`] : []),
    ...(landlockAbi === 0 ? [`Landlock: add it to the kernel's lsm= list (it is compiled in since 5.13)`] : []),
    ...(landlockAbi > 0 && landlockAbi < 6
      ? [`Landlock ABI ${landlockAbi}: 6.12 and newer have all of it, not ${kernel}`]
      : []),
    ...(mountSetattr ? [] : [`id-mapped mounts: 5.12 and newer have them, not ${kernel}: launch as an ordinary user`]),
    ...(netnsCookie ? [] : [`allowed hosts: 5.14 and newer tell networks apart (SO_NETNS_COOKIE), not ${kernel}`]),
    ...(seccomp.userNotif && !seccomp.waitKillableRecv
      ? [`calls that signals interrupt: 5.19 and newer decide each once, not ${kernel}`]
      : []),
    ...(cgroup.source === 'none' ? [`cgroup: ${cgroup.reason}: ${remedyFor(cgroup)}`] : [])
  ]
}
