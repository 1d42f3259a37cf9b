import { domainToASCII, domainToUnicode } from 'node:url'

export type Read<T> = { value: T } | { reason: string; hint: string }

export const fault = (reason: string, hint: string): { reason: string; hint: string } => ({ reason, hint })

const MAX_NAME = 253 // RFC 1035, 2.3.4, without the dot at the end
const LABEL = /^[a-z0-9_-]{1,63}$/

/** The last label says that resolvers may take it for an IPv4 address: 127.1, 0x7f.1, 2130706433. */
const NUMERIC = /^(?:\d+|0x[0-9a-f]*)$/

// Letters of these scripts look like Latin ones; no language writes both in one word.
const LATIN = /\p{Script=Latin}/u
const ALIKE = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]/u

/** One spelling for each host name: lower case, ASCII, no dot at the end. Refuses what could be read in two ways. */
export function parseName(written: string): Read<string> {
  const labels = (written.endsWith('.') ? written.slice(0, -1) : written).split('.')
  const ascii: string[] = []
  for (const label of labels) {
    const read = parseLabel(label, written)
    if ('reason' in read) return read
    ascii.push(read.value)
  }
  const value = ascii.join('.')
  if (NUMERIC.test(ascii.at(-1) as string))
    return fault('looks like an IPv4 address, but is none in plain form', 'write four decimal numbers: 192.0.2.1')
  if (value.length > MAX_NAME) return fault(`is longer than ${MAX_NAME} bytes`, 'no such host can exist')
  return { value }
}

function parseLabel(written: string, name: string): Read<string> {
  if (written === '') return emptyLabel(name)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range, all of it
  if (!/^[\x00-\x7f]+$/.test(written)) return unicodeLabel(written)
  const label = written.toLowerCase()
  if (label.length > 63) return fault(`has a label of ${label.length} bytes`, 'a label has at most 63')
  if (!LABEL.test(label)) return badCharacter(written)
  if (label.startsWith('xn--') && domainToASCII(label) !== label)
    return fault(`has the label ${JSON.stringify(written)}, which is no valid punycode`, 'write the name in Unicode')
  return { value: label }
}

function emptyLabel(name: string): Read<never> {
  if (/^\.[^.]/.test(name)) return fault('starts with a dot', `write *${name} for the hosts below it`)
  return fault('has an empty label', 'write the name with single dots')
}

function badCharacter(label: string): Read<never> {
  const character = [...label].find((c) => !/[a-z0-9_-]/i.test(c)) as string
  if (character === '*')
    return fault(
      'has a "*" that does not stand for whole labels in front',
      'write *.example.com, or "*" for every host'
    )
  return fault(`holds ${JSON.stringify(character)}`, 'letters, digits, "-", "_" and dots make a host name')
}

/** What another reader might fold, drop or split (full-width letters, soft hyphens, other dots) must be written out. */
function unicodeLabel(written: string): Read<string> {
  const label = written.normalize('NFC').toLowerCase()
  const ascii = domainToASCII(label)
  if (ascii === '' || !LABEL.test(ascii)) return fault('holds characters that no host name has', 'write it in ASCII')
  if (!ascii.startsWith('xn--') || domainToUnicode(ascii) !== label)
    return fault('is not written in its plain form', `if that is meant, write ${ascii}`)
  if (LATIN.test(label) && ALIKE.test(label))
    return fault('mixes letters that look alike', `if that is meant, write ${ascii}`)
  return { value: ascii }
}
