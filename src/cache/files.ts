import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { randomBytes } from '../launch/random.js'
import { join } from '../profile/fs.js'

/** Writing one takes no longer by far: who has not finished by then was killed. */
const ABANDONED_MS = 60_000

/** How many are kept, and how many stay when there are too many, so that not every further run has to ask which are the oldest. */
export interface Room {
  kept: number
  stay: number
}

/** In the place of what had that name; whole or not at all. */
export function put(folder: string, name: string, bytes: Uint8Array, room: Room): boolean {
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}`)
  try {
    // First: not even runs of which each is killed before the last step come to more.
    makeRoom(folder, room)
    writeFileSync(temporary, bytes, { mode: 0o600, flag: 'wx' })
    renameSync(temporary, join(folder, name))
    return true
  } catch {
    remove(temporary)
    return false
  }
}

/**
 * `act` with a path of the very folder that is ours. Its name may lead elsewhere by then, where XDG_CACHE_HOME is a place that a
 * payload may write: it would choose in which folder we remove files.
 */
export function inFolder<T>(folder: string, act: (opened: string) => T): T | undefined {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const { uid, mode } = fstatSync(fd)
    return uid === process.getuid?.() && (mode & 0o077) === 0 ? act(`/proc/self/fd/${fd}`) : undefined
  } finally {
    closeSync(fd)
  }
}

export interface Kept {
  name: string
  bytes: number
  /** Milliseconds since 1970. */
  made: number
  /** Otherwise it is being written, or who wrote it was killed. */
  whole: boolean
}

const isWhole = (name: string): boolean => /^[0-9a-f]{32}$/.test(name)
/** Being written, or left by who was killed while they wrote it. */
const isTemporary = (name: string): boolean => /^\.[0-9a-f]{16}$/.test(name)

const ours = (folder: string): string[] => readdirSync(folder).filter((name) => isWhole(name) || isTemporary(name))

/** All of ours, the oldest first. */
export const list = (folder: string): Kept[] => look(folder, ours(folder))

function look(folder: string, names: string[]): Kept[] {
  const found = names.flatMap((name): Kept[] => {
    const stat = lstatSync(join(folder, name), { throwIfNoEntry: false })
    if (!stat || stat.isDirectory()) return []
    return [{ name, bytes: stat.size, made: stat.mtimeMs, whole: isWhole(name) }]
  })
  return found.sort((a, b) => a.made - b.made)
}

function makeRoom(folder: string, { kept, stay }: Room): void {
  const names = ours(folder)
  const abandoned = look(folder, names.filter(isTemporary)).filter(
    ({ made }) => Math.abs(Date.now() - made) > ABANDONED_MS
  )
  const tooMany = names.length < kept ? [] : look(folder, names).slice(0, -stay)
  for (const { name } of [...abandoned, ...tooMany]) remove(join(folder, name))
}

export function remove(file: string): boolean {
  try {
    unlinkSync(file)
    return true
  } catch {
    return false
  }
}

/** The whole of a file that is ours alone, of `least` to `most` bytes; undefined for any other. Follows no link. */
export function readOwn(file: string, least: number, most: number): Buffer | undefined {
  let fd: number
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return undefined
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.uid !== process.getuid?.() || (stat.mode & 0o077) !== 0) return undefined
    if (stat.size < least || stat.size > most) return undefined
    const bytes = Buffer.alloc(stat.size)
    return readSync(fd, bytes) === stat.size ? bytes : undefined
  } finally {
    closeSync(fd)
  }
}
