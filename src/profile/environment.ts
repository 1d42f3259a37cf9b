import { DEFAULT_PATH } from './command.js'

export const PASSED = /^(?:PATH|HOME|LANG|LC_[A-Z]+|TERM|TZ)$/

/** The payload's whole environment: an allow-list, and what is named. Tokens in the caller's environment stay there. */
export function environment(
  caller: Record<string, string | undefined>,
  named: Record<string, string | true>,
  home: string,
  tempDirectory: string
): [string, string][] {
  const env = new Map<string, string>([['PATH', DEFAULT_PATH]])
  for (const [name, value] of Object.entries(caller)) {
    if (value !== undefined && PASSED.test(name)) env.set(name, value)
  }
  env.set('HOME', home)
  env.set('TMPDIR', tempDirectory)
  for (const [name, value] of Object.entries(named)) {
    const given = value === true ? caller[name] : value
    if (given !== undefined) env.set(name, given)
  }
  return [...env].sort(([a], [b]) => (a < b ? -1 : 1))
}
