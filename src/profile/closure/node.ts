import { ancestors, basename, dirname, isWithin, join, kindAt, readText, type Walk, walk } from '../fs.js'
import { grantOf } from '../grants.js'
import { isPersonal } from '../host.js'
import { type Closure, isSystem } from './closure.js'

/** A script of the Node family: its package, the node_modules it may load from, and workspace packages linked there. */
export function nodeScript(closure: Closure, path: string, origin: string, steered = false): Walk | undefined {
  const found = resolveScript(closure, path)
  if (!found) return undefined
  closure.link(found, origin)
  const root = packageRoot(closure, found.kind === 'dir' ? found.real : dirname(found.real))
  const links = found.links.some((l) => closure.isWritable(l.path))
  if (root) closure.grant(root, `package of ${origin}`, { steered: steered || links })
  if (!closure.covers(found.real)) closure.grant(path, origin, { steered })
  nodeModules(closure, root ?? dirname(found.real))
  return found
}

/** As CommonJS does: the file, with an extension, or the folder. */
function resolveScript(closure: Closure, path: string): Walk | undefined {
  for (const suffix of ['', '.js', '.mjs', '.cjs', '.json']) {
    const found = walk(closure.fs, `${path}${suffix}`)
    if (found.kind === 'file' || found.kind === 'dir') return found
  }
  return undefined
}

/** Nearest folder upwards with a package.json that has a name; one without is only a marker (`{"type":"module"}`). */
export function packageRoot(closure: Closure, from: string): string | undefined {
  let marker: string | undefined
  for (const dir of searchUp(closure, from)) {
    if (basename(dir) === 'node_modules') break
    const text = readText(closure.fs, join(dir, 'package.json'), 1 << 18)
    if (text === undefined) continue
    marker ??= dir
    if (/"name"\s*:/.test(text)) return dir
  }
  return marker
}

/**
 * `from` and its parents, as far as a package root may lie. Not above a folder the payload may write: by deleting the
 * package.json there, an earlier payload would have the next launch grant the parent.
 */
export function searchUp(closure: Closure, from: string): string[] {
  const writable = closure.explicit.filter((grant) => grant.access === 'rw')
  const top = grantOf(writable, from)?.path ?? '/'
  const dirs = ancestors(from)
  const end = dirs.findIndex((dir) => isPersonal(closure.host, dir) || !isWithin(dir, top))
  return end < 0 ? dirs : dirs.slice(0, end)
}

/** Every node_modules that resolution from `root` looks into (hoisting, workspaces, pnpm's store). */
function nodeModules(closure: Closure, root: string): void {
  const folders = ancestors(root).map((dir) => (dir.endsWith('/node_modules') ? dir : join(dir, 'node_modules')))
  for (const folder of new Set(folders)) {
    if (kindAt(closure.fs, folder) !== 'dir') continue
    closure.grant(folder, 'node_modules', { optional: true })
    if (!isSystem(folder) && !folder.includes('/node_modules/')) workspaceLinks(closure, folder)
  }
}

/** Packages that are linked out of node_modules (workspaces, `npm link`). One level deep: trees are never walked. */
function workspaceLinks(closure: Closure, folder: string): void {
  // What a payload may have linked there is either in its grant already or refused: no reason to look at a million links.
  if (closure.isWritable(folder)) return
  for (const entry of closure.fs.list(folder)) {
    const path = join(folder, entry.name)
    if (entry.kind === 'dir' && entry.name.startsWith('@')) workspaceLinks(closure, path)
    if (entry.kind !== 'link') continue
    const target = walk(closure.fs, path)
    if (target.kind !== 'dir' || closure.covers(target.real)) continue
    if (kindAt(closure.fs, join(target.real, 'package.json')) !== 'file') continue
    closure.grant(path, 'linked package', { optional: true })
  }
}

/** `--import tsx`, `-r ./setup.js`: a path from the working directory, or a package looked up from there. */
export function preload(closure: Closure, value: string): void {
  const { cwd } = closure.host
  const path = value.startsWith('file://') ? decodeURIComponent(value.slice('file://'.length)) : value
  if (/^(\/|\.\.?(\/|$))/.test(path)) {
    nodeScript(closure, path.startsWith('/') ? path : join(cwd, path), 'preloaded module')
    return
  }
  const name = path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/')
  const dir = ancestors(cwd).find((d) => kindAt(closure.fs, join(d, 'node_modules', name)) === 'dir')
  if (dir !== undefined) nodeScript(closure, join(dir, 'node_modules', name), 'preloaded module')
}
