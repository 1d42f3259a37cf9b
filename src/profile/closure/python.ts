import { basename, dirname, isWithin, join, kindAt, readText, type Walk, walk } from '../fs.js'
import { isPersonal } from '../host.js'
import { type Closure, isSystem } from './closure.js'
import { grantPrefix } from './installation.js'
import { searchUp } from './node.js'

const PROJECT_FILES = ['pyproject.toml', 'setup.py', 'setup.cfg', 'requirements.txt', 'Pipfile']

// Where installers keep the environments that they make, below home.
const INSTALLERS = [
  '.local/share/pipx',
  '.local/pipx',
  '.local/share/uv',
  '.cache/uv',
  '.local/share/virtualenvs',
  '.virtualenvs',
  '.cache/pypoetry/virtualenvs',
  '.pyenv/versions',
  '.asdf/installs',
  '.local/share/mise/installs'
]

/** A virtual environment that the command lies in: PEP 405, pyvenv.cfg one folder above the program. */
export function virtualEnvironment(closure: Closure, file: string, found: Walk, steered: boolean): void {
  const places = [file, ...found.links.map((l) => l.path), found.real]
  for (const [i, place] of places.entries()) {
    const root = dirname(dirname(place))
    const text = readText(closure.fs, join(root, 'pyvenv.cfg'), 4096)
    if (text === undefined) continue
    // A payload that writes a "#!" line or a link chooses the interpreter, not whose environment it may read.
    const led = steered || places.slice(0, i).some((before) => closure.isWritable(before))
    closure.grant(root, isInstalled(closure, root) ? 'installed virtual environment' : 'virtual environment', {
      steered: led
    })
    const home = /^\s*home\s*=\s*(\/\S.*?)\s*$/m.exec(text)?.[1]
    if (home) {
      const bin = walk(closure.fs, home)
      closure.link(bin, 'base interpreter')
      grantPrefix(closure, dirname(bin.real), 'base interpreter')
    }
    editableInstalls(closure, root)
  }
}

/** Any other may be the project itself, or lie in it with the project's files. */
function isInstalled({ fs, host }: Closure, root: string): boolean {
  const { real } = walk(fs, root)
  return isSystem(real) || INSTALLERS.some((name) => isWithin(real, join(host.home, name)))
}

/** `pip install -e`: lines of *.pth files that are folders. */
function editableInstalls(closure: Closure, root: string): void {
  const versions = closure.fs.list(join(root, 'lib')).filter((e) => e.name.startsWith('python'))
  for (const { name } of versions) {
    const site = join(root, 'lib', name, 'site-packages')
    const files = closure.fs.list(site).filter((e) => e.kind === 'file' && e.name.endsWith('.pth'))
    for (const file of files) {
      const path = join(site, file.name)
      for (const line of (readText(closure.fs, path) ?? '').split('\n')) {
        if (!line.startsWith('/')) continue
        closure.grant(line.trim(), 'editable install', { optional: true, steered: closure.isSteered(path) })
      }
    }
  }
}

/** Packages installed with `pip install --user`. */
export function userSite(closure: Closure): void {
  const lib = join(closure.host.home, '.local/lib')
  for (const { name, kind } of closure.fs.list(lib)) {
    if (kind === 'dir' && name.startsWith('python')) closure.grant(join(lib, name), 'user site', { optional: true })
  }
}

/** A script and the project it belongs to; without a project file, the script alone. */
export function pythonScript(closure: Closure, path: string, origin: string, steered = false): Walk | undefined {
  const found = walk(closure.fs, path)
  if (found.kind !== 'file' && found.kind !== 'dir') return undefined
  const root = projectRoot(closure, found.kind === 'dir' ? found.real : dirname(found.real))
  const links = found.links.some((l) => closure.isWritable(l.path))
  closure.link(found, origin)
  if (root) closure.grant(root, `project of ${origin}`, { steered: steered || links })
  if (!closure.covers(found.real)) closure.grant(path, origin, { steered })
  return found
}

export function projectRoot(closure: Closure, from: string): string | undefined {
  return searchUp(closure, from).find((dir) =>
    PROJECT_FILES.some((name) => kindAt(closure.fs, join(dir, name)) === 'file')
  )
}

/** `python -m name`: Python puts the working directory on its path; only when the module is there is it granted. */
export function pythonModule(closure: Closure, module: string): void {
  const { cwd } = closure.host
  const name = basename(module.split('.')[0] as string)
  const here = [join(cwd, name), join(cwd, `${name}.py`)].some((p) => ['file', 'dir'].includes(kindAt(closure.fs, p)))
  if (here && !isPersonal(closure.host, cwd)) closure.grant(projectRoot(closure, cwd) ?? cwd, `module ${module}`)
}
