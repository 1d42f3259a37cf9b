import { printable } from '../cli/printable.js'
import { literally, parsePattern } from '../policy/glob.js'
import { isWithin, walk } from '../profile/fs.js'
import { expand, type Host } from '../profile/host.js'

export interface Place {
  host: Host
  /** What the relative paths of a policy file given by --policy start from: the working directory. */
  folder: string
}

/** As a person would write it, where it is no pattern. */
export function shorten({ host: { home, writtenHome }, folder }: Place, path: string): string {
  if (path === folder) return '.'
  if (folder !== '/' && folder !== home && isWithin(path, folder)) return `.${path.slice(folder.length)}`
  for (const at of [home, writtenHome]) if (at !== '/' && isWithin(path, at)) return `~${path.slice(at.length)}`
  return path
}

/**
 * The entry of a policy's list that means this path and nothing else. A payload chooses the names of its files: `\.\.` would be
 * read as `..`. Undefined where no entry means it (a `?` at the end of a path is "if it exists"), or a person could misread it.
 */
export function spell(place: Place, path: string, suffix: '' | '/**' = ''): string | undefined {
  const entry = literally(shorten(place, path)) + suffix
  return printable(entry) === entry && meaning(place.host, entry) === path ? entry : undefined
}

/** Read as a launch reads it. */
function meaning(host: Host, entry: string): string | undefined {
  const parsed = entry.endsWith('?') ? undefined : parsePattern(entry)
  if (parsed?.kind !== 'subtree') return undefined
  const { path, optional } = expand(host, parsed.path)
  return optional ? undefined : walk(host.fs, path).real
}
