import { grouped, type Refused, refusedBy } from '../explain/recorded.js'
import { shellWord } from '../explain/words.js'
import type { Jail } from '../launch/jail.js'

// What a flood of different refusals may cost us; their number is known all the same.
const MAX_KINDS = 256

/** What a jail is refused until it ends, also before anybody could listen: a short one is over by then. */
export async function watchRefusals(jail: Pick<Jail, 'events'>): Promise<Refused[]> {
  const seen = new Map<string, Refused>()
  for await (const event of jail.events()) {
    const refused = refusedBy(event)
    // What permissive let through is another number.
    if (!refused || event.event.outcome !== 'blocked') continue
    const key = `${refused.action} ${refused.what}`
    const known = seen.get(key)
    if (known) known.count += refused.count
    else if (seen.size < MAX_KINDS) seen.set(key, { ...refused })
  }
  return grouped([...seen.values()])
}

/** Not worth a word to a person: runtimes read /sys to size themselves, at every start. */
export const isRoutine = ({ action, what }: Refused): boolean => action === 'file.read' && what.startsWith('/sys/')

/** Singular and plural of what an action is about. */
const KINDS: [action: RegExp, one: string, many: string][] = [
  [/^syscall\./, 'system call', 'system calls'],
  [/^network\./, 'connection', 'connections'],
  [/^dns\./, 'name', 'names'],
  [/^file/, 'file access', 'file accesses']
]

/** `3 calls were refused (2 connections, 1 system call); …`: how many, of which kind, and what explains them. */
export function refusalSentence(total: number, seen: Refused[], audit: string | undefined): string {
  const calls = total === 1 ? '1 call was refused' : `${total} calls were refused`
  const kinds = KINDS.flatMap(([action, one, many]) => {
    const count = seen.filter((each) => action.test(each.action)).reduce((sum, each) => sum + each.count, 0)
    return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`]
  })
  const told = `${calls}${kinds.length > 0 ? ` (${kinds.join(', ')})` : ''}`
  const explains = whatExplains(audit)
  if (explains) return `${told}; ${explains}`
  const [first] = seen
  if (!first) return `${told}; --audit FILE tells which`
  const flag = first.access && first.access !== 'read' ? `--${first.access} ` : ''
  const which = seen.length === 1 ? 'it' : 'the most frequent'
  return `${told}; qi-jail why ${flag}${shellWord(first.what)}, with the same options, explains ${which}`
}

/** What explains all of them, where they are recorded. */
export const whatExplains = (audit: string | undefined): string | undefined =>
  audit === undefined || audit === '-' ? undefined : `qi-jail why --from ${shellWord(audit)} explains them`
