import { QiError } from '../errors.js'
import type { Policy } from '../policy/merge.js'
import { ancestors, isWithin, type ReadFs, walk } from './fs.js'
import { type ExplicitGrants, grantOf } from './grants.js'
import { expand, type Host } from './host.js'
import type { Deny, Grant } from './types.js'

export const cwdError = (value: string, message: string, hint: string): QiError =>
  new QiError('QI_CWD', `cwd = ${JSON.stringify(value)}: ${message}`, { field: 'cwd', value, path: value, hint })

/** `$CWD` may be a grant: a link that an earlier payload put in the place of the folder would choose it. */
export function refuseSteeredCwd({ cwd }: Policy, host: Host, { grants, writableBefore }: ExplicitGrants): void {
  if (cwd === undefined) return
  const found = walk(host.fs, expand(host, cwd).path)
  const link = found.links.find(
    (l) => grantOf(grants, l.path)?.access === 'rw' || writableBefore.some(({ path }) => isWithin(l.path, path))
  )
  if (!link) return
  const details = { field: 'cwd', value: cwd, path: link.path, hint: `write the path it leads to: ${found.real}` }
  const message = `cwd = ${JSON.stringify(cwd)}: goes through the link ${link.path}, which the payload may write`
  throw new QiError('QI_GRANT_LINK', message, details)
}

/** A cwd somebody asked for must be there; one that was merely inherited gives way. */
export function workingDirectory(
  policy: Policy,
  host: Host,
  grants: Grant[],
  denied: Deny[],
  tmp: string,
  privileged: boolean
): { cwd: string; cwdNote?: string } {
  const { cwd, fs } = host
  const grant = grantOf(grants, cwd)
  // Root's payload has an id of its own: what is not mapped to it is open to it only as far as to everybody.
  const mayEnter = grant?.as === 'caller' || !privileged || isOpenToAll(fs, cwd)
  const isSeen = grant?.kind === 'dir' && mayEnter && !denied.some((d) => isWithin(cwd, d.path))
  if (cwd === tmp || (isSeen && walk(fs, cwd).kind === 'dir')) return { cwd }
  if (policy.cwd !== undefined) {
    const hint = `grant it (readOnlyPaths or allowedPaths), or use ${tmp}`
    throw cwdError(policy.cwd, `${cwd} is not granted, so it does not exist in the jail`, hint)
  }
  return { cwd: tmp, cwdNote: `the working directory ${cwd} is not granted; the payload starts in ${tmp}` }
}

const isOpenToAll = (fs: ReadFs, folder: string): boolean =>
  ancestors(folder).every((path) => ((fs.lstat(path)?.mode ?? 0) & 0o001) !== 0)
