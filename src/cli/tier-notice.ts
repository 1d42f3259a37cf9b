import type { Profile } from '../profile/types.js'

/** Less of a jail than its name says: told once, with what to do about it. Nothing of any other. */
export function tierNotice({ withoutNamespaces: why }: Profile): [sentences: string[], record: object | undefined] {
  if (why === undefined) return [[], undefined]
  const told = `without namespaces (${why}): Landlock, the filter and qi-monitor hold this jail alone; see qi-jail doctor`
  return [[told], { withoutNamespaces: why }]
}
