import { type BigIntStats, lstatSync } from 'node:fs'
import { dirname } from 'node:path'
import type { CgroupReader } from '../host/cgroup.js'
import { encodeStruct } from '../plan/encode.js'
import { type CacheLook, LookKind } from '../plan/layout.gen.js'
import { type ReadFs, walk } from '../profile/fs.js'
import { gatherAbsent, isSameThing } from './absent.js'

const NOTHING: Omit<CacheLook, 'kind' | 'path'> = {
  mode: 0,
  uid: 0,
  gid: 0,
  dev: 0n,
  ino: 0n,
  length: 0n,
  changed: 0n,
  name: '',
  value: new Uint8Array()
}

function stat(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** The same thing is there: a folder in which something comes and goes stays the same. */
export function statusOf(path: string): CacheLook {
  const found = stat(path)
  return found ? statusIn(path, found) : { ...NOTHING, kind: LookKind.Absent, path }
}

/** Whatever is read from it is the same as long as this is. */
export function wholeOf(path: string): CacheLook {
  const found = stat(path)
  if (!found) return { ...NOTHING, kind: LookKind.Absent, path }
  return { ...statusIn(path, found), kind: LookKind.Whole, length: found.size, changed: found.ctimeNs }
}

function statusIn(path: string, { mode, uid, gid, dev, ino }: BigIntStats): CacheLook {
  return { ...NOTHING, kind: LookKind.Status, path, mode: Number(mode), uid: Number(uid), gid: Number(gid), dev, ino }
}

/** For `areAsBefore` of the addon; undefined where there is nothing that could tell. */
export function encodeLooks(looks: CacheLook[]): Buffer | undefined {
  try {
    return looks.length === 0 ? undefined : Buffer.from(encodeStruct('CacheLooks', { magic: 0, version: 0, looks }))
  } catch {
    return undefined // too large, or a path that is no text
  }
}

const SECOND = 1_000_000_000n
const now = (): bigint => BigInt(Date.now()) * 1_000_000n

/** From then on a further change has another change time, in nanoseconds. FAT counts in two seconds, SSHFS and HFS+ in one. */
export const settledAt = (changed: bigint): bigint =>
  changed + (changed % SECOND === 0n ? (21n * SECOND) / 10n : 20_000_000n)

/** Notes what each path looked like before it was read. */
export class ObservedFs implements ReadFs {
  private readonly looks = new Map<string, CacheLook>()
  private readonly folders = new Map<string, CacheLook | undefined>()
  private isSettled = true

  constructor(private readonly fs: ReadFs) {}

  lstat(path: string) {
    if (!this.looks.has(path)) {
      this.noteFolder(dirname(path))
      this.looks.set(path, statusOf(path))
    }
    return this.fs.lstat(path)
  }

  readlink(path: string) {
    this.noteWhole(path)
    return this.fs.readlink(path)
  }

  read(path: string, max: number) {
    this.noteContent(path)
    return this.fs.read(path, max)
  }

  list(path: string) {
    this.noteContent(path)
    return this.fs.list(path)
  }

  /** What was looked at, or nothing when some of it had changed too recently by then to tell a further change apart. */
  settled(): CacheLook[] {
    return this.isSettled ? gatherAbsent(this.looks, this.folders) : []
  }

  /** Before any name in it is looked for: what it says of names that are not there is true from then on. */
  private noteFolder(path: string): void {
    if (this.folders.has(path)) return
    const look = wholeOf(path)
    this.folders.set(path, look.kind === LookKind.Whole && now() > settledAt(look.changed) ? look : undefined)
  }

  /** A link stays as it is when what it leads to changes, which may be a link again. */
  private noteContent(path: string): void {
    if ((this.noteWhole(path).mode & 0o170000) !== 0o120000) return
    try {
      this.noteWhole(walk(this, path).real)
    } catch {
      this.isSettled = false // it leads nowhere
    }
  }

  private noteWhole(path: string): CacheLook {
    const known = this.looks.get(path)
    if (known?.kind === LookKind.Whole || known?.kind === LookKind.Absent) return known
    this.noteFolder(dirname(path))
    const look = wholeOf(path)
    // What it was when it was first looked at has to hold as well.
    const differs = known && !isSameThing(known, look)
    // By the time of the look: a change within the same tick, but after it, shows at no later time either.
    if (differs || now() <= settledAt(look.changed)) this.isSettled = false
    this.looks.set(path, look)
    return look
  }
}

/** The same for where a cgroup would come from: files of the kernel, which have no change time, by what they say. */
export class ObservedCgroup implements CgroupReader {
  readonly looks: CacheLook[] = []

  constructor(private readonly reader: CgroupReader) {}

  read(path: string) {
    const text = this.reader.read(path)
    this.looks.push({ ...NOTHING, kind: LookKind.Text, path, ...answer(text) })
    return text
  }

  writable(path: string) {
    const may = this.reader.writable(path)
    this.looks.push({ ...NOTHING, kind: LookKind.Writable, path, mode: may ? 1 : 0 })
    return may
  }

  stat(path: string) {
    this.looks.push(statusOf(path))
    return this.reader.stat(path)
  }

  xattr(path: string, name: string) {
    const value = this.reader.xattr(path, name)
    this.looks.push({ ...NOTHING, kind: LookKind.Attribute, path, name, ...answer(value) })
    return value
  }
}

const answer = (text: string | undefined) =>
  text === undefined ? {} : { mode: 1, value: new Uint8Array(Buffer.from(text, 'latin1')) }
