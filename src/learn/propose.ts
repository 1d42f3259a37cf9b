import { isSyscall } from '../filter/refused.js'
import { wrongForUdp } from '../network/entry.js'
import { parseHostPattern } from '../network/host.js'
import { isWithin, join } from '../profile/fs.js'
import type { Host } from '../profile/host.js'
import type { FileUse, HostUse, Observed, Peaks } from './observe.js'
import { isSecretName, type Root, rootOf } from './roots.js'
import { type Place, shorten, spell } from './spell.js'

/** One line of the policy: what it gives, and what was seen that asks for it. */
export interface Entry {
  value: string
  because: string
}

/** What is not given by itself: a person reads the risk and takes the `#` away. */
export interface Draft extends Entry {
  /** Key of the policy that it would go under, e.g. `filesystem.readOnlyPaths`. */
  key:
    | 'filesystem.readOnlyPaths'
    | 'filesystem.allowedPaths'
    | 'network.allowedHosts'
    | 'network.udp'
    | 'network.allowUnixSockets'
    | 'syscalls.allow'
  risk: string
}

export interface Limits {
  /** Bytes. */
  maxMemory?: number
  maxProcesses?: number
  maxFileDescriptors?: number
}

/** A policy before it is written down. Sorted: the same observations give the same file. */
export interface Proposal {
  readOnlyPaths: Entry[]
  allowedPaths: Entry[]
  deniedPaths: Entry[]
  allowedHosts: Entry[]
  udp: Entry[]
  syscalls: Entry[]
  /** Names of variables to pass on; which ones a program reads cannot be seen. */
  env: Entry[]
  limits: Limits
  drafts: Draft[]
}

export interface ProposeOptions extends Place {
  tempDirectory: string
  /** Why this call is never given, whatever a policy says; undefined when it may be. */
  neverAllowed: (syscall: string) => string | undefined
  /** Whether the address is one of the public internet. */
  isPublic: (address: string) => boolean
}

