import { QiError } from '../errors.js'
import { nodeOfPrefix } from '../host/prefix.js'
import { basename, dirname, isWithin, join, type ReadFs, walk } from './fs.js'
import { grantOf, type PlacedRule } from './grants.js'
import type { Host } from './host.js'
import type { Deny, Grant } from './types.js'

// Files that make the host's git, shells, editors, agents or package managers run code or trust something. A payload that
// may write them is out of the jail the next time its user works in the folder.
const PROTECTED = [
  '.gitmodules',
  '.bashrc',
  '.bash_profile',
  '.bash_login',
  '.bash_logout',
  '.bash_aliases',
  '.profile',
  '.zshrc',
  '.zprofile',
  '.zshenv',
  '.zlogin',
  '.zlogout',
  '.config/fish/config.fish',
  '.mcp.json',
  '.vscode',
  '.idea',
  '.claude',
  '.cursor',
  '.env',
  '.npmrc',
  '.envrc',
  '.qi-jail.yaml'
]

// Inside a repository: hooks and config run programs; modules/ holds the config of submodules, which `git status` reads;
// commondir and config.worktree make git read another config.
const GIT = ['.git/hooks', '.git/config', '.git/config.worktree', '.git/commondir', '.git/modules']

// Below home, when a grant reaches that far (e.g. ~/.config).
const PROTECTED_HOME = ['.config/fish', '.config/git', '.config/systemd', '.config/autostart', '.config/environment.d']

const OWN_HOME = ['.config/qi-jail', '.cache/qi-jail', '.local/state/qi-jail']
const OWN_PACKAGE = [
  'bin',
  'build',
  'dist',
  'native',
  'node_modules',
  'package.json',
  'prebuilds',
  'profiles',
  'schema',
  'src'
]

export interface OwnPaths {
  packageDir: string
  /** Absolute. */
  auditFile?: string
  /** Where policies, the list of trusted ones and kept plans lie, wherever the environment puts them. */
  folders: string[]
  /** Profile files this launch was configured by. */
  profileFiles: string[]
}

