import { readFileSync } from 'node:fs'
import Module from 'node:module'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { loadAddon } from '../launch/locate.js'
import { dirname, join } from '../profile/fs.js'
import { inFolder, put, readOwn } from './files.js'
import { keptFolder, makeKeptFolder, makeSecretFolder } from './folder.js'

/** Of less, compiling is over sooner than a look for what was kept. */
const MIN_SOURCE = 16 << 10
const MAX_BYTES = 2 << 20
const ROOM = { kept: 32, stay: 24 }
const HASH_BYTES = 16

type Env = Record<string, string | undefined>

/** Where it is kept, and what signs it. */
interface Place {
  folder: string
  key: Buffer
}

/** What V8 compiled in this process, and would have to compile again in the next. */
const compiled: { script: Script; source: Buffer }[] = []

/**
 * From here on what is required of the bundle that this is in is not compiled where that was done before: V8's code of it
 * is kept beside the plans, and signed as they are.
 */
export function useKeptCode(env: Env = process.env): void {
  if (isOff(env)) return
  const place = placeOf(keptFolder(env, env.HOME ?? '', 'code'))
  const bundle = dirname(fileURLToPath(import.meta.url))
  const usual = extensions['.js'] as Loader
  extensions['.cjs'] = (module, file) => {
    if (dirname(file) !== bundle || !load(module, file, place)) usual(module, file)
  }
}

function placeOf(folder: string | undefined): Place | undefined {
  try {
    const key = folder === undefined ? undefined : loadAddon().cacheSecret()
    return folder !== undefined && key ? { folder, key } : undefined
  } catch {
    return undefined // without the addon, which whoever needs it tells
  }
}

/** Nothing of a run is in it, so whether plans are kept is another question; this is what turns Node's own kept code off. */
const isOff = ({ HOME: home, NODE_DISABLE_COMPILE_CACHE: off }: Env): boolean => !home?.startsWith('/') || !!off

type Loader = (module: NodeJS.Module, file: string) => void
// What `require` asks to load a file. This process is ours alone.
const { _extensions: extensions } = Module as unknown as { _extensions: Record<string, Loader> }

/** False for what Node is to load as ever. */
function load(module: NodeJS.Module, filename: string, place: Place | undefined): boolean {
  const source = readFileSync(filename)
  if (source.length < MIN_SOURCE) return false
  const cachedData = place && read(place, source)
  const text = Module.wrap(source.toString('latin1')) // a bundle is ASCII
  const script = new Script(text, { filename, ...(cachedData ? { cachedData } : {}) })
  if (!cachedData || script.cachedDataRejected) compiled.push({ script, source })
  const require = (id: string) => module.require(id)
  script.runInThisContext().call(module.exports, module.exports, require, module, filename, dirname(filename))
  return true
}

/** Keeps what was compiled so far, functions that were called included. Where it cannot be, the next start compiles, too. */
export function keepCode(env: Env = process.env): void {
  if (compiled.length === 0 || isOff(env)) return
  try {
    tryToKeep(env)
  } catch {
    // too little memory, or no room
  }
}

function tryToKeep(env: Env): void {
  const place = makeSecretFolder() ? placeOf(makeKeptFolder(env, env.HOME ?? '', 'code')) : undefined
  if (!place) return
  const { folder, key } = place
  inFolder(folder, (opened) => {
    for (const { script, source } of compiled.splice(0)) {
      const [name, data] = [nameOf(key, source), script.createCachedData()]
      if (data.length + HASH_BYTES > MAX_BYTES) continue
      put(opened, name.toString('hex'), Buffer.concat([data, signature(key, name, data)]), ROOM)
    }
  })
}

function read({ folder, key }: Place, source: Buffer): Buffer | undefined {
  const name = nameOf(key, source)
  const bytes = readOwn(join(folder, name.toString('hex')), HASH_BYTES + 1, MAX_BYTES)
  const data = bytes?.subarray(0, -HASH_BYTES)
  return bytes && data && signature(key, name, data).equals(bytes.subarray(-HASH_BYTES)) ? data : undefined
}

/** V8 itself compares no more than the length of a source. Other options may make other code of it. */
function nameOf(key: Buffer, source: Buffer): Buffer {
  const { version, arch, versions, execArgv, env } = process
  const v8 = [version, arch, versions.v8, ...execArgv, env.NODE_OPTIONS ?? ''].join('\0')
  return hash(key, Buffer.concat([Buffer.from(`code of\0${v8}\0`), hash(key, source)]))
}

const signature = (key: Buffer, name: Buffer, data: Buffer): Buffer =>
  hash(key, Buffer.concat([Buffer.from('code\0'), name, hash(key, data)]))

function hash(key: Buffer, data: Buffer): Buffer {
  const hashed = loadAddon().keyedHash(key, data)
  if (!hashed) throw new TypeError('a key has 16 bytes')
  return hashed
}
