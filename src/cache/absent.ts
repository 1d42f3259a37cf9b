import { statfsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type CacheLook, LookKind } from '../plan/layout.gen.js'

/**
 * Those that change the time of a folder with each name that comes to it, as was tried on each: made, linked or moved there,
 * also where a merged folder is copied up. Of others, as of what a server keeps, nobody knows. statfs(2)
 */
const TIMES_EACH_NAME = new Set([
  0xef53, // ext2 to ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x01021994, // tmpfs
  0x794c7630 // overlayfs
])

const isFolder = ({ mode }: CacheLook): boolean => (mode & 0o170000) === 0o040000

function timesEachName(path: string): boolean {
  try {
    return TIMES_EACH_NAME.has(statfsSync(path).type)
  } catch {
    return false
  }
}

/**
 * A home has none of some twenty names in which secrets are kept: one look at it tells that of all of them.
 * `folders`: what each was before a name in it was looked for; undefined where a further change might not show.
 */
export function gatherAbsent(
  looks: ReadonlyMap<string, CacheLook>,
  folders: ReadonlyMap<string, CacheLook | undefined>
): CacheLook[] {
  const absent = new Map<string, string[]>()
  for (const { kind, path } of looks.values()) {
    if (kind !== LookKind.Absent) continue
    const folder = dirname(path)
    absent.set(folder, [...(absent.get(folder) ?? []), basename(path)])
  }
  const gathered = new Map(looks)
  for (const [path, names] of absent) {
    const folder = folders.get(path)
    const known = looks.get(path)
    if (!folder || !isFolder(folder) || (known && !isStatusOf(known, folder)) || !timesEachName(path)) continue
    const value = new Uint8Array(Buffer.from(names.map((name) => `${name}\0`).join('')))
    gathered.set(path, { ...folder, kind: LookKind.Without, value })
    for (const name of names) gathered.delete(path === '/' ? `/${name}` : `${path}/${name}`)
  }
  return [...gathered.values()]
}

const isStatusOf = (look: CacheLook, folder: CacheLook): boolean =>
  look.kind === LookKind.Status && isSameThing(look, folder)

/** Whether what was there at one look was there at the other. */
export const isSameThing = (one: CacheLook, other: CacheLook): boolean =>
  (['mode', 'uid', 'gid', 'dev', 'ino'] as const).every((name) => one[name] === other[name])
