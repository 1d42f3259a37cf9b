import { QiError } from '../errors.js'
import type { Written } from '../network/merge.js'
import { controlFolders } from './control.js'
import { isWithin, walk } from './fs.js'
import { type ExplicitGrants, grantOf, type PlacedRule, refuseCredentialLink, refuseSteered } from './grants.js'
import { expand, type Host } from './host.js'
import { riskOf } from './socket-risks.js'
import type { JailSymlink, UnixSocket } from './types.js'

/** The caller, whose variables a path may begin with. */
export interface Caller {
  env: Record<string, string | undefined>
  uid: number
}

/**
 * `network.allowUnixSockets`: what is a socket now, by canonical path; qi-monitor pins its inode at launch.
 * @throws QiError QI_UNIX_SOCKET, QI_GRANT_LINK, QI_GRANT_CONFLICT, QI_PROTECTED_GRANT
 */
export function resolveSockets(
  written: Written<string>[],
  host: Host,
  { grants, denied }: ExplicitGrants,
  caller: Caller
): { sockets: UnixSocket[]; symlinks: JailSymlink[] } {
  const byPath = new Map<string, UnixSocket>()
  const symlinks: JailSymlink[] = []
  const placed = written.flatMap((each) => place(each, host, caller.env))
  for (const rule of placed) {
    const { real } = rule.walk
    refuseForbidden(rule, host, caller)
    refuseSteered(rule, grants.flatMap(writableRule))
    refuseCredentialLink(rule, host)
    const deny = denied.find((d) => isWithin(real, d.walk.real))
    if (deny) throw fault(rule, 'QI_GRANT_CONFLICT', `lies inside ${deny.origin}`, 'deny a narrower path')
    symlinks.push(...rule.walk.links.map((link) => ({ ...link, origin: rule.origin })))
    const risk = riskOf(real, grantOf(grants, real)?.access === 'rw')
    byPath.set(real, { path: real, origin: rule.origin, ...(risk ? { risk } : {}) })
  }
  return { sockets: [...byPath.values()], symlinks }
}

const fault = (rule: Pick<PlacedRule, 'origin' | 'path' | 'field'>, code: `QI_${string}`, what: string, hint: string) =>
  new QiError(code, `${rule.origin} = ${JSON.stringify(rule.path)}: ${what}`, {
    field: rule.field,
    value: rule.path,
    path: rule.path,
    hint
  })

function place({ value, field, origin }: Written<string>, host: Host, env: Caller['env']): PlacedRule[] {
  const rule = { path: value, access: 'ro' as const, field, origin, layer: 0 }
  const meant = fromEnvironment(value, rule, env)
  if (meant === undefined) return []
  const { path, optional } = expand(host, meant)
  const found = walk(host.fs, path)
  if (found.kind === 'socket') return [{ ...rule, written: path, walk: found }]
  if (found.kind !== 'missing')
    throw fault(rule, 'QI_UNIX_SOCKET', `${found.real} is no socket`, 'name the socket itself, not its folder')
  if (optional) return []
  const hint = 'start its server first, or end it with "?" for "if it exists"'
  throw fault(rule, 'QI_UNIX_SOCKET', `${path} does not exist or cannot be reached`, hint)
}

const VARIABLE = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})(?=[/?]|$)/

/** A variable of the caller's at the beginning, as in `$SSH_AUTH_SOCK`; undefined: not set, and optional. */
function fromEnvironment(written: string, rule: Parameters<typeof fault>[0], env: Caller['env']): string | undefined {
  const match = VARIABLE.exec(written)
  const name = match?.[1] ?? match?.[2]
  if (!match || name === undefined || /^cwd$/i.test(name)) return written
  const value = env[name] ?? ''
  if (value === '' && written.endsWith('?')) return undefined
  if (value === '')
    throw fault(rule, 'QI_UNIX_SOCKET', `$${name} is not set`, 'set it, or end the path with "?" for "if it exists"')
  if (!value.startsWith('/') || /[\0\n]/.test(value) || value.split('/').includes('..'))
    throw fault(rule, 'QI_UNIX_SOCKET', `$${name} is ${JSON.stringify(value)}, no absolute path`, 'write the path')
  return value + written.slice(match[0].length)
}

/** The jail's own, and what would let a payload decide about jails. */
function refuseForbidden(rule: PlacedRule, host: Host, { env, uid }: Caller): void {
  const { real } = rule.walk
  if (['/proc', '/sys', '/dev'].some((own) => isWithin(real, own)))
    throw fault(rule, 'QI_UNIX_SOCKET', `${real} lies where the jail has its own`, 'have the server listen elsewhere')
  const folders = [...controlFolders(env, uid), ...controlFolders({ XDG_RUNTIME_DIR: `/run/user/${uid}` }, uid)]
  if (folders.some((folder) => isWithin(real, walk(host.fs, folder).real)))
    throw fault(
      rule,
      'QI_PROTECTED_GRANT',
      'is where running jails are controlled',
      'leave it out; this protection cannot be lifted'
    )
}

const writableRule = (grant: ExplicitGrants['grants'][number]) =>
  grant.access === 'rw' ? [{ path: grant.path, field: grant.origin }] : []
