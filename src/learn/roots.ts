import { ancestors, basename, dirname, isWithin, join, walk } from '../profile/fs.js'
import { type Host, isPersonal } from '../profile/host.js'
import type { FileUse } from './observe.js'

/** What one observed path asks for: a folder or file that means something to a person, or the reason why it is not given. */
export type Root = { path: string; kind: 'file' | 'dir' } | { path: string; risk: string }

// Folders of the home that hold one folder for each program; the program's own is what is meant.
const PER_PROGRAM = ['.cache', '.config', '.local/share', '.local/state', '.local/lib', '.local/bin']
// Likewise of the system.
const SYSTEM_SHELVES = [
  '/etc',
  '/opt',
  '/srv',
  '/usr/share',
  '/usr/lib',
  '/usr/libexec',
  '/usr/local',
  '/usr/local/lib',
  '/usr/local/share',
  '/var/lib',
  '/var/cache'
]
const PROJECT_MARKS = ['.git', 'package.json', 'pyproject.toml', 'go.mod', 'Cargo.toml', '.hg']
// Files that hold credentials wherever they lie: of tools, of browsers, and what was typed (passwords, too).
const SECRET_NAMES = [
  /\.env(?:\..+)?|\.envrc|\.npmrc|\.netrc|\.pypirc|\.git-credentials|\.pgpass|\.my\.cnf|id_(?:rsa|dsa|ecdsa|ed25519)/,
  /.+\.(?:pem|key|p12|pfx|kdbx|keytab)/,
  /\.?[\w-]*credentials?[\w-]*(?:\.(?:json|toml|ya?ml|xml|ini|db|txt))?|auth\.json|settings-security\.xml/,
  /cookies(?:\.sqlite)?|login data|logins\.json|key[34]\.db/,
  /\..*history|\.viminfo|\.lesshst/
]
const SECRET_NAME = new RegExp(`^(?:${SECRET_NAMES.map(({ source }) => source).join('|')})$`, 'is')
// The jail has its own.
const OWN = ['/proc', '/sys', '/dev']
const SYSTEM_STATE = ['/run', '/var/run', '/boot', '/lost+found']

/** Not to be granted by itself: a template of such a file (`.env.example`) is. */
export const isSecretName = (name: string): boolean =>
  SECRET_NAME.test(name) && !/\.(?:example|sample|template|dist)$/i.test(name)

/** Undefined: the jail has its own, nothing is to be granted. */
export function rootOf(host: Host, tempDirectory: string, written: string, use: FileUse): Root | undefined {
  const { real, kind } = walk(host.fs, written)
  if (OWN.some((own) => isWithin(real, own))) return undefined
  // The jail's own tmp, unless the host has such a file there: a project may lie in /tmp.
  if (isWithin(real, tempDirectory) && (kind === 'missing' || real === tempDirectory)) return undefined
  const risk = riskOf(host, real, use)
  if (risk !== undefined) return { path: real, risk }
  // What is gone again, and names that come and go, need their folder.
  const isGone = kind !== 'file' && kind !== 'dir'
  const start = isGone || use.names ? dirname(real) : real
  return widen(host, start, use.write)
}

function riskOf({ home, credentials, fs }: Host, real: string, { write }: FileUse): string | undefined {
  if (credentials.some((c) => isWithin(real, c.real))) return 'holds credentials'
  if (isSecretName(basename(real))) return 'looks like a file of secrets'
  if (SYSTEM_STATE.some((folder) => isWithin(real, folder))) return 'state and sockets of the running system'
  if (!write) return undefined
  const isSystem =
    !isWithin(real, home) &&
    ['/usr', '/etc', '/bin', '/sbin', '/lib', '/lib64', '/var', '/opt'].some((f) => isWithin(real, f))
  if (isSystem) return 'writing it changes the system for every program'
  const isProfile = dirname(real) === home && basename(real).startsWith('.') && fs.lstat(real)?.kind !== 'dir'
  return isProfile ? 'shells and tools of the host read it' : undefined
}

/** From the observed path outwards, to where a person would have drawn the line. */
function widen(host: Host, path: string, write: boolean): Root {
  const wide = tooWide(host, path)
  if (wide !== undefined) return { path, risk: wide }
  const root =
    isWithin(path, host.cwd) && !isPersonal(host, host.cwd)
      ? inProject(host, path, write)
      : besideCredentials(host, outside(host, path), path)
  const kind = walk(host.fs, root).kind
  return kind === 'file' || kind === 'dir' ? { path: root, kind } : { path: root, risk: 'is gone' }
}

/**
 * Read: the working directory itself, or relative names would mean something else than while it was watched. Written: the
 * entry of it; a dot-folder (.git, .venv) is never opened for writing as a whole.
 */
function inProject({ cwd }: Host, path: string, write: boolean): string {
  if (path === cwd || !write) return cwd
  const top = topBelow(path, cwd)
  return basename(top).startsWith('.') ? path : top
}

/** From a folder that holds credentials too (~/.cargo) inwards, to the first one on the way to `path` that does not. */
function besideCredentials(host: Host, folder: string, path: string): string {
  let at = folder
  while (at !== path && isPersonal(host, at)) at = topBelow(path, at)
  return at
}

function outside(host: Host, path: string): string {
  const { home, fs } = host
  if (!isWithin(path, home)) return shelf(SYSTEM_SHELVES, path) ?? path
  const program = shelf(
    PER_PROGRAM.map((name) => join(home, name)),
    path
  )
  if (program !== undefined) return program
  const top = topBelow(path, home)
  if (basename(top).startsWith('.')) return top
  const project = ancestors(path)
    .filter((folder) => folder !== home && isWithin(folder, home))
    .find((folder) => PROJECT_MARKS.some((mark) => fs.lstat(join(folder, mark))))
  return project ?? (fs.lstat(path)?.kind === 'dir' ? path : dirname(path) === home ? path : dirname(path))
}

/** The entry of the innermost of these folders that `path` lies in. */
function shelf(shelves: string[], path: string): string | undefined {
  const inner = shelves.filter((s) => s !== path && isWithin(path, s)).sort((a, b) => b.length - a.length)[0]
  return inner === undefined ? undefined : topBelow(path, inner)
}

const topBelow = (path: string, folder: string): string =>
  join(folder, path.slice(folder === '/' ? 1 : folder.length + 1).split('/')[0] as string)

/** Folders whose names alone tell too much: granting them grants all that lies in them. */
function tooWide(host: Host, path: string): string | undefined {
  if (path === '/' || isWithin(host.home, path)) return 'holds everything of its user'
  if (isPersonal(host, path)) return 'holds credentials'
  const shelves = [...SYSTEM_SHELVES, '/usr', '/var', '/home', '/lib', '/lib64', '/bin', '/sbin', '/mnt', '/media']
  const own = PER_PROGRAM.map((name) => join(host.home, name))
  return shelves.includes(path) || own.includes(path) || path === join(host.home, '.local')
    ? 'holds the files of many programs'
    : undefined
}
