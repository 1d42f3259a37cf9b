import type { HostFacts } from '../host/facts.js'
import type { Profile } from '../profile/types.js'
import type { LandlockRule } from './layout.gen.js'

/** LANDLOCK_ACCESS_FS_*, linux/landlock.h. */
export const Access = {
  execute: 1n << 0n,
  writeFile: 1n << 1n,
  readFile: 1n << 2n,
  readDir: 1n << 3n,
  removeDir: 1n << 4n,
  removeFile: 1n << 5n,
  makeChar: 1n << 6n,
  makeDir: 1n << 7n,
  makeReg: 1n << 8n,
  makeSock: 1n << 9n,
  makeFifo: 1n << 10n,
  makeBlock: 1n << 11n,
  makeSym: 1n << 12n,
  refer: 1n << 13n,
  truncate: 1n << 14n,
  ioctlDev: 1n << 15n
} as const

const READ = Access.readFile | Access.readDir | Access.execute
const CREATE = Access.makeDir | Access.makeReg | Access.makeSock | Access.makeFifo | Access.makeSym | Access.refer
const CHANGE = Access.writeFile | Access.removeDir | Access.removeFile | Access.truncate

/** What each ABI added. Everything the kernel knows is handled, so that what no rule grants is refused. */
function handledFs(abi: number): bigint {
  if (abi === 0) return 0n
  let handled = (1n << 13n) - 1n
  if (abi >= 2) handled |= Access.refer
  if (abi >= 3) handled |= Access.truncate
  if (abi >= 5) handled |= Access.ioctlDev
  return handled
}

export interface Landlock {
  landlockFs: bigint
  landlockNet: bigint
  landlockScope: bigint
  landlockRules: LandlockRule[]
}

/**
 * A second lock on what the mounts already say: the private root may be read, writable places written, nothing else. In
 * `guarded` grants no name may be made: qi-monitor makes them (native/monitor/create_guard.h).
 */
export function landlock(profile: Profile, facts: HostFacts, guarded: ReadonlySet<string>): Landlock {
  const abi = landlockAbi(profile, facts)
  const rules = rulesOf(profile, guarded)
  const scoped = abi >= 6 && !profile.off.includes('landlockScope')
  return {
    landlockFs: handledFs(abi),
    landlockNet: abi >= 4 && closesTcp(profile) ? 3n : 0n,
    landlockScope: scoped ? 3n : 0n,
    landlockRules: abi === 0 ? [] : rules
  }
}

function rulesOf(profile: Profile, guarded: ReadonlySet<string>): LandlockRule[] {
  if (profile.withoutNamespaces !== undefined) return onHost(profile)
  return profile.mediation ? aroundMediated(profile) : inPrivateRoot(profile, guarded)
}

/** As if the kernel had none, where the policy wants it off. */
export const landlockAbi = ({ off }: Profile, facts: HostFacts): number =>
  off.includes('landlockFs') ? 0 : facts.landlockAbi

function closesTcp({ network: { mode, innerLoopback }, off }: Profile): boolean {
  // bind and connect of TCP, 4. With an allow-list qi-monitor does both, so that even a call that was let go on can do
  // neither; without one the jail's own loopback can only be told from elsewhere by its network namespace.
  return !off.includes('landlockNet') && (mode === 'allowList' || (mode === 'none' && !innerLoopback))
}

function inPrivateRoot(profile: Profile, guarded: ReadonlySet<string>): LandlockRule[] {
  const rules: LandlockRule[] = [{ path: '/', access: READ }]
  // Sockets are made by bind, which qi-monitor does not do for the payload.
  for (const path of [profile.tempDirectory, '/dev/shm'])
    rules.push({ path, access: READ | CHANGE | (guarded.has(path) ? Access.makeSock : CREATE) })
  for (const grant of profile.grants) {
    if (grant.access !== 'rw') continue
    rules.push({ path: grant.path, access: READ | CHANGE | (guarded.has(grant.path) ? 0n : CREATE) })
  }
  rules.push({ path: '/dev', access: Access.writeFile | (profile.devices.pty ? Access.ioctlDev : 0n) })
  return rules
}

/** What nothing is mediated in; all changes in writable grants are qi-monitor's there, too (native/monitor/tree_guard.h). */
const openGrants = ({ grants, mediation }: Profile): LandlockRule[] => [
  ...grants.filter(({ path }) => !mediation?.folders.includes(path)).map(({ path }) => ({ path, access: READ })),
  ...(mediation?.executables ?? []).map((path) => ({ path, access: Access.readFile | Access.execute }))
]

/**
 * The private root without the folders in which names are denied by pattern: whatever a call that goes on turns into, it gets
 * nowhere in those.
 */
function aroundMediated(profile: Profile): LandlockRule[] {
  const write = Access.writeFile | (profile.devices.pty ? Access.ioctlDev : 0n)
  return [
    ...[profile.tempDirectory, '/dev/shm'].map((path) => ({ path, access: READ | CHANGE | CREATE })),
    ...openGrants(profile),
    ...profile.files.map(({ path }) => ({ path, access: Access.readFile })),
    { path: '/proc', access: READ },
    { path: '/dev', access: READ | write }
  ]
}

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom']

/**
 * The first lock, of a jail that sees the host's tree: what is granted may be read, and changed in the private temporary
 * folder alone. Changes in writable grants are done by qi-monitor (native/monitor/tree_guard.h). Of /proc nothing is
 * left out, since a process cannot be granted its own part: what belongs to others' memory, environment and descriptors
 * Landlock refuses all the same, as to a tracer from another domain.
 */
function onHost(profile: Profile): LandlockRule[] {
  return [
    { path: profile.tempDirectory, access: READ | CHANGE | CREATE },
    ...openGrants(profile),
    { path: '/proc', access: Access.readFile | Access.readDir },
    ...DEVICES.map((name) => ({ path: `/dev/${name}`, access: Access.readFile | Access.writeFile }))
  ]
}
