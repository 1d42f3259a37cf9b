import { loadAddon } from '../launch/locate.js'
import { encodeStruct } from '../plan/encode.js'
import { CACHE_MAGIC, CACHE_MAX_BYTES, CACHE_VERSION, type CacheEntry, PLAN_VERSION } from '../plan/layout.gen.js'
import { inFolder, put } from './files.js'

/** Each of CACHE_MAX_BYTES at most: their sizes need not be asked. */
const ROOM = { kept: 256, stay: 192 }

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
  return inFolder(folder, (opened) => put(opened, name, Buffer.concat([bytes, code]), ROOM)) ?? false
}
