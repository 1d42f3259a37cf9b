import { QiError } from '../errors.js'
import type { HostFacts, UserNamespaces } from '../host/facts.js'
import { placeIn } from '../profile/limits.js'
import { PROTECTIONS, type Profile, type Protection, type ProtectionName } from '../profile/types.js'
import { landlockAbi } from './landlock.js'
import { limitStates, unsupported } from './limit-states.js'
import type { State } from './state.js'
import { tierStates } from './tier-states.js'

/** A protection of a profile on a host, and whether the launch would be refused for it. */
export interface Finding extends Protection {
  refused: boolean
}

const USABLE: UserNamespaces = { usable: true, reason: '' }

/** What each layer comes to on this host; `namespaces` where that was asked. */
export function findings(
  profile: Profile,
  facts: HostFacts,
  { usable, reason: why }: UserNamespaces = USABLE
): Finding[] {
  const states = statesOf(profile, facts)
  if (!usable && profile.withoutNamespaces === undefined) states.userNamespace = ['off', why, 'lacking']
  return PROTECTIONS.map((name) => {
    const [state, reason, lacking] = states[name] ?? ENFORCED
    return { name, state, reason, refused: lacking !== undefined && !profile.tolerate.includes(name) }
  })
}

/**
 * The same, for a launch. Everything stated `enforced` is verified by it: a step that fails ends it, so a running jail has
 * what this says.
 *
 * @throws QiError QI_PROTECTION, QI_LIMIT_UNSUPPORTED when the host lacks what the profile does not tolerate to miss.
 */
export function protections(profile: Profile, facts: HostFacts): Protection[] {
  requireLandlock(profile, facts)
  const all = findings(profile, facts)
  const lacking = all.filter(({ refused }) => refused).map(({ name }) => name)
  return all.map(({ refused, ...protection }) => {
    const { name, state, reason } = protection
    if (refused) throw unsupported(name, profile, facts, reason) ?? refusal(profile, name, state, reason, lacking)
    return protection
  })
}

/** Without namespaces nothing else keeps files from the payload. */
function requireLandlock(profile: Profile, facts: HostFacts): void {
  if (profile.withoutNamespaces === undefined || landlockAbi(profile, facts) > 0) return
  throw new QiError('QI_TIER', `neither namespaces nor Landlock: ${profile.withoutNamespaces}`, {
    field: 'protections.landlockFs',
    hint: `give it either: ${facts.userNamespaces?.remedy ?? 'see qi-jail doctor'}; or add landlock to the kernel's lsm= list`
  })
}

const UNWANTED: State = ['off', 'the policy wants it off']
const ENFORCED: State = ['enforced', 'verified at launch']

function refusal(
  { origins }: Profile,
  name: ProtectionName,
  state: string,
  reason: string,
  lacking: ProtectionName[]
): QiError {
  const each = lacking.join(', ')
  const wanted = name === 'memoryLimit' ? `${placeIn(origins, 'resources.maxMemory')}: ` : ''
  return new QiError('QI_PROTECTION', `${wanted}${name} is ${state} on this host: ${reason}`, {
    field: 'tolerate',
    value: name,
    hint: `add ${each} to \`tolerate\` (--tolerate ${lacking.join(' --tolerate ')}) to launch all the same`
  })
}

function statesOf(profile: Profile, facts: HostFacts): Partial<Record<ProtectionName, State>> {
  const abi = landlockAbi(profile, facts)
  const unguarded = abi === 0 && profile.denies.some((deny) => deny.now === 'missing')
  return {
    networkNamespace: networkNamespace(profile.network),
    idMappedMounts: facts.privileged
      ? ['enforced', 'files in grants keep the caller as their owner']
      : ['enforced', 'not needed: the payload has the caller’s own uid'],
    landlockFs: landlockFs(profile, abi),
    landlockNet: landlockNet(profile, abi),
    landlockScope: profile.off.includes('landlockScope')
      ? UNWANTED
      : abi >= 6
        ? ['enforced', 'signals and abstract sockets stay inside']
        : [
            'off',
            `Landlock ABI ${abi} has no scopes (6 has); ${profile.withoutNamespaces === undefined ? 'the pid and network namespaces do' : 'qi-monitor does'} the same`,
            'lacking'
          ],
    mandatoryDenies: unguarded
      ? ['degraded', 'names that do not exist yet cannot be guarded without Landlock', 'lacking']
      : ['enforced', 'existing paths by read-only mounts, missing ones by deciding every creation'],
    ...limitStates(profile, facts),
    ...tierStates(profile, facts)
  }
}

function networkNamespace({ mode, innerLoopback }: Profile['network']): State {
  if (mode === 'dangerouslyShareHostNetwork') return ['off', mode]
  if (mode === 'allowList') return ['enforced', 'hosts on the allow-list are reached through qi-monitor']
  return ['enforced', innerLoopback ? 'own loopback only' : 'no address can be reached']
}

function landlockFs({ off }: Profile, abi: number): State {
  if (off.includes('landlockFs')) return UNWANTED
  if (abi === 0) return ['off', 'this kernel has no Landlock, or it is not in its lsm= list', 'lacking']
  if (abi < 3) return ['degraded', `ABI ${abi}: truncation is not covered`]
  return ['enforced', `ABI ${abi}`]
}

function landlockNet(profile: Profile, abi: number): State {
  const { mode, innerLoopback } = profile.network
  if (profile.off.includes('landlockNet')) return UNWANTED
  if (mode === 'dangerouslyShareHostNetwork') return ['off', mode]
  if (mode === 'none' && innerLoopback)
    return ['off', 'left to the network namespace, so that the jail’s own loopback works']
  if (abi < 4) return ['off', `Landlock ABI ${abi} has no network rights (4 has)`, 'lacking']
  return ['enforced', mode === 'none' ? 'no TCP bind or connect' : 'TCP bind and connect only by qi-monitor']
}
