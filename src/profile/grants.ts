import { QiError } from '../errors.js'
import { patternProgram } from '../plan/pattern.js'
import { parsePattern } from '../policy/glob.js'
import type { PathRule, Policy } from '../policy/merge.js'
import { isWithin, type Walk, walk } from './fs.js'
import { expand, type Host, reachesCredentials } from './host.js'
import { narrowPaths } from './narrow.js'
import type { Grant, JailSymlink, NamePattern, Note } from './types.js'

/** A path rule after expansion and resolution. */
export interface PlacedRule extends PathRule {
  /** Absolute, as written. */
  written: string
  walk: Walk
}

interface Place {
  path: string
  field: string
}

export interface ExplicitGrants {
  grants: Grant[]
  denied: PlacedRule[]
  /** What would be writable without the files that narrow. */
  writableBefore: Place[]
  symlinks: JailSymlink[]
  /** Names that are denied wherever they are (`filesystem.mediate`). */
  patterns: NamePattern[]
  /** What was asked for and is not granted. */
  notes: Note[]
}

/** What the policy grants by name. Throws for everything that would grant other than what it says. */
export function resolveGrants(
  policy: Pick<Policy, 'paths' | 'pathLimits' | 'callerLayer' | 'filesystem'>,
  host: Host
): ExplicitGrants {
  const { mediate } = policy.filesystem
  const byName = mediate ? policy.paths.filter(isNameDeny) : []
  const all = policy.paths.filter((rule) => !byName.includes(rule)).flatMap((rule) => place(rule, host))
  const missing = policy.paths.filter((rule) => rule.sparesCommand && !all.some(({ origin }) => origin === rule.origin))
  const placed = override(narrowPaths(all, policy.pathLimits))
  const writable = writableOf(placed)
  // A repository's file takes from what is writable: a link that an earlier payload left there is one all the same.
  const before = override(all.filter(({ layer }) => !policy.pathLimits.some((limit) => limit.layer === layer)))
  const writableBefore = writableOf(before)
  for (const rule of before) refuseSteered(rule, writableBefore)
  for (const rule of placed) {
    refuseSteered(rule, writable)
    if (rule.access === 'deny') continue
    refuseKind(rule)
    refuseWide(rule, host)
    refuseCredentialLink(rule, host)
  }
  const denied = placed.filter((r) => r.access === 'deny')
  const { granted, notes } = outsideDenied(placed, denied, policy.callerLayer)
  const symlinks = granted.flatMap((r) => r.walk.links.map((l) => ({ ...l, origin: r.origin })))
  const absent = missing.map(({ origin, path }) => ({
    text: `${path.replace(/\?$/, '')} does not exist, so it is not granted`,
    origin
  }))
  const patterns = byName.map((rule) => placePattern(rule, host, [...writable, ...writableBefore]))
  return { grants: granted.map(toGrant), denied, writableBefore, symlinks, patterns, notes: [...absent, ...notes] }
}

/** A denial that is no folder or file. */
const isNameDeny = ({ access, path }: PathRule): boolean =>
  access === 'deny' && parsePattern(path.replace(/(?<=.)\?$/, '')).kind === 'pattern'

/** A base that is not there yet is where its path will be. */
function placePattern(rule: PathRule, host: Host, writable: Place[]): NamePattern {
  const parsed = parsePattern(rule.path)
  if (parsed.kind !== 'pattern') throw fault(rule, 'QI_GLOB', 'ends with "?" behind a wild card', 'leave it out')
  const { base, segments } = parsed.pattern
  const { path } = expand(host, base)
  const found = walk(host.fs, path)
  refuseSteered({ ...rule, written: path, walk: found }, writable)
  if (patternProgram(segments) === undefined)
    throw fault(rule, 'QI_GLOB', 'is too long a pattern', 'write it as several shorter ones')
  return { text: rule.path, base: found.real, anywhere: base === '/', segments, origin: rule.origin }
}

