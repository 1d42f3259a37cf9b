import type { HostFacts } from '../host/facts.js'
import type { Deny, Grant, Profile } from '../profile/types.js'
import { landlockAbi } from './landlock.js'
import { type GuardedName, MountFlag, MountKind, type MountOp } from './layout.gen.js'

/** MOUNT_ATTR_*, linux/mount.h. */
export const Attr = { rdonly: 1, nosuid: 2, nodev: 4, noexec: 8 } as const

const PLAIN = Attr.nosuid | Attr.nodev
/** Ours alone in the jail's root: what a masked path shows instead of itself. Mode 0, on a read-only mount. */
const MASK_FILE = '/.qi-jail/masked-file'
const MASK_DIR = '/.qi-jail/masked-dir'

const DEVICES = [
  { name: 'null', minor: 3 },
  { name: 'zero', minor: 5 },
  { name: 'full', minor: 7 },
  { name: 'random', minor: 8 },
  { name: 'urandom', minor: 9 }
]

/**
 * What /proc tells of the host that its own permissions do not hide from an ordinary user: key names, kernel addresses and
 * modules, interrupt counts (a side channel), the boot command line.
 */
const MASKED_PROC = ['keys', 'key-users', 'kallsyms', 'modules', 'interrupts', 'cmdline']

const blank = {
  flags: 0,
  attrSet: 0,
  attrClear: 0,
  mode: 0,
  rdevMajor: 0,
  rdevMinor: 0,
  source: '',
  data: new Uint8Array()
}
const op = (kind: MountOp['kind'], target: string, rest: Partial<MountOp> = {}): MountOp => ({
  ...blank,
  kind,
  target,
  ...rest
})

const within = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)
const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'
const depth = (path: string): number => path.split('/').length

export interface Mounts {
  mounts: MountOp[]
  guardedNames: GuardedName[]
  guardedGrants: string[]
  /** Grants whose creations qi-monitor decides. */
  guarded: Set<string>
  /** In which qi-monitor makes every change (PlanFlag.WithoutNamespaces, Mediate). */
  writablePaths: string[]
}

/**
 * The private root as a list of steps. The order is the point: the skeleton while nothing is attached, read-only grants,
 * everything so far read-only at once, then what is writable, then what must not be written after all.
 */
export function planMounts(profile: Profile, facts: HostFacts): Mounts {
  if (profile.withoutNamespaces !== undefined) return planTree(profile)
  const sockets = hiddenSockets(profile)
  const grants = [...profile.grants].sort((a, b) => depth(a.path) - depth(b.path) || (a.path < b.path ? -1 : 1))
  const early = grants.filter((grant) => isEarly(grant, profile, grants))
  const late = grants.filter((grant) => !early.includes(grant))
  const denies = planDenies(profile, facts)
  const mounts = [
    ...skeleton(profile, grants, sockets),
    ...early.map((grant) => ({ ...bind(grant, facts), attrSet: 0 })), // the next step gives all of them theirs
    op(MountKind.SetAttr, '/', { flags: MountFlag.Recursive, attrSet: Attr.rdonly | PLAIN }),
    writableTmpfs(profile.tempDirectory),
    writableTmpfs('/dev/shm'),
    ...DEVICES.map(({ name, minor }) =>
      op(MountKind.Device, `/dev/${name}`, { source: `/dev/${name}`, rdevMajor: 1, rdevMinor: minor })
    ),
    ...(profile.devices.pty ? [op(MountKind.DevPts, '/dev/pts', { attrSet: Attr.noexec })] : []),
    op(MountKind.Proc, '/proc', { attrSet: Attr.rdonly | PLAIN | Attr.noexec }),
    ...MASKED_PROC.map((name) => op(MountKind.Mask, `/proc/${name}`, { source: MASK_FILE, flags: MountFlag.Optional })),
    ...late.map((grant) => bind(grant, facts)),
    ...sockets.map((path) => op(MountKind.Bind, path, { source: path, attrSet: PLAIN | Attr.rdonly })),
    ...denies.mounts
  ]
  return {
    mounts,
    guardedNames: denies.names,
    guardedGrants: denies.places,
    guarded: denies.guarded,
    writablePaths: profile.mediation ? writableOf(profile) : []
  }
}