/** What may not be written inside the writable grants, whoever granted them. */
export function mandatoryDenies(grants: Grant[], host: Host, allowed: string[], own: OwnPaths): Deny[] {
  const denies: Deny[] = []
  for (const grant of grants.filter((g) => g.access === 'rw')) {
    refuseProtectedGrant(grant, host, allowed)
    if (grant.kind === 'dir') {
      denies.push(...named(grant, host.fs, allowed))
      denies.push(...absolute(grant, host, allowed))
    }
    denies.push(...ownDenies(grant, host, own))
  }
  // What a narrower grant makes read-only needs no deny.
  const needed = denies.filter((d) => grantOf(grants, d.path)?.access === 'rw')
  const outermost = needed.filter((d) => !needed.some((o) => o.path !== d.path && isWithin(d.path, o.path)))
  const unique = new Map(outermost.map((d) => [d.path, d]))
  return [...unique.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** `.git` lifts `.git/hooks` too. */
const isLifted = (name: string, allowed: string[]): boolean =>
  allowed.some((a) => isWithin(`/${name}`, `/${a.replace(/\/$/, '')}`))

function named(grant: Grant, fs: ReadFs, allowed: string[]): Deny[] {
  const names = [...PROTECTED, ...gitNames(fs, grant.path, allowed)].filter((name) => !isLifted(name, allowed))
  return names.flatMap((name) => {
    const path = join(grant.path, name)
    refuseLinks(fs, grant.path, name)
    // Programs make a .config of their own in any home that they are given; in that of the caller `absolute` protects it.
    return fs.lstat(dirname(path))?.kind === 'dir' ? [denyAt(fs, path, `mandatory: ${name}`)] : []
  })
}

function gitNames(fs: ReadFs, root: string, allowed: string[]): string[] {
  const git = fs.lstat(join(root, '.git'))
  if (git?.kind === 'dir') return GIT
  // A file: work trees and submodules; writing it points git to another repository. Missing: `git init` with hooks.
  if (git?.kind === 'link' && !isLifted('.git', allowed)) refuseLinks(fs, root, '.git')
  return ['.git']
}

/** A link in a protected place could lead anywhere: what is behind it cannot be protected by its name. */
function refuseLinks(fs: ReadFs, root: string, name: string): void {
  let at = root
  for (const part of name.split('/')) {
    at = join(at, part)
    if (fs.lstat(at)?.kind === 'link') throw protectedLink(at, name)
  }
}

function protectedLink(path: string, name: string): QiError {
  return new QiError('QI_PROTECTED_LINK', `${path} is a symbolic link, so ${name} cannot be kept from being written`, {
    field: 'filesystem.allowProtected',
    value: name,
    path,
    hint: `replace the link by what it leads to, or lift the protection with filesystem.allowProtected: ['${name}']`
  })
}

function denyAt(fs: ReadFs, path: string, origin: string): Deny {
  const stat = fs.lstat(path)
  if (!stat) return absent(fs, path, 'write', origin)
  return { path, kind: 'write', now: stat.kind === 'dir' ? 'dir' : 'file', origin }
}

function absolute(grant: Grant, host: Host, allowed: string[]): Deny[] {
  const names = PROTECTED_HOME.filter((name) => !isLifted(name, allowed))
  return names.flatMap((name) => {
    const path = join(host.home, name)
    if (!isWithin(path, grant.path)) return []
    refuseLinks(host.fs, host.home, name)
    return denyAt(host.fs, path, `mandatory: ~/${name}`)
  })
}

function refuseProtectedGrant(grant: Grant, host: Host, allowed: string[]): void {
  const names = ['.git', ...PROTECTED].filter((name) => !isLifted(name, allowed))
  const name =
    names.find((n) => `${grant.path}/`.includes(`/${n}/`)) ??
    PROTECTED_HOME.find((n) => !isLifted(n, allowed) && isWithin(grant.path, join(host.home, n)))
  if (!name) return
  throw new QiError('QI_PROTECTED_GRANT', `${grant.origin}: ${grant.path} lies inside the protected ${name}`, {
    field: 'filesystem.allowedPaths',
    value: grant.path,
    path: grant.path,
    hint: `grant it read-only, or lift the protection with filesystem.allowProtected: ['${name}']`
  })
}

/** The jail cannot write what configures, caches for, or records it. Not liftable. */
function ownDenies(grant: Grant, host: Host, own: OwnPaths): Deny[] {
  const { fs, home } = host
  // A grant of our own checkout: what runs in it is protected piece by piece, so that the rest can be worked on.
  const inPackage = isWithin(grant.path, own.packageDir)
  const ours = inPackage ? OWN_PACKAGE.map((name) => join(own.packageDir, name)) : [own.packageDir]
  const listed = [...ours, ...OWN_HOME.map((name) => join(home, name)), ...own.folders, ...own.profileFiles]
  // Our launcher would run what comes to lie there, outside.
  const node = nodeOfPrefix(own.packageDir)
  if (node !== undefined) listed.push(node)
  const audit = own.auditFile
  if (audit !== undefined) listed.push(audit)
  return listed.flatMap((path) => {
    const found = walk(fs, path)
    const link = found.links.find((l) => isWithin(l.path, grant.path))
    if (link) throw ownPath(grant, link.path, 'is a link the payload may write, on the way to')
    // Found under node_modules the package is a folder of its own: writable grants inside it are the caller's mistake.
    if (found.kind !== 'missing' && isWithin(grant.path, found.real)) throw ownPath(grant, path, 'holds or is')
    if (!isWithin(found.real, grant.path)) return []
    const origin = `mandatory: qi-jail's own ${basename(path)}`
    if (path !== audit) return denyAt(fs, found.real, origin)
    // A read-only mount does not keep anybody from writing into a FIFO.
    if (found.kind === 'other' || found.kind === 'socket') throw ownPath(grant, path, 'is no regular file, and')
    // The launch makes it before the jail: it is there to be covered, not a name to be guarded.
    return [{ path: found.real, kind: 'write', now: 'file', origin }]
  })
}

/** What does not exist yet is kept from coming to be by the first of its names that is missing. */
function absent(fs: ReadFs, path: string, kind: Deny['kind'], origin: string): Deny {
  let at = path
  while (!fs.lstat(dirname(at))) at = dirname(at)
  // A file where a folder would be: the folder could come in its place.
  if (fs.lstat(dirname(at))?.kind !== 'dir') return { path: dirname(at), kind: 'write', now: 'file', origin }
  return { path: at, kind, now: 'missing', origin }
}

function ownPath(grant: Grant, path: string, how: string): QiError {
  return new QiError('QI_PROTECTED_GRANT', `${grant.origin}: ${path} ${how} what configures or records the jail`, {
    field: 'filesystem.allowedPaths',
    value: grant.path,
    path,
    hint: 'grant another folder; this protection cannot be lifted'
  })
}

/** `deniedPaths` that would otherwise be seen through a grant. */
export function readDenies(denied: PlacedRule[], grants: Grant[], fs: ReadFs): Deny[] {
  return denied.flatMap((rule): Deny[] => {
    const { real, kind } = rule.walk
    if (!grantOf(grants, real)) return []
    if (kind !== 'missing')
      return [{ path: real, kind: 'read', now: kind === 'dir' ? 'dir' : 'file', origin: rule.origin }]
    return [absent(fs, real, 'read', rule.origin)]
  })
}
