import { randomUUID } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { QiError } from '../../errors.js'
import { ancestors, dirname, isWithin, join, type ReadFs, readText, walk } from '../../profile/fs.js'

/** Whose files they are. `home` as the environment spells it. */
export interface Caller {
  fs: ReadFs
  uid: number
  home: string
  env: Record<string, string | undefined>
}

export interface TrustList {
  has(path: string, sha256: string): boolean
  entries: { path: string; sha256: string }[]
  /** Why a list that is there does not count. */
  ignored?: string
}

export function stateFolder({ env, home }: Pick<Caller, 'env' | 'home'>): string {
  const given = env.XDG_STATE_HOME
  return join(given?.startsWith('/') ? given : join(home, '.local/state'), 'qi-jail')
}

const trustFile = (caller: Pick<Caller, 'env' | 'home'>): string => join(stateFolder(caller), 'trusted')
const MAX_BYTES = 1 << 20
// encodeURI leaves no space, quote or line break of a path as it is, and it is read back whole.
const LINE = /^([0-9a-f]{64}) ((?:[^%\s]|%[0-9A-F]{2})+)$/

/** What this user trusted, as far as nobody else can have written it. */
export function trustedContents(caller: Caller): TrustList {
  const file = trustFile(caller)
  const none = { has: () => false, entries: [] }
  if (!caller.fs.lstat(file)) return none
  const wrong = foreignReason(caller, file)
  if (wrong) return { ...none, ignored: `${wrong.path} ${wrong.reason}: ${wrong.hint}` }
  const lines = (readText(caller.fs, file, MAX_BYTES) ?? '').split('\n')
  const entries = lines.flatMap((line) => {
    const [, sha256 = '', path = ''] = LINE.exec(line) ?? []
    return sha256 ? [{ sha256, path: decodeURIComponent(path) }] : []
  })
  return { has: (path, sha256) => entries.some((e) => e.path === path && e.sha256 === sha256), entries }
}

/** One content a path: a newer one takes the older one's place. `sha256` undefined: no longer trusted. */
export function setTrust(caller: Caller, path: string, sha256: string | undefined): void {
  const list = trustedContents(caller)
  if (list.ignored !== undefined)
    throw new QiError('QI_POLICY_TRUST', `the list of trusted files does not count: ${list.ignored}`, {
      path: trustFile(caller)
    })
  const rest = list.entries.filter((entry) => entry.path !== path)
  write(trustFile(caller), sha256 === undefined ? rest : [...rest, { path, sha256 }])
}

/** Whole or not at all: a launch that reads it meanwhile sees the old list. */
function write(file: string, entries: TrustList['entries']): void {
  const text = entries.map(({ path, sha256 }) => `${sha256} ${encodeURIComponent(path)}\n`).join('')
  const fresh = `${file}.${randomUUID()}`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    const fd = openSync(fresh, 'wx', 0o600)
    try {
      writeSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(fresh, file)
  } catch (cause) {
    rmSync(fresh, { force: true })
    const { code } = cause as NodeJS.ErrnoException
    throw new QiError('QI_POLICY_TRUST', `cannot write ${file}: ${code}`, {
      path: file,
      hint: 'make its folder writable for you, or set XDG_STATE_HOME',
      cause,
      ...(code ? { errno: code } : {})
    })
  }
}

const STICKY = 0o1000
const OTHERS_WRITE = 0o022

/**
 * Who but root and the caller could have written `file`, or put another in its place: by the file's own mode, or by that of
 * a folder on the way. Above home nothing is asked: who can write there has the home anyway.
 */
export function foreignReason(
  caller: Caller,
  file: string
): { path: string; reason: string; hint: string } | undefined {
  const { fs, uid } = caller
  const home = walk(fs, caller.home).real
  const { real, links } = walk(fs, file)
  const inspected = [real, ...links.map((link) => link.path)].flatMap((path) =>
    [path, ...ancestors(dirname(path))].filter((at) => at === path || !isWithin(home, at) || at === home)
  )
  for (const path of new Set(inspected)) {
    const stat = fs.lstat(path)
    if (!stat || stat.kind === 'link') continue
    if (stat.uid !== 0 && stat.uid !== uid) {
      const hint = `chown ${uid} ${path}, or run with --no-policy`
      return { path, reason: `belongs to uid ${stat.uid ?? 'unknown'}, neither to root nor to you (uid ${uid})`, hint }
    }
    const isShared = stat.kind === 'dir' && (stat.mode & STICKY) !== 0
    if (stat.mode & OTHERS_WRITE && !isShared)
      return { path, reason: `can be written by others (mode 0${stat.mode.toString(8)})`, hint: `chmod go-w ${path}` }
  }
  return undefined
}
