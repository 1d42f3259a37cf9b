/** How each interpreter's command line is read: only far enough to find the script and what is loaded before it. */
export interface Interpreter {
  family: 'node' | 'python' | 'other'
  /** Flags whose value is the next argument. */
  valueFlags: string[]
  /** Flags after which there is no script: the code is in the argument. */
  codeFlags: string[]
  /** Flags whose value is a module to load before the script. */
  preloadFlags?: string[]
  /** The script is the value of this flag (java -jar). */
  scriptFlag?: string
  /** The value of this flag names a module that is looked up in the working directory (python -m). */
  moduleFlag?: string
  /** Words before the script (deno run, tsx watch). */
  subcommands?: string[]
}

const NODE: Interpreter = {
  family: 'node',
  valueFlags: [
    '-C',
    '--conditions',
    '--disable-warning',
    '--env-file',
    '--env-file-if-exists',
    '--icu-data-dir',
    '--input-type',
    '--openssl-config',
    '--title',
    '--trace-event-categories',
    '--watch-path',
    '--tsconfig',
    '--project',
    '-P'
  ],
  codeFlags: [
    '-e',
    '--eval',
    '-p',
    '--print',
    '-pe',
    '-i',
    '--interactive',
    '-v',
    '--version',
    '-h',
    '--help',
    '--run'
  ],
  preloadFlags: ['-r', '--require', '--import', '--loader', '--experimental-loader', '--preload']
}

const SHELL: Interpreter = {
  family: 'other',
  valueFlags: ['-o', '-O', '--rcfile', '--init-file'],
  codeFlags: ['-c', '-lc', '-ic', '-ec', '-s']
}

const TABLE: Record<string, Interpreter> = {
  node: NODE,
  nodejs: NODE,
  tsx: { ...NODE, subcommands: ['watch'] },
  'ts-node': NODE,
  bun: { ...NODE, subcommands: ['run'] },
  deno: {
    family: 'node',
    valueFlags: ['-c', '--config', '--import-map', '-L', '--log-level', '--lock', '--cert', '--location', '--seed'],
    codeFlags: ['eval', 'repl', 'install', 'task', '--version'],
    preloadFlags: ['--preload'],
    subcommands: ['run']
  },
  python: {
    family: 'python',
    valueFlags: ['-W', '-X', '--check-hash-based-pycs'],
    codeFlags: ['-c', '-V', '--version', '-h'],
    moduleFlag: '-m'
  },
  ruby: { family: 'other', valueFlags: ['-I', '-r', '-C', '-E'], codeFlags: ['-e', '-v', '--version'] },
  perl: { family: 'other', valueFlags: ['-I'], codeFlags: ['-e', '-E', '-v'] },
  bash: SHELL,
  sh: SHELL,
  dash: SHELL,
  ash: SHELL,
  zsh: SHELL,
  java: {
    family: 'other',
    valueFlags: [
      '-cp',
      '-classpath',
      '--class-path',
      '-p',
      '--module-path',
      '--add-modules',
      '--add-opens',
      '--add-exports'
    ],
    codeFlags: ['-version', '--version'],
    scriptFlag: '-jar'
  }
}

/** `/usr/bin/python3.11` -> python */
export function interpreterName(file: string): string {
  return file
    .slice(file.lastIndexOf('/') + 1)
    .replace(/^(python|pypy|ruby|perl|node|java)[0-9.]*t?$/, (_, n: string) => (n === 'pypy' ? 'python' : n))
}

export const interpreterFor = (file: string): Interpreter | undefined =>
  Object.hasOwn(TABLE, interpreterName(file)) ? TABLE[interpreterName(file)] : undefined

export interface CommandLine {
  /** Index in `args` of the script. */
  script?: number
  /** Index of the argument that holds a preloaded module, and the module's name. */
  preloads: { index: number; value: string }[]
  module?: string
}

export function readCommandLine(interpreter: Interpreter, args: string[]): CommandLine {
  const out: CommandLine = { preloads: [] }
  let words = interpreter.subcommands ?? []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    const [flag, inline] = splitFlag(arg)
    if (arg === '-' || interpreter.codeFlags.includes(flag)) return out
    if (arg === '--') return i + 1 < args.length ? { ...out, script: i + 1 } : out
    if (interpreter.preloadFlags?.includes(flag)) {
      const index = inline === undefined ? ++i : i
      out.preloads.push({ index, value: inline ?? args[i] ?? '' })
    } else if (flag === interpreter.scriptFlag) {
      return i + 1 < args.length ? { ...out, script: i + 1 } : out
    } else if (interpreter.moduleFlag && arg.startsWith(interpreter.moduleFlag)) {
      const module = arg.slice(interpreter.moduleFlag.length) || args[i + 1]
      return module ? { ...out, module } : out
    } else if (arg.startsWith('-')) {
      // Bundled short flags of Python and Perl may end in the one that carries code: -uc, -ne.
      if (/^-[A-Za-z]+[ceE]$/.test(arg) && interpreter.codeFlags.includes(`-${arg.at(-1)}`)) return out
      if (inline === undefined && interpreter.valueFlags.includes(flag)) i++
    } else if (words.includes(arg)) {
      words = []
    } else {
      // java Main: a class name, not a file.
      return interpreter.scriptFlag ? out : { ...out, script: i }
    }
  }
  return out
}

function splitFlag(arg: string): [flag: string, inline?: string] {
  const at = arg.startsWith('--') ? arg.indexOf('=') : -1
  return at < 0 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)]
}
