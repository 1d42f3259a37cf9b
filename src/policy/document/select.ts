import { basename } from '../../profile/fs.js'
import { formatField } from '../issues.js'
import { widens } from '../narrow.js'
import { DEFAULT_PROFILE, isShipped } from '../profiles.js'
import type { ProfileChains } from './chain.js'
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
const TAKES_VALUE = new Set([
  '-p',
  '--package',
  '-c',
  '--call',
  '-w',
  '--workspace',
  '--prefix',
  '--registry',
  '--cache'
])

/** `@scope/tool` of `npx -y @scope/tool@1.2.3 …`. What -p names may hold any command, so it is no answer. */
export function packageOf(argv: string[]): string | undefined {
  const runner = basename(argv[0] ?? '')
  const verbs = Object.hasOwn(SUBCOMMANDS, runner) ? SUBCOMMANDS[runner] : undefined
  let at = Object.hasOwn(RUNNERS, runner) ? 1 : verbs?.includes(argv[1] ?? '') ? 2 : undefined
  if (at === undefined) return undefined
  for (; at < argv.length; at++) {
    const word = argv[at] as string
    if (/^(?:-p|--package|-c|--call)(?:=|$)/.test(word)) return undefined
    if (TAKES_VALUE.has(word)) at++
    else if (word !== '--' && !word.startsWith('-')) return word.replace(/(?!^)@[^/]*$/, '')
  }
  return undefined
}

/** A project that nobody trusted picks what is picked without it, or a profile of its own over that. */
export function refuseWiderChoice(
  policies: FoundPolicy[],
  level: number,
  chains: ProfileChains,
  request: SelectRequest
): void {
  const below = policies.slice(0, level)
  const named = request.profile
  const flag = named !== undefined && (!isShipped(named) || chains.has(named, level - 1)) ? named : undefined
  const { profile: _named, ...unnamed } = request
  const before = select(below, flag === undefined ? unnamed : request)
  const after = select(policies.slice(0, level + 1), request)
  const layer = { origin: policies[level]?.file as string }
  const refuse = (what: 'profile' | 'tool', origin: string | undefined, value: string, reason: string) =>
    widens({ ...layer, marks: { [what]: origin ?? `--${what}` } }, what, value, reason)
  if (
    after.profile !== before.profile &&
    chains.has(after.profile, level) &&
    !isNarrower(chains, level, before.profile, after.profile)
  )
    throw refuse(
      'profile',
      after.profileOrigin,
      after.profile,
      `does not extend ${before.profile}, the profile without this file`
    )
  if (after.tool === before.tool || after.tool === undefined) return
  const known = below.some(({ document }) =>
    Object.hasOwn(document.policy.security?.tools?.tool_specific ?? {}, after.tool as string)
  )
  if (before.tool !== undefined || known)
    throw refuse(
      'tool',
      after.toolOrigin,
      after.tool,
      `is another tool than without this file (${before.tool ?? 'none'})`
    )
}

/** Its own profile over the one below; or a built-in one that the one below is built on (strict < standard < dev). */
function isNarrower(chains: ProfileChains, level: number, before: string, after: string): boolean {
  const own = chains.of(after, level)
  const base = chains.of(before, level - 1)
  if (chains.isBuiltIn(before, level) && chains.isBuiltIn(after, level))
    return base.builtIn.layers.some(({ origin }) => origin === own.builtIn.layers.at(-1)?.origin)
  const isBelow = base.definitions.every(
    (d, i) => d.name === own.definitions[i]?.name && d.level === own.definitions[i]?.level
  )
  const sameRoot = base.builtIn.layers.at(-1)?.origin === own.builtIn.layers.at(-1)?.origin
  return sameRoot && isBelow && own.definitions.slice(base.definitions.length).every((d) => d.level === level)
}
