import { kernelMounts, otherPaths } from './aliases.js'
import { ancestors, dirname, isWithin, join, readText, walk } from './fs.js'
import { grantOf, type PlacedRule } from './grants.js'
import type { Host } from './host.js'
import type { Deny, Grant, JailSymlink } from './types.js'

const ORIGIN = 'permissive: the host, to be read'
/** The jail has its own; the host's would hand out other processes, devices and kernel knobs. */
const OWN = ['/proc', '/sys', '/dev']
const MOUNT_INFO = '/proc/self/mountinfo'
const MAX_MOUNT_INFO = 4 << 20

/**
 * The host's tree, read-only, but for what the jail makes itself: `own` files and folders at any depth, whose folders are
 * made and filled piece by piece. What is denied as a whole is left out; what is denied inside is masked.
 */
export function hostTree(
  host: Host,
  own: string[],
  denied: PlacedRule[]
): { grants: Grant[]; symlinks: JailSymlink[] } {
  const kept = [...OWN, ...own]
  const grants: Grant[] = []
  const symlinks: JailSymlink[] = []
  const fill = (folder: string): void => {
    for (const { name, kind } of host.fs.list(folder)) {
      const path = join(folder, name)
      if (kept.includes(path) || denied.some(({ walk }) => isWithin(path, walk.real))) continue
      if (kind === 'link') symlinks.push({ path, target: host.fs.readlink(path), origin: ORIGIN })
      else if (kind === 'dir' && kept.some((one) => isWithin(one, path))) fill(path)
      // For root `other`: what everybody may read. A plain caller's jail reads what the caller may.
      else if (kind === 'file' || kind === 'dir')
        grants.push({ path, access: 'ro', kind, as: 'other', optional: true, origin: ORIGIN })
    }
  }
  fill('/')
  return { grants, symlinks }
}

/**
 * Folders of secrets and what the policy denies, at every place where a mount shows them, and what the kernel shows of the
 * host; not what strict grants.
 */
export function hostMasks(host: Host, strict: Grant[], denied: PlacedRule[], grants: Grant[]): Deny[] {
  const mountInfo = readText(host.fs, MOUNT_INFO, MAX_MOUNT_INFO) ?? ''
  const hide = (path: string, origin: string): Deny[] => {
    const found = walk(host.fs, path)
    if ((found.kind !== 'dir' && found.kind !== 'file') || found.real !== path || !grantOf(grants, path)) return []
    if (grantOf(strict, path)) return []
    const shown = strict.some((grant) => isWithin(grant.path, path))
    if (!shown) return [{ path, kind: 'read', now: found.kind, origin }]
    return host.fs.list(path).flatMap(({ name }) => hide(join(path, name), origin))
  }
  const everywhere = (path: string, origin: string) =>
    [path, ...otherPaths(mountInfo, path)].flatMap((place) => hide(place, origin))
  return [
    ...host.credentials.flatMap(({ real }) => everywhere(real, 'permissive: a folder of secrets')),
    ...denied.flatMap(({ walk: { real }, origin }) => everywhere(real, origin)),
    ...kernelMounts(mountInfo).flatMap((path) => hide(path, 'permissive: the kernel’s'))
  ]
}

/**
 * Where they can be mounted: for root the payload has an id of its own, and so has pid 1, which mounts them. In a folder that
 * not everybody may enter neither finds anything, so that folder is masked.
 */
export function enterable({ fs }: Host, denies: Deny[], grants: Grant[]): Deny[] {
  const isClosed = (folder: string) => ((fs.lstat(folder)?.mode ?? 0) & 0o001) === 0
  return denies.map((deny) => {
    const shown = grantOf(grants, deny.path)?.path
    const folders = ancestors(dirname(deny.path)).filter((folder) => shown !== undefined && isWithin(folder, shown))
    const closed = folders.filter(isClosed).at(-1)
    return closed === undefined ? deny : { ...deny, path: closed, now: 'dir' }
  })
}

/** A mask has nothing inside that could be covered. */
export function outermost(denies: Deny[]): Deny[] {
  const unique = [...new Map(denies.map((deny) => [deny.path, deny])).values()]
  return unique.filter((deny) => !unique.some((other) => other !== deny && isWithin(deny.path, other.path)))
}