const writableOf = (rules: PlacedRule[]): Place[] =>
  rules.filter(({ access }) => access === 'rw').map(({ walk, field }) => ({ path: walk.real, field }))

const fault = (rule: PathRule, code: `QI_${string}`, message: string, hint: string): QiError =>
  new QiError(code, `${rule.origin} = ${JSON.stringify(rule.path)}: ${message}`, {
    field: rule.field,
    value: rule.path,
    path: rule.path,
    hint
  })

function place(rule: PathRule, host: Host): PlacedRule[] {
  const { path, optional } = expand(host, subtree(rule))
  const found = walk(host.fs, path)
  if (found.kind === 'missing' && rule.access !== 'deny') {
    if (optional) return []
    throw fault(
      rule,
      'QI_GRANT_MISSING',
      `${path} does not exist or cannot be reached`,
      'create it, or end it with "?" for "if it exists"'
    )
  }
  return [{ ...rule, written: path, walk: found }]
}

/** The path of what a mount can show or hide; a trailing `?` is kept. */
function subtree(rule: PathRule): string {
  const optional = rule.path.length > 1 && rule.path.endsWith('?') ? '?' : ''
  const parsed = parsePattern(optional ? rule.path.slice(0, -1) : rule.path)
  if (parsed.kind === 'subtree') return parsed.path + optional
  if (parsed.kind === 'wrong') throw fault(rule, 'QI_GLOB', parsed.reason, parsed.hint)
  const { base } = parsed.pattern
  const [reason, hint] =
    rule.access === 'deny'
      ? [
          'cannot be kept from being read by mounts and Landlock, which know folders and files',
          'name them (dir/** is a whole folder), or have each open decided: filesystem.mediate: true'
        ]
      : [
          'cannot be granted: a mount shows a folder or a file',
          `grant the folder, ${base === '/' ? 'by its name' : `${base}/**`}, and deny what is not meant`
        ]
  throw fault(rule, 'QI_GLOB', reason, hint)
}

/** One grant a path: a later layer overrides an earlier one, one layer must not contradict itself. Denials stay beside. */
export function override(placed: PlacedRule[]): PlacedRule[] {
  const [grants, denials] = [new Map<string, PlacedRule>(), new Map<string, PlacedRule>()]
  for (const rule of placed) {
    const path = rule.walk.real
    const other = [grants.get(path), denials.get(path)].find((o) => o?.layer === rule.layer && o.access !== rule.access)
    if (other && !other.sparesCommand) {
      throw fault(
        rule,
        'QI_GRANT_CONFLICT',
        `the same path is also in ${other.field}`,
        'keep it in one of the two lists'
      )
    }
    if (rule.access !== 'deny') grants.set(path, rule)
    // Of two the one that spares nothing.
    else if (!rule.sparesCommand || !denials.has(path)) denials.set(path, rule)
  }
  return [...grants.values(), ...denials.values()]
}

/** A payload that may write a folder may have put a link there; following it now would let it choose its next grant. */
export function refuseSteered(rule: PlacedRule, writable: Place[]): void {
  for (const link of rule.walk.links) {
    const folder = writable.find((w) => isWithin(link.path, w.path))
    if (!folder) continue
    const hint = `write the path it leads to: ${rule.walk.real}`
    throw fault(
      rule,
      'QI_GRANT_LINK',
      `goes through the link ${link.path}, which the payload may write (${folder.field})`,
      hint
    )
  }
}

function refuseKind(rule: PlacedRule): void {
  if (rule.walk.kind === 'file' || rule.walk.kind === 'dir') return
  throw fault(rule, 'QI_GRANT_KIND', 'is neither a regular file nor a folder', 'grant files and folders only')
}

// Mounted by the jail itself; the host's would hand out other processes, devices and kernel knobs.
const KERNEL = ['/proc', '/sys', '/dev']
const NEVER_WRITABLE = new Set(
  '/usr /etc /bin /sbin /lib /lib32 /lib64 /libx32 /boot /var /run /home /root /opt /nix'.split(' ')
)

function refuseWide(rule: PlacedRule, host: Host): void {
  const { real } = rule.walk
  const narrower = 'grant the folder that is needed'
  if (real === '/') throw fault(rule, 'QI_GRANT_TOO_WIDE', 'would grant the whole file system', narrower)
  if (KERNEL.some((k) => isWithin(real, k))) {
    throw fault(rule, 'QI_GRANT_TOO_WIDE', 'belongs to the kernel; the jail has its own', 'leave it out')
  }
  if (rule.access !== 'rw') return
  if (isWithin(host.home, real)) {
    const hint = 'grant a project folder; if this is $CWD, start in that folder or pass --cwd'
    throw fault(rule, 'QI_GRANT_TOO_WIDE', 'would make the whole home folder writable', hint)
  }
  if (NEVER_WRITABLE.has(real))
    throw fault(rule, 'QI_GRANT_TOO_WIDE', 'is a system folder and stays read-only', narrower)
}

export function refuseCredentialLink(rule: PlacedRule, host: Host): void {
  if (!reachesCredentials(host, rule.written, rule.walk.real)) return
  const hint = `if that is meant, write ${rule.walk.real}`
  throw fault(rule, 'QI_GRANT_LINK', `leads through a link into a credential folder: ${rule.walk.real}`, hint)
}

/**
 * A denial wins, whichever layer came first; a denied folder is masked as a whole, so nothing can be shown inside it. What
 * the caller asks for itself is refused aloud, and what `security:` denies goes quietly: it is said in the notes.
 */
function outsideDenied(
  placed: PlacedRule[],
  denied: PlacedRule[],
  callerLayer: number
): { granted: PlacedRule[]; notes: Note[] } {
  const notes: Note[] = []
  const granted = placed.filter((rule) => {
    if (rule.access === 'deny') return false
    const inside = denied.filter((d) => isWithin(rule.walk.real, d.walk.real))
    const deny = inside.find((d) => !d.sparesCommand) ?? inside[0]
    if (!deny) return true
    // The same path in an earlier layer: what it says there is no mistake, it is overridden.
    const isOverridden = deny.walk.real === rule.walk.real && deny.layer > rule.layer
    if (rule.layer === callerLayer || !(deny.sparesCommand || isOverridden))
      throw fault(rule, 'QI_GRANT_CONFLICT', `lies inside ${deny.origin}`, 'deny a narrower path')
    const text = `${rule.path} is not granted: it lies inside ${deny.origin} = ${JSON.stringify(deny.path)}`
    notes.push({ text, origin: rule.origin })
    return false
  })
  return { granted, notes }
}

function toGrant(rule: PlacedRule): Grant {
  return {
    path: rule.walk.real,
    access: rule.access as 'ro' | 'rw',
    kind: rule.walk.kind as 'file' | 'dir',
    as: 'caller',
    optional: false,
    origin: rule.origin
  }
}

/** The innermost grant that `path` lies in. */
export function grantOf<T extends { path: string }>(grants: readonly T[], path: string): T | undefined {
  let best: T | undefined
  for (const grant of grants) {
    if (isWithin(path, grant.path) && (!best || grant.path.length > best.path.length)) best = grant
  }
  return best
}

/** Sorted, and without those that an enclosing grant already gives: each grant is a mount to be paid for. */
export function compact(explicit: Grant[], closure: Grant[]): Grant[] {
  const out: Grant[] = []
  const isExplicit = new Set(explicit)
  const all = [...explicit, ...closure].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  for (const grant of all) {
    const outer = grantOf(out, grant.path)
    if (outer && !isExplicit.has(grant) && (isExplicit.has(outer) || outer.as === grant.as)) continue
    if (outer && isExplicit.has(grant) && outer.access === grant.access && outer.as === grant.as) continue
    // The same path from both: what was written wins (it sorts first, the sort is stable).
    if (outer && outer.path === grant.path) continue
    out.push(grant)
  }
  return out
}
