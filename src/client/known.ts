import { basename, dirname } from 'node:path'
import { argsOf, commandOf, type Parts } from './document.js'

// Package, module or program -> profiles/servers/NAME.yaml.
const KNOWN: [RegExp, string][] = [
  [/^(?:@modelcontextprotocol\/server-|mcp-server-)(filesystem|memory|everything|sequential-thinking)$/, ''],
  [/^(?:@modelcontextprotocol\/server-|mcp-server-)(github|brave-search|slack|postgres|puppeteer)$/, ''],
  [/^mcp[-_]server[-_](fetch|git|time|sqlite)$/, ''],
  [/^mcp-server-sqlite-npx$/, 'sqlite'],
  [/^@playwright\/mcp$|^mcp-server-playwright$|^playwright-mcp$/, 'playwright'],
  [/^@brave\/brave-search-mcp-server$/, 'brave-search']
]

/** Their server runs where the container engine's daemon puts it: a jail around the client of the daemon jails nothing. */
const ENGINES = ['docker', 'podman', 'nerdctl', 'finch']

export type Known = { profile: string; grants: string[] } | { engine: string }

/** What is started, as far as the words tell. */
export function recognise(parts: Parts): Known {
  const command = basename(commandOf(parts))
  if (ENGINES.includes(command)) return { engine: command }
  const { name, rest } = startedBy(command, argsOf(parts))
  for (const [pattern, profile] of KNOWN) {
    const server = profile || pattern.exec(name)?.[1]
    if (server && pattern.test(name)) return { profile: `servers/${server}`, grants: grantsOf(server, rest) }
  }
  return { profile: 'strict', grants: [] }
}

/** Options that give a server what its own arguments tell it to work on. No profile can know these. */
function grantsOf(server: string, args: string[]): string[] {
  const given = (...flags: string[]) => args.filter((_, i) => flags.includes(args[i - 1] ?? ''))
  const positional = args.filter((arg) => !arg.startsWith('-'))
  const paths = {
    filesystem: () => positional,
    git: () => given('--repository', '-r'),
    // The folder: SQLite makes its journal beside the file.
    sqlite: () => (args.includes('--db-path') ? given('--db-path') : positional.slice(0, 1)).map(dirname)
  }[server]
  // A "?" at the end would mean "if it exists" to us.
  const granted = [...new Set(paths?.() ?? [])].filter((path) => /^[^-]/.test(path) && !path.endsWith('?'))
  const host = server === 'postgres' ? remoteHost(positional[0] ?? '') : undefined
  return [...granted.flatMap((path) => ['--rw', path]), ...(host === undefined ? [] : ['--net', host])]
}

/** `postgresql://user:password@db.example.com/name` -> `db.example.com:5432`; undefined for this host's own. */
function remoteHost(url: string): string | undefined {
  const { hostname = '', port } = /^postgres(?:ql)?:\/\//.test(url) && URL.canParse(url) ? new URL(url) : {}
  if (!/^[a-z0-9.-]*[a-z][a-z0-9.-]*$/i.test(hostname) || hostname === 'localhost') return undefined
  return `${hostname}:${port || 5432}`
}

/** Words before the package, and flags that take a value: others, and those that name the package. */
interface Starter {
  words: string[]
  values: string[]
  names: string[]
}

const STARTERS: Record<string, Starter> = {
  npx: { words: [], values: ['--prefix', '--registry', '-w', '--workspace'], names: ['-p', '--package'] },
  bunx: { words: [], values: [], names: ['-p', '--package'] },
  npm: { words: ['exec', 'x'], values: ['--prefix', '--registry'], names: ['-p', '--package'] },
  pnpm: { words: ['dlx', 'exec'], values: ['--dir', '-C'], names: ['--package'] },
  yarn: { words: ['dlx'], values: [], names: ['-p', '--package'] },
  uvx: { words: [], values: ['--python', '-p', '--with', '--index', '--cache-dir'], names: ['--from'] },
  uv: {
    words: ['tool', 'run'],
    values: ['--directory', '--project', '--python', '-p', '--with', '--index', '--cache-dir'],
    names: ['--from']
  },
  pipx: { words: ['run'], values: ['--python', '--index-url'], names: ['--spec'] }
}

function startedBy(command: string, args: string[]): { name: string; rest: string[] } {
  if (Object.hasOwn(STARTERS, command)) return byStarter(STARTERS[command] as Starter, args)
  const module = args.indexOf('-m') + 1
  if (/^python[0-9.]*$/.test(command) && module > 0) return { name: args[module] ?? '', rest: args.slice(module + 1) }
  if (/^(?:node|bun|deno|tsx)[0-9.]*$/.test(command)) {
    const at = args.findIndex((arg) => !arg.startsWith('-') && arg !== 'run')
    const script = args[at] ?? ''
    const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(script)?.[1] ?? basename(script)
    return { name, rest: args.slice(at + 1) }
  }
  return { name: command, rest: args }
}

function byStarter({ words, values, names }: Starter, args: string[]): { name: string; rest: string[] } {
  let skipped = words
  let named: string | undefined
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    const [flag = '', inline] = arg.split('=', 2)
    if (names.includes(flag)) named = inline ?? args[++i] ?? ''
    else if (values.includes(flag) && inline === undefined) i++
    else if (skipped.includes(arg)) skipped = skipped.filter((word) => word !== arg)
    else if (!arg.startsWith('-')) return { name: plain(named ?? arg), rest: args.slice(i + 1) }
  }
  return { name: plain(named ?? ''), rest: [] }
}

/** `@scope/tool@1.2.3`, `tool[extra]==1.2` -> the name */
const plain = (spec: string): string => spec.replace(/(?!^)@[^/]*$/, '').replace(/[[=<>~!].*$/, '')
