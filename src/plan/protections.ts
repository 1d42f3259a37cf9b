import type { HostFacts } from '../host/facts.js'
import { PROTECTIONS, type Profile, type Protection, type ProtectionName } from '../profile/types.js'

type State = [state: Protection['state'], reason: string]

/**
 * What each layer comes to on this host. Everything stated `enforced` is verified by the launch: a step that fails ends
 * it, so a running jail has what this says.
 */
export function protections(profile: Profile, facts: HostFacts, guardMissing: boolean): Protection[] {
  const states: Partial<Record<ProtectionName, State>> = {
    networkNamespace:
      profile.network.mode === 'none'
        ? ['enforced', profile.network.innerLoopback ? 'own loopback only' : 'no address can be reached']
        : ['off', 'dangerouslyShareHostNetwork'],
    idMappedMounts: facts.privileged
      ? ['enforced', 'files in grants keep the caller as their owner']
      : ['enforced', 'not needed: the payload has the caller’s own uid'],
    landlockFs: landlockFs(facts.landlockAbi),
    landlockNet: landlockNet(profile, facts.landlockAbi),
    landlockScope:
      facts.landlockAbi >= 6
        ? ['enforced', 'signals and abstract sockets stay inside']
        : ['off', `Landlock ABI ${facts.landlockAbi} has no scopes (6 has); the pid and network namespaces do the same`],
    mandatoryDenies: guardMissing
      ? ['degraded', 'names that do not exist yet cannot be guarded without Landlock']
      : ['enforced', 'existing paths by read-only mounts, missing ones by deciding every creation'],
    memoryLimit:
      profile.limits.maxMemory === undefined
        ? ['off', 'no limit asked for']
        : ['degraded', 'RLIMIT_DATA, for each process; the total is not limited'],
    cpuLimit: ['off', 'no limit asked for, or tolerated without one'],
    wallClock:
      profile.limits.maxExecutionTime === undefined
        ? ['off', 'no limit asked for']
        : ['enforced', `${profile.limits.maxExecutionTime} ms of CLOCK_BOOTTIME`]
  }
  return PROTECTIONS.map((name) => {
    const [state, reason] = states[name] ?? ['enforced', 'verified at launch']
    return { name, state, reason }
  })
}

function landlockFs(abi: number): State {
  if (abi === 0) return ['off', 'this kernel has no Landlock, or it is not in its lsm= list']
  if (abi < 3) return ['degraded', `ABI ${abi}: truncation is not covered`]
  return ['enforced', `ABI ${abi}`]
}

function landlockNet(profile: Profile, abi: number): State {
  if (profile.network.mode !== 'none') return ['off', 'dangerouslyShareHostNetwork']
  if (profile.network.innerLoopback) return ['off', 'left to the network namespace, so that the jail’s own loopback works']
  if (abi < 4) return ['off', `Landlock ABI ${abi} has no network rights (4 has)`]
  return ['enforced', 'no TCP bind or connect']
}
