import { QiError } from '../errors.js'
import { matches } from '../policy/glob.js'
import { isWithin } from './fs.js'
import type { Grant, Mediation, NamePattern } from './types.js'

/**
 * Grants of the closure that hold programs, not the caller's files: a pattern without a base does not mean them. What is only
 * beside the command is not among them, since that may be its project: a project can be a virtual environment itself.
 */
const SOFTWARE =
  /^closure: (?:system|libraries|(?:base )?interpreter|version manager .*|installed virtual environment|node_modules|user site|\w+ packages)$/

// An interpreter unpacked into the project itself (`conda create -p .`): what lies there is the caller's too.
const INTERPRETER = /^closure: (?:base )?interpreter$/

/** Does a rule of `filesystem.deniedPaths` with wild cards mean this canonical path? */
export function patternAgainst(patterns: NamePattern[], path: string): NamePattern | undefined {
  return patterns.find(({ base, segments }) => {
    if (!isWithin(path, base) || path === base) return false
    return matches({ segments }, path.slice(base === '/' ? 1 : base.length + 1).split('/'))
  })
}

/**
 * Which grants the patterns reach into. Landlock adds up the rights of all folders around a file, so none of them may lie in
 * one that the payload opens by itself. `needed` must not be denied anywhere, `programs` (of the closure) where that is decided.
 * `cwd`: the canonical working directory.
 * @throws QiError QI_MEDIATE, QI_GRANT_CONFLICT
 */
export function mediation(
  patterns: NamePattern[],
  grants: Grant[],
  needed: string[],
  programs: string[],
  tempDirectory: string,
  cwd: string
): Mediation | undefined {
  if (patterns.length === 0) return undefined
  for (const path of [...grants.map((grant) => grant.path), ...needed]) refuseDenied(patterns, path)
  const inner = grants.filter((grant) => grant.kind === 'dir' && patterns.some((one) => reaches(one, grant, cwd)))
  if (inner.length === 0) return undefined
  const folders = inner.map(({ path }) => path)
  for (const path of folders) {
    const around = grants.find(
      (grant) => grant.path !== path && isWithin(path, grant.path) && !folders.includes(grant.path)
    )
    if (around) throw liesIn(path, around.path, false)
  }
  // With the rights that the private tmp has, names that are protected before they exist could come to be in a grant below.
  for (const { path, access } of grants) {
    const own = [tempDirectory, '/dev'].find((place) => isWithin(path, place))
    if (own !== undefined && (access === 'rw' || folders.includes(path))) throw liesIn(path, own, true)
  }
  const executables = [...needed, ...programs].filter((path) => folders.some((folder) => isWithin(path, folder)))
  for (const path of executables) refuseDenied(patterns, path)
  return { patterns, folders, executables: [...new Set(executables)].sort() }
}

function reaches({ base, anywhere }: NamePattern, { path, origin }: Grant, cwd: string): boolean {
  const isProject = INTERPRETER.test(origin) && isWithin(cwd, path)
  return anywhere ? isProject || !SOFTWARE.test(origin) : isWithin(path, base) || isWithin(base, path)
}

function refuseDenied(patterns: NamePattern[], path: string): void {
  const against = patternAgainst(patterns, path)
  if (!against) return
  throw new QiError('QI_GRANT_CONFLICT', `${against.origin} = ${JSON.stringify(against.text)}: it denies ${path}`, {
    field: 'filesystem.deniedPaths',
    value: against.text,
    path,
    hint: 'the launch needs or grants this path: deny a narrower pattern'
  })
}

function liesIn(path: string, around: string, isTemp: boolean): QiError {
  const hint = isTemp
    ? 'set filesystem.tempDirectory to another place, e.g. /var/tmp'
    : `grant the parts of ${around} that are needed, or begin the pattern with the folder that is meant`
  return new QiError(
    'QI_MEDIATE',
    `names cannot be denied by pattern: ${path} lies in ${around}, which the payload opens by itself`,
    {
      field: 'filesystem.mediate',
      value: true,
      path,
      hint
    }
  )
}
