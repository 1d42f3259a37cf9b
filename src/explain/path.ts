import { ancestors, dirname, type FileKind, isWithin, normalize, type ReadFs, walk } from '../profile/fs.js'
import { grantOf } from '../profile/grants.js'
import { patternAgainst } from '../profile/mediation.js'
import type { Deny, Profile } from '../profile/types.js'
import { BUILT_IN, type Verdict } from './types.js'

export type Access = 'read' | 'write' | 'execute'

const allowed = (reason: string, origin: string): Verdict => ({ state: 'allowed', reason, origin })
const refused = (errno: string, reason: string, origin: string, fixed?: string): Verdict => ({
  state: 'refused',
  reason,
  origin,
  errno,
  ...(fixed === undefined ? {} : { fixed })
})

const OWN_DEVICES = /^\/dev\/(?:null|zero|full|random|urandom|stdin|stdout|stderr|fd(?:\/.*)?)$/
const OWN_TERMINALS = /^\/dev\/(?:ptmx|pts(?:\/[^/]+)?)$/
/** The way from a process of the jail to its root, which is the jail's. */
const TO_ROOT = /^(?:\/proc\/(?:self|thread-self|\d+)(?:\/task\/\d+)?\/root)+(?=\/|$)/

/** Of a path as the jail knows it, without what its own /proc says in between. */
export const inJail = (path: string): string => normalize(path).replace(TO_ROOT, '') || '/'

/** Canonical, where the host has it; the jail's own /proc and /dev have other links than the host's. */
export function canonical(fs: ReadFs, path: string): string {
  const at = inJail(path)
  return isWithin(at, '/proc') || OWN_DEVICES.test(at) || OWN_TERMINALS.test(at) ? at : walk(fs, at).real
}

/**
 * What a payload may do with a canonical path, as far as the jail decides it: the permissions of the file apply as well.
 * By the profile's own lists, which the mounts of a launch are made from (src/plan/mounts.ts). `kind`: what the host has there.
 */
export function judgePath(profile: Profile, written: string, access: Access, kind?: FileKind | 'missing'): Verdict {
  const path = inJail(written)
  const hidden = profile.denies.find((deny) => deny.kind === 'read' && isWithin(path, deny.path))
  if (hidden) return refused('EACCES', `${hidden.path} is denied`, hidden.origin, fixedBy(hidden))
  const mediated = judgeMediated(profile, path, access)
  if (mediated) return mediated
  const socket = profile.sockets.find((each) => each.path === path)
  if (socket)
    return allowed(`this socket of the host may be connected to${socket.risk ? `: ${socket.risk}` : ''}`, socket.origin)
  const grant = grantOf(profile.grants, path)
  if (!grant) return judgeOwn(profile, path, access)
  if (kind === 'socket') return refused('EACCES', 'a socket of the host, which no rule lists', BUILT_IN)
  if (grant.kind === 'file' && grant.path !== path) return noFolder(grant.path, grant.origin)
  if (access === 'write') {
    const guard = profile.denies.find((deny) => deny.kind === 'write' && isWithin(path, deny.path))
    if (guard)
      return refused(guard.now === 'missing' ? 'EPERM' : 'EROFS', guardText(guard), guard.origin, fixedBy(guard))
    if (grant.access === 'ro') return refused('EROFS', `${grant.path} may be read only`, grant.origin)
  }
  const how = grant.access === 'rw' ? 'may be read and written' : 'may be read'
  return allowed(`${grant.path} ${how}`, grant.origin)
}

/** In folders where names are denied by pattern. */
function judgeMediated({ mediation }: Profile, path: string, access: Access): Verdict | undefined {
  const folder = mediation?.folders.find((each) => isWithin(path, each))
  if (!mediation || folder === undefined) return undefined
  const pattern = patternAgainst(mediation.patterns, path)
  if (pattern) return refused('EACCES', `its name is denied by the pattern ${pattern.text}`, pattern.origin)
  if (access !== 'execute' || mediation.executables.includes(path)) return undefined
  const reason = `names in ${folder} are denied by pattern, so nothing in it is executed but what the launch needs`
  return refused('EACCES', reason, 'filesystem.mediate')
}

const guardText = ({ path, now }: Deny): string =>
  now === 'missing' ? `${path} may not come to be` : `${path} may not be written, whoever granted it`

/** What of the mandatory denies no key of a policy lifts. */
function fixedBy({ origin }: Deny): string | undefined {
  if (!origin.startsWith("mandatory: qi-jail's own")) return undefined
  return 'it configures or controls the jail; nothing lifts this protection'
}

const noFolder = (file: string, origin: string): Verdict =>
  refused('ENOTDIR', `${file} is no folder`, origin, 'there is nothing below it')

/** What is no grant: the jail's own places, or nothing. */
function judgeOwn(profile: Profile, path: string, access: Access): Verdict {
  const { tempDirectory, files, symlinks, grants, devices } = profile
  const writing = access === 'write'
  if ([tempDirectory, '/dev/shm'].some((folder) => isWithin(path, folder)))
    return allowed('the jail’s own private tmp, not the host’s: it begins empty', BUILT_IN)
  if (isWithin(path, '/proc')) {
    if (writing) return refused('EROFS', 'the jail’s own /proc may be read only', BUILT_IN, 'the jail mounts its own')
    return allowed('the jail’s own /proc: its processes only', BUILT_IN)
  }
  const isDevice = (at: string) => OWN_DEVICES.test(at) || (devices.pty && OWN_TERMINALS.test(at))
  if (isDevice(path)) return allowed('a device of the jail’s own /dev', BUILT_IN)
  const above = ancestors(dirname(path)).find((at) => isDevice(at) || files.some((each) => each.path === at))
  if (above !== undefined) return noFolder(above, BUILT_IN)
  const file = files.find((each) => each.path === path)
  if (file && !writing) return allowed('a file of the jail’s own, not the host’s', file.origin)
  if (file) return refused('EROFS', 'a file of the jail’s own may be read only', file.origin)
  const link = symlinks.find((each) => each.path === path)
  if (link && !writing) return allowed(`a link to ${link.target}`, link.origin)
  const inside = grants.find((grant) => isWithin(grant.path, path))
  if (inside && access === 'read')
    return {
      state: 'depends',
      reason: `a folder on the way to ${inside.path}; nothing else in it is seen`,
      origin: inside.origin
    }
  const around = dirname(path)
  return refused(
    'ENOENT',
    `nothing grants ${path}, so it does not exist in the jail`,
    grantOf(grants, around)?.origin ?? BUILT_IN
  )
}
