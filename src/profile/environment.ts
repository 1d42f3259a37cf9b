import { DEFAULT_PATH } from './command.js'

const ALWAYS = ['PATH', 'LANG', 'TERM', 'TZ']
/** native/cache/entry.cc knows the pattern in it, too. */
export const PASSED = /^(?:PATH|HOME|LANG|LC_[A-Z]+|TERM|TZ)$/

/**
 * The payload's whole environment: an allow-list, and what is named. Tokens in the caller's environment stay there. `handOn` is
 * told of which of the caller's it is made.
 */
export function environment(
  caller: Record<string, string | undefined>,
  named: Record<string, string | true>,
  home: string,
  tempDirectory: string,
  handOn: (name: string) => void = () => {}
): [string, string][] {
  const env = new Map<string, string>([['PATH', DEFAULT_PATH]])
  const asked = new Set(ALWAYS)
  for (const [name, value] of Object.entries(caller)) {
    // HOME is ours to say, below.
    if (value === undefined || !PASSED.test(name)) continue
    if (name !== 'HOME') asked.add(name)
    env.set(name, value)
  }
  env.set('HOME', home)
  env.set('TMPDIR', tempDirectory)
  for (const [name, value] of Object.entries(named)) {
    if (value === true) asked.add(name)
    else asked.delete(name)
    const given = value === true ? caller[name] : value
    if (given !== undefined) env.set(name, given)
  }
  for (const name of asked) handOn(name)
  return [...env].sort(([a], [b]) => (a < b ? -1 : 1))
}
