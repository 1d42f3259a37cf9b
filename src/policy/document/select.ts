import { basename } from '../../profile/fs.js'
import { formatField } from '../issues.js'
import { DEFAULT_PROFILE } from '../profiles.js'
import type { FoundPolicy } from './find.js'
import { serverEntries } from './parse.js'
import type { ServerEntry } from './schema.js'

export interface SelectRequest {
  /** --profile */
  profile?: string | undefined
  /** --tool */
  tool?: string | undefined
  /** --server: what the MCP client calls it. */
  server?: string | undefined
  argv: string[]
}

/** Which profile and which tool, and who said so (`file:line:col: servers.x.profile`; undefined: a flag or nobody). */
export interface Selection {
  profile: string
  profileOrigin?: string
  tool?: string
  toolOrigin?: string
  /** An entry of `servers:` matched. */
  matched: boolean
}

/** Flags, else the last file with a matching server, else the last file with a default. */
export function select(policies: FoundPolicy[], request: SelectRequest): Selection {
  const picked: Record<'profile' | 'tool', { value: string; origin: string } | undefined> = {
    profile: undefined,
    tool: undefined
  }
  const pick = (
    what: 'profile' | 'tool',
    value: string | undefined,
    { document: { source } }: FoundPolicy,
    path: (string | number)[]
  ) => {
    if (value !== undefined) picked[what] = { value, origin: `${source.at(path)}: ${formatField(path)}` }
  }
  for (const policy of policies) {
    const { default: profile, tool } = policy.document.policy.sandbox ?? {}
    pick('profile', profile, policy, ['sandbox', 'default'])
    pick('tool', tool, policy, ['sandbox', 'tool'])
  }
  let matched = false
  for (const policy of policies) {
    const found = serverEntries(policy.document).find(({ entry }) => isServer(entry, request))
    if (!found) continue
    matched = true
    pick('profile', found.entry.profile, policy, [...found.path, 'profile'])
    pick('tool', found.entry.tool, policy, [...found.path, 'tool'])
  }
  const { profile, tool } = picked
  return {
    matched,
    ...(request.profile === undefined
      ? { profile: profile?.value ?? DEFAULT_PROFILE, ...(profile ? { profileOrigin: profile.origin } : {}) }
      : { profile: request.profile }),
    ...(request.tool === undefined ? tool && { tool: tool.value, toolOrigin: tool.origin } : { tool: request.tool })
  }
}

/** A name must be that of --server, and what is said of the command must hold as well. */
function isServer({ name, command, package: npm }: ServerEntry, { server, argv }: SelectRequest): boolean {
  if (server !== undefined && name !== undefined && name !== server) return false
  if (command !== undefined && !startsWith(argv, Array.isArray(command) ? command : command.trim().split(/\s+/)))
    return false
  if (npm !== undefined && packageOf(argv) !== npm) return false
  // Without --server only what is said of the command can hold.
  return command !== undefined || npm !== undefined || (server !== undefined && name === server)
}

function startsWith(argv: string[], words: string[]): boolean {
  return words.every((word, i) => {
    const given = argv[i]
    return given === word || (i === 0 && given !== undefined && !word.includes('/') && basename(given) === word)
  })
}

const RUNNERS: Record<string, number> = { npx: 1, bunx: 1, pnpx: 1 }
const SUBCOMMANDS: Record<string, string[]> = { npm: ['exec', 'x'], pnpm: ['dlx', 'exec'], yarn: ['dlx'], bun: ['x'] }
// Of other flags it is not known whether the next word is their value.
const ALONE = new Set([
  '-y',
  '--yes',
  '-q',
  '--quiet',
  '--silent',
  '-s',
  '--bun',
  '--prefer-offline',
  '--prefer-online',
  '--offline'
])
const TAKES_VALUE = new Set(['-w', '--workspace', '--prefix', '--registry', '--cache'])
// A package, at most with a version, range or tag: aliases, addresses, folders and archives are other packages by its name.
const SPEC = /^(?!.*\.(?:tgz|tar|tar\.gz)$)((?:@[\w.~-]+\/)?[\w~-][\w.~-]*)(?:@(?!\.)[\w.~^<>=*+ |-]*)?$/i

/** `@scope/tool` of `npx -y @scope/tool@1.2.3 …`. What -p names may hold any command: no answer. */
export function packageOf(argv: string[]): string | undefined {
  const runner = basename(argv[0] ?? '')
  const verbs = Object.hasOwn(SUBCOMMANDS, runner) ? SUBCOMMANDS[runner] : undefined
  let at = Object.hasOwn(RUNNERS, runner) ? 1 : verbs?.includes(argv[1] ?? '') ? 2 : undefined
  if (at === undefined) return undefined
  for (; at < argv.length; at++) {
    const word = argv[at] as string
    if (word === '--') return SPEC.exec(argv[at + 1] ?? '')?.[1]
    if (!word.startsWith('-')) return SPEC.exec(word)?.[1]
    if (TAKES_VALUE.has(word)) at++
    else if (!ALONE.has(word) && !TAKES_VALUE.has(word.replace(/=.*/s, ''))) return undefined
  }
  return undefined
}
