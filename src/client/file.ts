import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { QiError } from '../errors.js'
import type { Surroundings } from './places.js'

/** A configuration as it was read. */
export interface Content {
  /** Where the links lead: what is edited. */
  real: string
  bytes: Buffer
  /** Without its byte order mark. */
  text: string
  mark: string
}

const MAX_BYTES = 1 << 24
// O_NONBLOCK: the open of a FIFO waits for ever.
const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_NOFOLLOW

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'EIO'

/** Undefined when there is no such file. */
export function readConfig(file: string): Content | undefined {
  try {
    const real = realpathSync(file)
    const bytes = readRegular(real, file)
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const mark = text.startsWith('\ufeff') ? '\ufeff' : ''
    return { real, bytes, text: text.slice(mark.length), mark }
  } catch (error) {
    if (error instanceof QiError) throw error
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code.startsWith('ERR_ENCODING')) throw unusable(file, 'is not UTF-8')
    throw unusable(file, `cannot be read: ${code}`, code)
  }
}

function readRegular(real: string, file: string): Buffer {
  const fd = openSync(real, READ)
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw unusable(file, 'is no regular file')
    if (stat.size > MAX_BYTES) throw unusable(file, 'is larger than 16 MiB')
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}

const unusable = (file: string, reason: string, errno?: string): QiError =>
  new QiError('QI_CLIENT_CONFIG', `${file} ${reason}`, {
    path: file,
    hint: 'nothing was changed',
    ...(errno ? { errno } : {})
  })

/**
 * Puts `text` in the place of what was read, whole or not at all, with the same mode and owner. The new file is written
 * beside the old one under a fixed name: that name is also the lock between two of us, and everybody else's edit is seen
 * by comparing once more before the rename.
 */
export function replaceConfig({ real, bytes, mark }: Content, text: string, backup: string): void {
  const folder = openSync(dirname(real), constants.O_RDONLY | constants.O_DIRECTORY)
  // By the folder's descriptor: nobody can put another folder in its place meanwhile.
  const at = (name: string) => `/proc/self/fd/${folder}/${name}`
  const [old, next] = [at(basename(real)), at(`.${basename(real)}.qi-jail-new`)]
  try {
    const stat = refuseReadOnly(old, real)
    const fd = lock(next, real)
    try {
      write(fd, stat, `${mark}${text}`, real)
      keepBackup(backup, bytes)
      if (!bytes.equals(readRegular(old, real))) throw changed(real)
      renameSync(next, old)
    } catch (error) {
      unlinkSync(next)
      throw error
    } finally {
      closeSync(fd)
    }
    fsyncSync(folder)
  } catch (error) {
    throw error instanceof QiError ? error : unwritable(real, codeOf(error))
  } finally {
    closeSync(folder)
  }
}

/** A rename asks for no right to the file itself: who took it away is minded all the same, root too. */
function refuseReadOnly(old: string, real: string): Stats {
  const fd = openSync(old, READ)
  try {
    const stat = fstatSync(fd)
    if ((stat.mode & 0o222) === 0) throw unwritable(real, 'EACCES', 'it is read-only')
    return stat
  } finally {
    closeSync(fd)
  }
}

function lock(next: string, real: string): number {
  try {
    return openSync(next, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const left = join(dirname(real), basename(next))
    throw new QiError('QI_CLIENT_CHANGED', `${real} is being edited by another qi-jail: ${left} exists`, {
      path: left,
      errno: 'EEXIST',
      hint: 'try again; if no qi-jail mcp runs, remove that file: it was left when one was killed'
    })
  }
}

function write(fd: number, { mode, uid, gid }: Stats, text: string, real: string): void {
  writeFileSync(fd, text)
  const made = fstatSync(fd)
  if (made.uid !== uid || made.gid !== gid) {
    try {
      fchownSync(fd, uid, gid)
    } catch (error) {
      throw unwritable(real, codeOf(error), `its owner ${uid}:${gid} would become ${made.uid}:${made.gid}`)
    }
  }
  fchmodSync(fd, mode & 0o7777) // after the owner, whose change clears bits
  fsyncSync(fd)
}

const changed = (real: string): QiError =>
  new QiError('QI_CLIENT_CHANGED', `${real} was changed by another program meanwhile`, {
    path: real,
    hint: 'nothing was changed by us; close the client and try again'
  })

const unwritable = (real: string, errno: string, reason = errno): QiError =>
  new QiError('QI_CLIENT_WRITE', `${real} cannot be written: ${reason}`, {
    path: real,
    errno,
    hint: errno === 'EACCES' ? 'chmod u+w it, or run as its owner' : 'nothing was changed'
  })

/** Where the last version before ours is kept: by the file's path, so that two of one name do not meet. */
export function backupOf(real: string, { env, home }: Surroundings): string {
  const given = env.XDG_STATE_HOME
  const state = given && isAbsolute(given) ? given : join(home, '.local/state')
  const mark = createHash('sha256').update(real).digest('hex').slice(0, 12)
  return join(state, 'qi-jail/clients', `${mark}-${basename(real)}`)
}

/** Tokens may be in it: readable by nobody else, whatever the mode of the file is. */
function keepBackup(path: string, bytes: Buffer): void {
  const temporary = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(temporary, bytes, { mode: 0o600, flag: 'wx', flush: true })
    renameSync(temporary, path)
  } catch (error) {
    throw new QiError('QI_CLIENT_WRITE', `the backup ${path} cannot be written: ${codeOf(error)}`, {
      path,
      errno: codeOf(error),
      hint: 'make the folder writable, or set XDG_STATE_HOME; nothing was changed'
    })
  }
}
