import { realpathSync } from 'node:fs'
import { basename, delimiter, isAbsolute, join } from 'node:path'
import { parseArguments, type RunOptions } from '../cli/options.js'
import { VERBS } from '../cli/verbs.js'
import { QiError } from '../errors.js'
import { nodeOfPrefix } from '../host/prefix.js'
import { entryPath } from '../launch/locate.js'
import { isShipped, PACKAGE_DIR } from '../policy/profiles.js'
import { DEFAULT_PATH } from '../profile/command.js'
import { argsOf, commandOf, type Parts } from './document.js'
import type { Place } from './places.js'

/** How a configuration starts qi-jail: the first words, before our own options. */
export type Launcher = [command: string, ...args: string[]]

const OWN = join(PACKAGE_DIR, 'bin/qi-jail')

/**
 * `byPath`: a bare name where whoever starts the client finds us by it, or our program's path where it finds this node, since only
 * the command itself starts from kept plans. A desktop's PATH is the system's, and a file that comes with a repository means the
 * reader's own. `full`: node and our script by their paths, which need no PATH at all.
 */
export function launcherFor(
  place: Place,
  env: Record<string, string | undefined>
): { byPath?: Launcher; full: Launcher } {
  const own = realpathSync(OWN)
  // npx empties its cache as it likes, and starts what a registry serves by then.
  if (own.includes('/_npx/')) {
    throw new QiError('QI_CLIENT', `qi-jail runs from the cache of npx (${own}), which does not last`, {
      path: own,
      hint: 'install it first: npm install --global qi-jail'
    })
  }
  const full: Launcher = [process.execPath, own]
  const path = place.scope === 'project' ? (env.PATH ?? DEFAULT_PATH) : DEFAULT_PATH
  if (realOf('qi-jail', path) === own) return { byPath: ['qi-jail'], full }
  const node = realOf(nodeOfPrefix(realpathSync(PACKAGE_DIR)) ?? 'node', path) ?? realOf('node', path)
  return node === realpathSync(process.execPath) ? { byPath: [entryPath() ?? own], full } : { full }
}

function realOf(command: string, path: string): string | undefined {
  const candidates = isAbsolute(command)
    ? [command]
    : path.split(delimiter).flatMap((folder) => (isAbsolute(folder) ? [join(folder, command)] : []))
  for (const file of candidates) {
    try {
      return realpathSync(file)
    } catch {
      // the next folder
    }
  }
  return undefined
}

/** A server that is started by way of qi-jail. */
export interface Wrapped {
  /** Words of `args` before the inner command. */
  head: number
  /** Index in `args` of `--profile` or `--profile=NAME`. */
  profileAt?: number
  profile?: string
  /** Index in `args` of our first option. */
  optionsAt: number
  /** Variables that are passed on. */
  env: string[]
  /** Options that give more than the profile, as they are typed. */
  given: string[]
  /** Its args were an empty list, not left out. */
  hadArgs: boolean
  /** Another program than this qi-jail, which may be anything. */
  foreign?: string
}

/** By our own reading of the command line: what we would run is what was wrapped. */
export function wrappedForm(parts: Parts): Wrapped | undefined {
  const [command, args] = [commandOf(parts), argsOf(parts)]
  const byNode = /^node[0-9.]*$/.test(basename(command)) && basename(args[0] ?? '') === 'qi-jail'
  if (!byNode && basename(command) !== 'qi-jail') return undefined
  const first = byNode ? 1 : 0
  const words = args.slice(first)
  if (Object.hasOwn(VERBS, words[0] ?? '')) return undefined
  const { options, command: inner, fault, answer } = parseArguments(words)
  if (fault || answer !== undefined) return undefined
  const head = args.length - inner.length
  const optionsAt = words[0] === 'run' ? first + 1 : first
  const profileAt = args.slice(0, head).findLastIndex((word, at) => at >= optionsAt && /^--profile(?:=|$)/.test(word))
  const foreign = foreignOf(byNode ? [command, args[0] as string] : [command])
  return {
    head,
    optionsAt,
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(profileAt < 0 ? {} : { profileAt }),
    env: options.env,
    given: givenBy(options),
    hadArgs: words[0] === 'run',
    ...(foreign === undefined ? {} : { foreign })
  }
}

function givenBy(options: RunOptions): string[] {
  const each = (flag: string, values: string[]) => values.map((value) => `${flag} ${value}`)
  const { policy, permissive, cgroup, tolerate, protection, profile } = options
  return [
    ...(typeof policy === 'string' ? [`--policy ${policy}`] : policy === false ? ['--no-policy'] : []),
    ...(permissive ? ['--permissive'] : []),
    ...(profile !== undefined && !isShipped(profile) ? [`--profile ${profile}`] : []),
    ...each('--ro', options.ro),
    ...each('--rw', options.rw),
    ...each('--net', options.net),
    ...each('--udp', options.udp),
    ...each('--allow-loopback', options.allowLoopback),
    ...each('--allow-unix-socket', options.allowUnixSocket),
    ...each('--publish', options.publish),
    ...each('--tolerate', tolerate),
    ...each(
      '--protection',
      protection.filter((one) => !one.endsWith('=require'))
    ),
    ...(cgroup === false ? ['--no-cgroup'] : [])
  ]
}

/** The word of the launcher that leads to something else than this qi-jail and the node that runs it. */
function foreignOf(words: string[]): string | undefined {
  const same = (word: string, own: string) => isAbsolute(word) && realOf(word, '') === realpathSync(own)
  const script = words.at(-1) as string
  if (words.length > 1 && !same(words[0] as string, process.execPath)) return words[0]
  const isOurs = same(script, OWN) || (words.length === 1 && (script === 'qi-jail' || same(script, entryPath() ?? OWN)))
  return isOurs ? undefined : script
}

// What the dynamic linker, the C library, shells, Node and OpenSSL obey before our first line, and what qi-jail itself reads. A
// client gives a server's variables to whatever the command is: with these, a configuration would act outside the jail.
const STEERING =
  /^(?:BASH.*|SHELLOPTS|FPATH|LD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|MALLOC_.*|UV_.*|OPENSSL_.*|SSL_.*_ENGINE|HOME|XDG_.*|DBUS_.*|QI_.*|NODE_(?!(?:ENV|EXTRA_CA_CERTS|NO_WARNINGS|TLS_REJECT_UNAUTHORIZED)$).*)$/

/** `byPath`: the command, or its node, is looked up in PATH, which a client takes from the same variables. */
export const steering = (env: string[], byPath: boolean): string | undefined =>
  env.find((name) => STEERING.test(name) || (byPath && name === 'PATH'))
