import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import type { Policy } from '../policy/merge.js'
import { isWithin, join, type ReadFs, walk } from './fs.js'
import { grantOf } from './grants.js'
import { type Host, reachesCredentials } from './host.js'
import type { Deny, Grant, Profile } from './types.js'

/** Stands in a plan for what is drawn for each launch (src/launch/prepare.ts). */
export const TEMP_PLACEHOLDER = '0000000000000000'

/**
 * Why this launch does without namespaces, if it does: told to, or the host has none and the policy can do without. There
 * is no user namespace then, and with it none of the others, no private root and no second uid.
 */
export function tierReason(policy: Policy, facts: HostFacts): string | undefined {
  if (policy.off.includes('userNamespace')) return refuseRoot(facts, 'protections.userNamespace is off')
  // Root gets namespaces without asking; and without its capabilities it gets no jail at all (identity).
  if (!policy.tolerate.includes('userNamespace') || facts.uid === 0) return undefined
  const found = facts.userNamespaces
  return found && !found.usable ? found.reason : undefined
}

function refuseRoot({ uid }: HostFacts, reason: string): string {
  if (uid !== 0) return reason
  throw fault('protections.userNamespace', 'off', 'is for ordinary users: root would stay the root of the host', {
    hint: 'run as an ordinary user, or leave it out'
  })
}

const fault = (field: string, value: unknown, message: string, more: { path?: string; hint: string }): QiError =>
  new QiError('QI_TIER', `${field} = ${JSON.stringify(value)}: ${message}`, { field, value, ...more })

/** The folder on the host that the launch makes for temporary files, and removes. */
export function hostTemp(policy: Policy, fs: ReadFs): string {
  const written = policy.filesystem.tempDirectory ?? '/tmp'
  const found = walk(fs, written)
  if (written.startsWith('/') && found.kind === 'dir') return join(found.real, `qi-jail-${TEMP_PLACEHOLDER}`)
  throw fault('filesystem.tempDirectory', written, 'is no folder of this host, and without namespaces it has to be', {
    path: written,
    hint: 'use /tmp'
  })
}

/** What only a root, an id map or a network of its own can give is refused; the rest becomes the host's paths. */
export function withoutNamespaces(profile: Profile, policy: Policy, host: Host, why: string): Profile {
  refuseIds(policy, profile)
  refuseReadDenies(profile.denies)
  refuseNetwork(profile.network)
  refuseAudit(policy)
  const known = [...profile.grants]
  const files = profile.files.flatMap(({ path, origin }) => systemFile(path, origin, host, known))
  return {
    ...profile,
    withoutNamespaces: why,
    grants: [...profile.grants, ...files],
    symlinks: [],
    files: [],
    denies: [...profile.denies, ...narrowerGrants(profile.grants)],
    network: { ...profile.network, innerLoopback: false },
    devices: { pty: false },
    audit: { ...profile.audit, files: 'off' } // told of by who decides about it
  }
}

/** The host's own in place of the jail's: /etc/resolv.conf is often a link to elsewhere. */
function systemFile(path: string, origin: string, host: Host, grants: Grant[]): Grant[] {
  const { real, kind } = walk(host.fs, path)
  if (kind !== 'file' || grantOf(grants, real) || reachesCredentials(host, path, real)) return []
  return [{ path: real, access: 'ro', kind, as: 'other', optional: true, origin }]
}

/** Landlock adds up what is granted: read-only inside of writable is for qi-monitor to keep. */
function narrowerGrants(grants: Grant[]): Deny[] {
  const writable = grants.filter((g) => g.access === 'rw')
  return grants
    .filter((g) => g.access === 'ro' && writable.some((w) => w.path !== g.path && isWithin(g.path, w.path)))
    .map(({ path, kind, origin }) => ({ path, kind: 'write', now: kind, origin }))
}

function refuseIds({ processIsolation: { uid, gid } }: Policy, { identity }: Profile): void {
  const { uidOutside, gidOutside } = identity
  const wrong = uid !== undefined && uid !== uidOutside ? 'uid' : gid !== undefined && gid !== gidOutside ? 'gid' : ''
  if (wrong === '') return
  const value = wrong === 'uid' ? uid : gid
  throw fault(`processIsolation.${wrong}`, value, 'without namespaces the payload has the ids of the caller', {
    hint: 'leave it out'
  })
}

function refuseReadDenies(denies: Deny[]): void {
  const deny = denies.find((d) => d.kind === 'read' && d.now !== 'missing')
  if (!deny) return
  throw new QiError('QI_TIER', `${deny.origin}: ${deny.path} lies in a granted folder, and is read with it`, {
    field: 'filesystem.deniedPaths',
    value: deny.path,
    path: deny.path,
    hint: 'without namespaces (a root of its own) nothing can be taken out of a grant: grant narrower folders'
  })
}

function refuseNetwork({ mode }: Profile['network']): void {
  if (mode !== 'allowList') return
  throw new QiError('QI_TIER', 'network.allowedHosts: an allow-list of hosts needs a network namespace', {
    field: 'network.allowedHosts',
    hint: 'without namespaces the network is the whole one (dangerouslyShareHostNetwork) or none'
  })
}

/** What would come of a call is foretold for a root of the jail's own; here refused changes are events anyway. */
function refuseAudit({ auditFiles }: Policy): void {
  if (auditFiles === undefined || auditFiles === 'off') return
  throw fault('audit.files', auditFiles, 'needs a root of its own', {
    hint: 'leave it out: refused changes are events'
  })
}