/** The host's tree as it is: qi-monitor leaves alone in the writable grants what is denied, be it there or not. */
function planTree(profile: Profile): Mounts {
  const writablePaths = writableOf(profile)
  const names = profile.denies.filter((deny) => writablePaths.some((path) => within(deny.path, path))).map(guardedName)
  return { mounts: [], guardedNames: names, guardedGrants: [], guarded: new Set(), writablePaths }
}

const writableOf = ({ grants }: Profile): string[] => grants.filter((g) => g.access === 'rw').map((g) => g.path)

const guardedName = ({ path, origin }: Deny): GuardedName => ({
  parent: parentOf(path),
  name: path.slice(path.lastIndexOf('/') + 1),
  rule: origin
})

/** Read-only, and neither below a writable grant nor below the private tmp: those hide what was attached before them. */
function isEarly(grant: Grant, profile: Profile, grants: Grant[]): boolean {
  if (grant.access === 'rw' || within(grant.path, profile.tempDirectory) || within(grant.path, '/dev')) return false
  return !grants.some((other) => other.access === 'rw' && other.path !== grant.path && within(grant.path, other.path))
}

/**
 * Listed sockets that no granted folder shows already. Plain mounts: an id-mapped one would refuse the write access that a
 * connect is to sockets of other owners.
 */
const hiddenSockets = ({ sockets, grants }: Profile): string[] =>
  sockets.map(({ path }) => path).filter((path) => !grants.some((grant) => within(path, grant.path)))

function bind(grant: Grant, facts: HostFacts): MountOp {
  const directory = grant.kind === 'dir' ? MountFlag.IsDirectory | MountFlag.Recursive : 0
  const idMap = facts.privileged && grant.as === 'caller' ? MountFlag.IdMap : 0
  const optional = grant.optional ? MountFlag.Optional : 0
  return op(MountKind.Bind, grant.path, {
    source: grant.path,
    flags: directory | idMap | optional,
    attrSet: PLAIN | (grant.access === 'ro' ? Attr.rdonly : 0)
  })
}

const writableTmpfs = (path: string): MountOp =>
  op(MountKind.SelfBind, path, { flags: MountFlag.Recursive, attrSet: PLAIN, attrClear: Attr.rdonly })

/** Mount points, folders on the way to them, links and small files. What lies inside a grant is there already. */
function skeleton(profile: Profile, grants: Grant[], sockets: string[]): MountOp[] {
  const made = new Map<string, MountOp>()
  const inGrant = (path: string) => grants.some((grant) => grant.path !== path && within(path, grant.path))
  const add = (made_: MountOp): void => {
    const parent = parentOf(made_.target)
    if (made_.target === '/' || made.has(made_.target) || inGrant(made_.target)) return
    if (parent !== '/') add(op(MountKind.Dir, parent, { mode: 0o755 }))
    made.set(made_.target, made_)
  }
  const dir = (path: string, mode = 0o755) => add(op(MountKind.Dir, path, { mode }))
  const file = (path: string, mode: number, data: Uint8Array) => add(op(MountKind.File, path, { mode, data }))
  dir(profile.tempDirectory, 0o1777)
  dir('/dev/shm', 0o1777)
  dir('/proc')
  dir(MASK_DIR, 0)
  file(MASK_FILE, 0, new Uint8Array())
  if (profile.devices.pty) dir('/dev/pts')
  for (const { name } of DEVICES) file(`/dev/${name}`, 0o644, new Uint8Array())
  for (const grant of grants) grant.kind === 'dir' ? dir(grant.path) : file(grant.path, 0o644, new Uint8Array())
  for (const path of sockets) file(path, 0, new Uint8Array())
  for (const link of deviceLinks(profile)) add(op(MountKind.Symlink, link.path, { source: link.target }))
  for (const link of profile.symlinks) add(op(MountKind.Symlink, link.path, { source: link.target }))
  for (const each of profile.files) file(each.path, each.mode, Buffer.from(each.content))
  const home = profile.env.find(([name]) => name === 'HOME')?.[1]
  if (home?.startsWith('/')) dir(home)
  return [...made.values()]
}

