/** What of a command line nobody is to be shown: clients keep tokens among the arguments, too. */

const MASK = '…'

/** Of an option, a variable or a header, by its name. */
const NAME =
  /(?:^|[-_.])(?:tokens?|secrets?|passw(?:or)?d|passphrase|pwd|pat|auth(?:orization)?|bearer|credentials?|cookie|(?:api|access|private|signing)[-_]?keys?|key)$/i
// Values that are known by their beginning, wherever they stand.
const VALUE = /^(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[a-z]-|AKIA|AIza|npm_|eyJ[\w-]+\.)\S{8,}/
/** `https://user:password@host`, and a query that has a token. */
const USER = /^([a-z][a-z0-9+.-]*:\/\/[^/?#\s:@]*):[^/?#\s]*@/i
const QUERY = /([?&;])([^=&;#\s]+)=([^&;#\s]+)/g
const HEADER = /^\s*([\w-]+)\s*:\s*\S/
const ASSIGNED = /^(-{0,2}[\w.-]+)=(.+)$/s

/** The words with what looks like a secret masked. */
export const maskWords = (words: string[]): string[] =>
  words.map((word, i) => (isNamed(words[i - 1]) && !word.startsWith('-') ? MASK : maskWord(word)))

const isNamed = (option: string | undefined): boolean => /^--?[a-z]/i.test(option ?? '') && NAME.test(option ?? '')

function maskWord(word: string): string {
  const [, name, value] = ASSIGNED.exec(word) ?? []
  if (name === undefined || value === undefined) return maskValue(word)
  return `${name}=${NAME.test(name) ? MASK : maskValue(value)}`
}

function maskValue(word: string): string {
  const header = HEADER.exec(word)?.[1]
  if (header !== undefined && NAME.test(header)) return `${header}: ${MASK}`
  if (VALUE.test(word)) return MASK
  return word
    .replace(USER, `$1:${MASK}@`)
    .replace(QUERY, (all, sign, key) => (NAME.test(key) ? `${sign}${key}=${MASK}` : all))
}
