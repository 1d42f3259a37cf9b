import type { HostFacts } from '../host/facts.js'
import { Closure, closeCommand, systemBase, systemLibraries } from './closure/index.js'
import { isWithin, walk } from './fs.js'
import type { ExplicitGrants, PlacedRule } from './grants.js'
import type { Host } from './host.js'
import type { Note } from './types.js'

/** The command, as far as its closure goes by it. */
export interface Target {
  file: string
  /** Undefined: there is no command, only a policy to be explained. */
  args?: string[] | undefined
  arch: HostFacts['arch']
}

export interface Closed {
  closure: Closure
  /** Denials that would hide what the command needs to start, from everybody: they hold for nothing then. */
  void: PlacedRule[]
  notes: Note[]
}

/** What the command needs besides what the policy names. */
export function close(host: Host, explicit: ExplicitGrants, target: Target): Closed {
  const sparing = explicit.denied.filter((deny) => deny.sparesCommand)
  if (sparing.length === 0) {
    const closure = new Closure(host, explicit.grants)
    systemBase(closure)
    closeTarget(closure, target)
    return { closure, void: [], notes: [] }
  }
  return closeSparing(host, explicit, target, sparing)
}

function closeTarget(closure: Closure, { file, args, arch }: Target): void {
  if (args) closeCommand(closure, arch, { file, args, offset: 1 })
}

/**
 * A denial of `security:` removes what the system would show, but not what this one command starts with: first it is found
 * without the system around it what that is, then the system is shown as far as no denial needs it gone.
 */
function closeSparing(host: Host, explicit: ExplicitGrants, target: Target, sparing: PlacedRule[]): Closed {
  const alone = new Closure(host, explicit.grants)
  closeTarget(alone, target)
  const needed = [...(target.args ? [walk(host.fs, target.file).real] : []), ...alone.grants.map(({ path }) => path)]
  const holds = (deny: PlacedRule) => needed.some((path) => isWithin(path, deny.walk.real))
  const isDenied = (real: string) => sparing.some((deny) => isWithin(real, deny.walk.real))
  // A folder around such a denial cannot be shown as a whole with a hole that has something in it.
  const isTorn = (real: string) => sparing.some((deny) => isWithin(deny.walk.real, real) && holds(deny))
  let hidden = false
  const isHidden = (real: string): boolean => {
    const hides = isDenied(real) || isTorn(real)
    hidden ||= hides
    return hides
  }
  const closure = new Closure(host, explicit.grants)
  systemBase(closure, isHidden)
  if (hidden) systemLibraries(closure)
  closeTarget(closure, target)
  const shown = closure.grants.map(({ path }) => path)
  const kept = (deny: PlacedRule) =>
    [...new Set([...needed, ...shown])].filter((path) => isWithin(path, deny.walk.real)).sort()
  return {
    closure,
    void: sparing.filter((deny) => kept(deny).length > 0),
    notes: sparing.flatMap((deny) => {
      const paths = kept(deny)
      if (paths.length === 0) return []
      return [
        { text: `${deny.path} is denied but for what the command needs: ${paths.join(', ')}`, origin: deny.origin }
      ]
    })
  }
}

/** Without those that would mask what the command needs. */
export const maskable = (denied: PlacedRule[], { void: none }: Closed): PlacedRule[] =>
  denied.filter((deny) => !none.includes(deny))
