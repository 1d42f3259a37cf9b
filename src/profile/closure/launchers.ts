import { createHash } from 'node:crypto'
import { ancestors, join, kindAt, readText } from '../fs.js'
import type { Closure } from './closure.js'
import { nodeScript, packageRoot } from './node.js'
import { projectRoot } from './python.js'

interface Tools {
  /** Closes over another command: its name or path, its arguments, their index in these arguments. */
  nested(command: string, rest: string[], at: number): void
  /** Starts that command in the place of this one; the arguments from `at` on are its own. */
  instead(command: string, at: number): void
  /** Absolute form of a path argument. */
  pathArgument(index: number): string
  script(path: string, interpreter: string): boolean
}

type Launcher = (closure: Closure, args: string[], tools: Tools) => void

/** Programs that start a package by name. What they have already downloaded is readable; nothing is writable. */
export const launchers: Record<string, Launcher> = {
  npx: (closure, args, tools) => npx(closure, args, 0, tools),
  npm: (closure, args, tools) => {
    const verb = args.findIndex((a) => !a.startsWith('-'))
    if (['exec', 'x'].includes(args[verb] ?? '')) npx(closure, args, verb + 1, tools)
    else project(closure)
  },
  pnpm: (closure) => project(closure),
  yarn: (closure) => project(closure),
  bunx: (closure) => fromHome(closure, ['.bun/install/cache'], 'bunx'),
  uvx: (closure) => fromHome(closure, UV, 'uv'),
  uv,
  pipx: (closure) => fromHome(closure, ['.local/share/pipx', '.local/pipx'], 'pipx')
}

const UV = ['.cache/uv', '.local/share/uv']

function fromHome(closure: Closure, names: string[], origin: string): void {
  for (const name of names) closure.grant(join(closure.host.home, name), `${origin} packages`, { optional: true })
}

/** The package whose folder the jail starts in (`npm start`). */
function project(closure: Closure): void {
  const root = packageRoot(closure, closure.host.cwd)
  if (root) nodeScript(closure, root, 'project')
}

function npx(closure: Closure, args: string[], from: number, tools: Tools): void {
  fromHome(closure, ['.npm/_npx', '.npm/_cacache'], 'npx')
  const at = positional(args, from, ['-p', '--package', '-c', '--call', '-w', '--workspace', '--prefix'])
  if (at === undefined) return
  const name = packageName(args[at] as string)
  const bin = join('node_modules/.bin', name.split('/').at(-1) as string)
  const has = (dir: string, path: string) => kindAt(closure.fs, join(dir, path)) !== 'missing'
  const dirs = ancestors(closure.host.cwd)
  const dir = dirs.find((d) => has(d, bin) || has(d, `node_modules/${name}`))
  if (dir === undefined) {
    const file = fromCache(closure, args[at] as string)
    if (file !== undefined) tools.instead(file, at + 1)
    return
  }
  // npx reads the project's package.json to find out that the package is there.
  project(closure)
  if (has(dir, bin)) tools.nested(join(dir, bin), args.slice(at + 1), at + 1)
  else nodeScript(closure, join(dir, 'node_modules', name), 'npx package')
}

/**
 * The program that npx has downloaded for `spec`: in a folder that is named by a hash of what was asked for (libnpmexec). It
 * is started without npx, which would write into its cache and ask the registry, and the jail lets it do neither.
 */
function fromCache({ fs, host }: Closure, spec: string): string | undefined {
  const hash = createHash('sha512').update(spec).digest('hex').slice(0, 16)
  const modules = join(host.home, '.npm/_npx', hash, 'node_modules')
  const name = packageName(spec)
  const programs = programsOf(readText(fs, join(modules, name, 'package.json'), 1 << 18))
  const short = name.split('/').at(-1) as string
  const program = programs.length === 1 ? programs[0] : programs.find((one) => one === short)
  const file = program === undefined ? undefined : join(modules, '.bin', program)
  return file !== undefined && kindAt(fs, file) === 'file' ? file : undefined
}

/** Names of a package's commands; a text for `bin` means one of the package's own name. */
function programsOf(text = ''): string[] {
  try {
    const { name, bin } = JSON.parse(text)
    const names = typeof bin === 'string' ? [String(name).split('/').at(-1) as string] : Object.keys(bin ?? {})
    return names.filter((one) => /^[^./][^/\0]*$/.test(one))
  } catch {
    return []
  }
}

/** `@scope/tool@1.2.3` -> `@scope/tool` */
const packageName = (spec: string): string => spec.replace(/(?!^)@[^/]*$/, '')

function uv(closure: Closure, args: string[], tools: Tools): void {
  fromHome(closure, UV, 'uv')
  const values = ['--directory', '--project', '--python', '-p', '--with', '--extra', '--group', '--cache-dir']
  for (const flag of ['--directory', '--project']) {
    const at = args.indexOf(flag)
    if (at >= 0 && at + 1 < args.length) uvProject(closure, tools.pathArgument(at + 1))
  }
  const verb = positional(args, 0, values)
  if (verb === undefined || args[verb] !== 'run') return
  const command = positional(args, verb + 1, values)
  if (!args.includes('--directory')) uvProject(closure, closure.host.cwd)
  if (command !== undefined && (args[command] as string).endsWith('.py') && !args.includes('--directory')) {
    tools.script(tools.pathArgument(command), 'python')
  }
}

function uvProject(closure: Closure, dir: string): void {
  const root = projectRoot(closure, dir)
  if (root) closure.grant(root, 'uv project')
}

/** Index of the first argument that is neither a flag nor a flag's value. */
function positional(args: string[], from: number, valueFlags: string[]): number | undefined {
  for (let i = from; i < args.length; i++) {
    const arg = args[i] as string
    if (arg === '--') return i + 1 < args.length ? i + 1 : undefined
    if (valueFlags.includes(arg)) i++
    else if (!arg.startsWith('-')) return i
  }
  return undefined
}
