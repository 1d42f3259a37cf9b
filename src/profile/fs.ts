import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync
} from 'node:fs'
import { QiError } from '../errors.js'

export type FileKind = 'file' | 'dir' | 'link' | 'socket' | 'other'

/** All that resolving looks at on the host. What cannot be reached counts as absent: it would be so in the jail, too. */
export interface ReadFs {
  /** `dev`: dev_t of its file system, `uid`: its owner, where they are known. */
  lstat(path: string): { kind: FileKind; mode: number; dev?: number; uid?: number } | undefined
  readlink(path: string): string
  /** The first `max` bytes, or undefined when it cannot be read. */
  read(path: string, max: number): Uint8Array | undefined
  /** Names in a folder with their kind; empty when it cannot be read. */
  list(path: string): { name: string; kind: FileKind }[]
}

type Typed = Record<'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isSocket', () => boolean>
const kindOf = (e: Typed): FileKind =>
  e.isFile() ? 'file' : e.isDirectory() ? 'dir' : e.isSymbolicLink() ? 'link' : e.isSocket() ? 'socket' : 'other'

export const nodeFs: ReadFs = {
  lstat(path) {
    try {
      const stat = lstatSync(path, { throwIfNoEntry: false }) // an exception costs ten times the call
      return stat && { kind: kindOf(stat), mode: stat.mode & 0o7777, dev: stat.dev, uid: stat.uid }
    } catch {
      return undefined
    }
  },
  readlink(path) {
    try {
      return readlinkSync(path)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const details = { path, hint: 'try again', cause, ...(code ? { errno: code } : {}) }
      throw new QiError('QI_PATH', `${path} changed while it was looked at`, details)
    }
  },
  read(path, max) {
    try {
      // An earlier payload may have left a FIFO, whose open waits for ever, or a link to a device, whose open may act.
      // O_NONBLOCK for what takes the file's place after the look.
      if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined
      const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
      try {
        const stat = fstatSync(fd)
        if (!stat.isFile()) return undefined
        // A file of /proc says 0. Room for one byte more, to see the end of one that grows.
        const room = stat.size > 0 ? Math.min(max, stat.size + 1) : max
        const buffer = Buffer.allocUnsafeSlow(room) // only what was read is handed out
        let size = 0
        // Files of /proc give a page at a time.
        for (let n = 1; n > 0 && size < room; size += n) n = readSync(fd, buffer, size, room - size, size)
        return buffer.subarray(0, size)
      } finally {
        closeSync(fd)
      }
    } catch {
      return undefined
    }
  },
  list(path) {
    try {
      return readdirSync(path, { withFileTypes: true }).map((e) => ({ name: e.name, kind: kindOf(e) }))
    } catch {
      return []
    }
  }
}

/** The same file system, each path looked at once: resolving asks for the upper folders again and again. */
export function snapshot(fs: ReadFs): ReadFs {
  const stats = new Map<string, ReturnType<ReadFs['lstat']>>()
  return {
    lstat(path) {
      if (!stats.has(path)) stats.set(path, fs.lstat(path))
      return stats.get(path)
    },
    readlink: (path) => fs.readlink(path),
    read: (path, max) => fs.read(path, max),
    list: (path) => fs.list(path)
  }
}

/** Absolute path, `.` and empty segments dropped, `..` applied to what is left of it. */
export function normalize(path: string): string {
  const out: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') out.pop()
    else if (part !== '' && part !== '.') out.push(part)
  }
  return `/${out.join('/')}`
}

export const join = (...parts: string[]): string => normalize(parts.join('/'))
export const dirname = (path: string): string => normalize(`${path}/..`)
export const basename = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** `path` is `folder` or lies below it. */
export const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)

/** `path`, its parent, … up to and without `/`. */
export function ancestors(path: string): string[] {
  const out: string[] = []
  for (let at = path; at !== '/'; at = dirname(at)) out.push(at)
  return out
}

export interface Walk {
  /** Canonical path; what is missing keeps its written name. */
  real: string
  kind: 'file' | 'dir' | 'socket' | 'other' | 'missing'
  mode: number
  /** Each link that was followed, at its canonical place, in order. */
  links: { path: string; target: string }[]
}

const MAX_LINKS = 40 // the kernel's own MAXSYMLINKS

/** realpath(3) that remembers the links it went through: each of them must exist in the jail or be judged. */
export function walk(fs: ReadFs, path: string): Walk {
  const rest = normalize(path).split('/').filter(Boolean).reverse()
  const links: Walk['links'] = []
  let real = '/'
  let stat: ReturnType<ReadFs['lstat']> = { kind: 'dir', mode: 0o755 }
  while (rest.length > 0) {
    const name = rest.pop() as string
    if (name === '.' || name === '') continue
    if (name === '..') {
      real = dirname(real)
      stat = fs.lstat(real)
      continue
    }
    const next = real === '/' ? `/${name}` : `${real}/${name}`
    stat = fs.lstat(next)
    if (!stat) return { real: join(next, ...rest.reverse()), kind: 'missing', mode: 0, links }
    if (stat.kind !== 'link') {
      real = next
      continue
    }
    if (links.length >= MAX_LINKS) {
      throw new QiError('QI_PATH', `${path}: too many symbolic links`, { value: path, path, errno: 'ELOOP' })
    }
    const target = fs.readlink(next)
    links.push({ path: next, target })
    if (target.startsWith('/')) real = '/'
    rest.push(...target.split('/').filter(Boolean).reverse())
    stat = { kind: 'dir', mode: 0o755 }
  }
  if (real !== '/') stat = fs.lstat(real)
  return { real, kind: (stat?.kind ?? 'missing') as Walk['kind'], mode: stat?.mode ?? 0, links }
}

/** What lies at the end of the links. */
export const kindAt = (fs: ReadFs, path: string): Walk['kind'] => walk(fs, path).kind

export function readText(fs: ReadFs, path: string, max = 65536): string | undefined {
  const bytes = fs.read(path, max)
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
