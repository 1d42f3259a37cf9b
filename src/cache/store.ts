import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { loadAddon } from '../launch/locate.js'
import { encodeStruct } from '../plan/encode.js'
import { CACHE_MAGIC, CACHE_MAX_BYTES, CACHE_VERSION, type CacheEntry, PLAN_VERSION } from '../plan/layout.gen.js'
import { join } from '../profile/fs.js'

/** Each of CACHE_MAX_BYTES at most: their sizes need not be asked. */
const KEPT = 256
/** How many stay when there are too many, so that not every further run has to ask which are the oldest. */
const STAY = 192
/** Writing one takes no longer by far: who has not finished by then was killed. */
const ABANDONED_MS = 60_000

/** Our own folder, working directory and arguments as qi-monitor joins them. */
export const keyOf = (root: string, cwd: string, args: string[]): Buffer =>
  Buffer.from([root, cwd, ...args].map((one) => `${one}\0`).join(''))

/** Puts it in the place of what was kept under the same key. Nobody depends on that it works. */
export function store(folder: string, entry: CacheEntry): boolean {
  const { keyedHash, cacheSecret } = loadAddon()
  const secret = cacheSecret()
  const version = CACHE_VERSION | (PLAN_VERSION << 16)
  const bytes = encodeStruct('CacheEntry', { ...entry, magic: CACHE_MAGIC, version })
  const name = secret && keyedHash(secret, Buffer.from(entry.key))?.toString('hex')
  const code = secret && keyedHash(secret, bytes)
  if (!name || !code || bytes.length + code.length > CACHE_MAX_BYTES) return false
  return inFolder(folder, (opened) => put(opened, name, Buffer.concat([bytes, code]))) ?? false
}

function put(folder: string, name: string, bytes: Buffer): boolean {
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}`)
  try {
    // First: not even runs of which each is killed before the last step come to more.
    makeRoom(folder)
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

function makeRoom(folder: string): void {
  const names = ours(folder)
  const abandoned = look(folder, names.filter(isTemporary)).filter(
    ({ made }) => Math.abs(Date.now() - made) > ABANDONED_MS
  )
  const tooMany = names.length < KEPT ? [] : look(folder, names).slice(0, -STAY)
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