export function propose(seen: Observed, options: ProposeOptions): Proposal {
  const files = proposeFiles(seen.files, options)
  const hosts = proposeHosts(seen.hosts, options)
  const calls = proposeSyscalls(seen.syscalls, options)
  const sockets = [...seen.unixSockets].map(
    (path): Draft => ({
      key: 'network.allowUnixSockets',
      value: shorten(options, path),
      because: 'connected to',
      risk: 'whoever listens there acts with your rights'
    })
  )
  const drafts = [...files.drafts, ...hosts.drafts, ...calls.drafts, ...sockets]
  return {
    ...files.lists,
    ...hosts.given,
    syscalls: calls.given,
    env: [],
    limits: proposeLimits(seen.peaks),
    drafts: drafts.sort((a, b) => compare(a.key, b.key) || compare(a.value, b.value))
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byValue = (a: Entry, b: Entry): number => compare(a.value, b.value)

interface Found {
  path: string
  kind: 'file' | 'dir'
  write: boolean
  seen: number
}

const UNNAMED = 'no entry of a policy means it and nothing else: rename it'

function proposeFiles(files: Map<string, FileUse>, options: ProposeOptions) {
  const { roots, risky } = findRoots(files, options)
  const kept = outermost([...roots, ...workingDirectory(roots, options.host)])
  const secrets = secretsIn(kept, options.host)
  const denied = secrets.flatMap((path): (Entry & { path: string })[] => {
    const used = risky.has(path) ? '; the command used it: without this line it may' : ''
    const value = spell(options, path)
    return value === undefined ? [] : [{ path, value, because: `looks like a file of secrets${used}` }]
  })
  const open = secrets.filter((secret) => !denied.some(({ path }) => path === secret))
  const lists: Record<'readOnlyPaths' | 'allowedPaths' | 'deniedPaths', Entry[]> = {
    readOnlyPaths: [],
    allowedPaths: [],
    deniedPaths: denied.map(({ value, because }) => ({ value, because })).sort(byValue)
  }
  const drafts: Draft[] = []
  for (const found of kept) {
    const { value, because } = entryOf(found, options)
    const entry = { value: value ?? shorten(options, found.path), because }
    const holdsOpen = open.some((secret) => isWithin(secret, found.path))
    const risk =
      value === undefined ? UNNAMED : holdsOpen ? 'holds a file of secrets that no entry can deny' : undefined
    if (risk === undefined) lists[listOf(found)].push(entry)
    else drafts.push({ key: `filesystem.${listOf(found)}`, ...entry, risk })
  }
  for (const [path, use] of risky) {
    // What a line denies is given by taking the line away, not by another one: a deny wins over every grant.
    if (denied.some((deny) => deny.path === path)) continue
    const because = `${use.write ? 'written' : 'read'}${use.seen > 1 ? ` ${use.seen} times` : ''}`
    const value = spell(options, path) ?? shorten(options, path)
    drafts.push({ key: `filesystem.${listOf(use)}`, value, because, risk: use.risk })
  }
  lists.readOnlyPaths.sort(byValue)
  lists.allowedPaths.sort(byValue)
  return { lists, drafts }
}

function findRoots(files: Map<string, FileUse>, { host, tempDirectory }: ProposeOptions) {
  const roots = new Map<string, Found>()
  const risky = new Map<string, { risk: string; write: boolean; seen: number }>()
  for (const [path, use] of files) {
    const root = rootOf(host, tempDirectory, path, use)
    if (root === undefined) continue
    const at = 'risk' in root ? risky : roots
    const had = at.get(root.path)
    const entry = { ...root, write: (had?.write ?? false) || use.write, seen: (had?.seen ?? 0) + 1 }
    ;(at as Map<string, Root>).set(root.path, entry)
  }
  return { roots: [...roots.values()], risky }
}

const listOf = ({ write }: { write: boolean }) => (write ? 'allowedPaths' : 'readOnlyPaths')

function entryOf({ path, kind, seen, write }: Found, place: Place): { value: string | undefined; because: string } {
  return {
    value: spell(place, path, kind === 'dir' ? '/**' : ''),
    because: `${write ? 'written' : 'read'}${kind === 'dir' ? `, ${seen === 1 ? '1 path' : `${seen} paths`} in it` : ''}`
  }
}

/** What is written in it alone does not make it the place where the command starts. */
function workingDirectory(found: Found[], { cwd, home }: Host): Found[] {
  const inside = found.filter(({ path, write }) => write && path !== cwd && isWithin(path, cwd))
  if (inside.length === 0 || isWithin(home, cwd)) return []
  return [{ path: cwd, kind: 'dir', write: false, seen: inside.length }]
}

/** Without those that another one gives already. */
function outermost(found: Found[]): Found[] {
  return found.filter(
    (f) => !found.some((o) => o !== f && o.kind === 'dir' && isWithin(f.path, o.path) && (o.write || !f.write))
  )
}

/** Files of secrets at the top of a folder that is given: without being asked for they are not part of it. */
function secretsIn(kept: Found[], { fs }: Host): string[] {
  const folders = kept.filter((f) => f.kind === 'dir')
  return folders.flatMap(({ path }) =>
    fs
      .list(path)
      .filter(({ name, kind }) => kind === 'file' && isSecretName(name))
      .map(({ name }) => join(path, name))
  )
}

function proposeHosts(hosts: Map<string, HostUse>, { isPublic }: ProposeOptions) {
  const given = { allowedHosts: [] as Entry[], udp: [] as Entry[] }
  const drafts: Draft[] = []
  const all = [...hosts.values()]
  for (const { host, port, address, udp } of all) {
    // A look-up alone, of a host that was connected to as well.
    if (port === undefined && all.some((o) => o.host === host && o.port !== undefined)) continue
    const bare = host.includes(':') ? `[${host}]` : host
    const value = port === undefined ? host : `${bare}:${port}`
    const list = udp ? 'udp' : 'allowedHosts'
    const because = port === undefined ? 'looked up' : udp ? 'sent to' : 'connected to'
    const draft = (risk: string) => drafts.push({ key: `network.${list}`, value, because, risk })
    const read = parseHostPattern(value)
    const wrong = 'value' in read && udp ? wrongForUdp(read.value) : undefined
    if (!('value' in read)) draft('is no host that a rule can name')
    else if (wrong) draft(wrong.reason)
    else if (port === undefined) draft('was looked up, never connected to: any port of it')
    else if (address !== undefined && !isPublic(address)) draft(`${address} is not an address of the public internet`)
    else if (host === address) draft('an address without a name: whoever has it next is reached, too')
    // Events from a file may say anything: a pattern, a network or the loopback is not what was looked up.
    else if (read.value.pattern.kind !== 'name') draft('is not the name of one host')
    else given[list].push({ value: `${read.value.pattern.name}:${port}`, because })
  }
  for (const list of Object.values(given)) list.sort(byValue)
  return { given, drafts }
}

function proposeSyscalls(calls: Map<string, string>, { neverAllowed }: ProposeOptions) {
  const given: Entry[] = []
  const drafts: Draft[] = []
  for (const [value, rule] of calls) {
    const never = isSyscall(value) ? neverAllowed(value) : 'qi-jail knows no call of this name'
    if (never === undefined) given.push({ value, because: rule || 'called' })
    else drafts.push({ key: 'syscalls.allow', value, because: 'called', risk: `cannot be allowed: ${never}` })
  }
  return { given: given.sort(byValue), drafts }
}

const MIB = 2 ** 20
const upTo = (step: number, value: number): number => Math.ceil(value / step) * step

/** Twice what was needed, in steps that do not change from run to run, and never less than an idle runtime takes. */
function proposeLimits({ memory, processes, descriptors }: Peaks): Limits {
  return {
    ...(memory === undefined ? {} : { maxMemory: Math.max(256 * MIB, upTo(256 * MIB, memory * 2)) }),
    ...(processes === undefined ? {} : { maxProcesses: Math.max(64, upTo(64, processes * 2)) }),
    ...(descriptors === undefined ? {} : { maxFileDescriptors: Math.max(1024, upTo(1024, descriptors * 2)) })
  }
}
