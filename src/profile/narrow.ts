import type { PathLimit } from '../policy/merge.js'
import { widens } from '../policy/narrow.js'
import { grantOf, override, type PlacedRule } from './grants.js'

const LEVEL = { none: 0, ro: 1, rw: 2 } as const

/**
 * Narrowing layers applied to what the layers below them grant: of a list that such a layer has, only what it names stays,
 * and it can name only what is granted already. Judged by canonical paths: a link in a project opens nothing.
 * @throws QiError QI_POLICY_WIDENS
 */
export function narrowPaths(placed: PlacedRule[], limits: PathLimit[]): PlacedRule[] {
  return limits.reduce(narrow, placed)
}

function narrow(placed: PlacedRule[], { layer, origin, lists }: PathLimit): PlacedRule[] {
  const isGrant = (rule: PlacedRule) => rule.access !== 'deny'
  const below = override(placed.filter((rule) => isGrant(rule) && rule.layer < layer))
  const own = override(placed.filter((rule) => isGrant(rule) && rule.layer === layer))
  for (const rule of own) {
    if (levelIn(below, rule) >= LEVEL[rule.access as 'ro' | 'rw']) continue
    const reason = rule.access === 'rw' ? 'is not writable without this file' : 'is not readable without this file'
    const field = rule.origin
    throw widens({ origin, marks: { [field]: rule.origin } }, field, rule.path, reason)
  }
  // A list that it does not have stays as it is.
  const wanted = override([...below.filter((rule) => !lists.includes(rule.access as 'ro' | 'rw')), ...own])
  const kept = override([...below, ...own]).flatMap((rule): PlacedRule[] => {
    const level = Math.min(levelIn(below, rule), levelIn(wanted, rule))
    if (level === LEVEL.none) return []
    return [{ ...rule, access: level === LEVEL.rw ? 'rw' : 'ro' }]
  })
  return [...kept, ...placed.filter((rule) => !isGrant(rule) || rule.layer > layer)]
}

/** What `rules` grant at the place of `at`. */
function levelIn(rules: PlacedRule[], at: PlacedRule): number {
  const grants = rules.map((rule) => ({ path: rule.walk.real, access: rule.access as 'ro' | 'rw' }))
  const innermost = grantOf(grants, at.walk.real)
  return innermost ? LEVEL[innermost.access] : LEVEL.none
}