const deviceLinks = (profile: Profile) => [
  { path: '/dev/fd', target: '/proc/self/fd' },
  { path: '/dev/stdin', target: '/proc/self/fd/0' },
  { path: '/dev/stdout', target: '/proc/self/fd/1' },
  { path: '/dev/stderr', target: '/proc/self/fd/2' },
  ...(profile.devices.pty ? [{ path: '/dev/ptmx', target: 'pts/ptmx' }] : [])
]

/**
 * Denies as mounts on what exists and as guarded names for what does not. Folders between the grant and a deny become
 * mount points of their own: a mount point cannot be renamed, so `mv .git x; mkdir .git` gives nothing new to write to.
 */
function planDenies(profile: Profile, facts: HostFacts) {
  const pins = new Map<string, string>()
  const covers: MountOp[] = []
  const names: GuardedName[] = []
  const guarded = new Set<string>()
  for (const deny of profile.denies) {
    const grant = writableGrantOf(deny, profile)
    if (grant) for (const folder of foldersBetween(grant.path, deny.path)) pins.set(folder, grant.path)
    if (deny.now === 'missing') {
      if (!grant) continue
      guarded.add(grant.path)
      names.push(guardedName(deny))
    } else covers.push(cover(deny))
  }
  // A grant inside a writable one must not be moved aside with the folder around it either: what then came to be at its
  // path would have neither its read-only mount nor its denies.
  for (const { path } of profile.grants) {
    const around = outerGrant(path, profile.grants)
    if (around?.access === 'rw') for (const folder of foldersBetween(around.path, path)) pins.set(folder, around.path)
  }
  // Landlock adds up the rights of every folder on the way, so what lies around a guarded grant is guarded with it.
  for (const place of [
    profile.tempDirectory,
    '/dev/shm',
    ...profile.grants.filter((g) => g.access === 'rw').map((g) => g.path)
  ])
    if ([...guarded].some((path) => within(path, place))) guarded.add(place)
  const places = [...guarded, ...[...pins].filter(([, grant]) => guarded.has(grant)).map(([folder]) => folder)]
  const pinned = [...pins.keys()].map((path) => op(MountKind.SelfBind, path, { flags: MountFlag.Recursive }))
  const mounts = [...pinned, ...covers].sort((a, b) => depth(a.target) - depth(b.target))
  const possible = landlockAbi(profile, facts) > 0
  return {
    mounts,
    names: possible ? names : [],
    places: possible ? places : [],
    guarded: possible ? guarded : new Set<string>()
  }
}

const cover = (deny: Deny): MountOp =>
  deny.kind === 'read'
    ? op(MountKind.Mask, deny.path, { source: deny.now === 'dir' ? MASK_DIR : MASK_FILE })
    : op(MountKind.SelfBind, deny.path, {
        flags: deny.now === 'dir' ? MountFlag.Recursive : 0,
        attrSet: Attr.rdonly | PLAIN
      })

/** The innermost other grant around a grant. */
const outerGrant = (path: string, grants: Grant[]): Grant | undefined =>
  grants
    .filter((grant) => grant.path !== path && within(path, grant.path))
    .sort((a, b) => depth(b.path) - depth(a.path))[0]

/** The innermost grant around the path, if it is writable. */
function writableGrantOf(deny: Deny, profile: Profile): Grant | undefined {
  const around = profile.grants
    .filter((grant) => within(deny.path, grant.path))
    .sort((a, b) => depth(b.path) - depth(a.path))[0]
  return around?.access === 'rw' ? around : undefined
}

function foldersBetween(grant: string, path: string): string[] {
  const folders: string[] = []
  for (let at = parentOf(path); at !== grant && within(at, grant); at = parentOf(at)) folders.push(at)
  return folders
}
