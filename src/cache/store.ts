import { randomBytes } from 'node:crypto'
import { readdirSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { loadAddon } from '../launch/locate.js'
import { encodeStruct } from '../plan/encode.js'
import { CACHE_VERSION, type CacheEntry, PLAN_VERSION } from '../plan/layout.gen.js'
import { join } from '../profile/fs.js'

const MAGIC = 0x51694361
/** What qi-monitor reads at most. */
const MAX_BYTES = 4 << 20
const KEPT = 256
const KEPT_BYTES = 32 << 20

/** Our own folder, working directory and arguments as qi-monitor joins them. */
export const keyOf = (root: string, cwd: string, args: string[]): Buffer =>
  Buffer.from([root, cwd, ...args].map((one) => `${one}\0`).join(''))

/** Puts it in the place of what was kept under the same key. Nobody depends on that it works. */
export function store(folder: string, secret: Buffer, entry: CacheEntry): boolean {
  const { keyedHash } = loadAddon()
  const bytes = encodeStruct('CacheEntry', { ...entry, magic: MAGIC, version: CACHE_VERSION | (PLAN_VERSION << 16) })
  const name = keyedHash(secret, Buffer.from(entry.key))?.toString('hex')
  const code = keyedHash(secret, bytes)
  if (!name || !code || bytes.length + code.length > MAX_BYTES) return false
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}`)
  try {
    writeFileSync(temporary, Buffer.concat([bytes, code]), { mode: 0o600, flag: 'wx' })
    renameSync(temporary, join(folder, name))
    prune(folder)
    return true
  } catch {
    remove(temporary)
    return false
  }
}

export interface Kept {
  file: string
  bytes: number
  /** Milliseconds since 1970. */
  made: number
}

/** The oldest first. */
export function list(folder: string): Kept[] {
  const found = readdirSync(folder).flatMap((name): Kept[] => {
    const file = join(folder, name)
    const stat = statSync(file, { throwIfNoEntry: false })
    return stat?.isFile() ? [{ file, bytes: stat.size, made: stat.mtimeMs }] : []
  })
  return found.sort((a, b) => a.made - b.made)
}

function prune(folder: string): void {
  const kept = list(folder)
  let [count, bytes] = [kept.length, kept.reduce((sum, one) => sum + one.bytes, 0)]
  for (const one of kept) {
    if (count <= KEPT && bytes <= KEPT_BYTES) break
    remove(one.file)
    count--
    bytes -= one.bytes
  }
}

export function remove(file: string): boolean {
  try {
    unlinkSync(file)
    return true
  } catch {
    return false
  }
}
