/** Patterns of paths, as people write them. Read as text only: nothing is looked up and no tree is walked. */

/** A piece of one name. */
export type Piece =
  | { kind: 'text'; text: string }
  /** Any run of characters, none too. */
  | { kind: 'star' }
  /** Any one character. */
  | { kind: 'one' }
  | { kind: 'set'; negated: boolean; ranges: [from: string, to: string][] }

/** One name of a path, or any number of names (`**`). */
export type Segment = { kind: 'tree' } | { kind: 'name'; pieces: Piece[] }

export interface PathPattern {
  /** What stands before the first name with a wild card: as written, maybe `~/x`, `./x` or `$CWD`; `/` for `**` in front. */
  base: string
  segments: Segment[]
}

export type ParsedPattern =
  /** `path` and all below it: what a mount and Landlock can express. */
  | { kind: 'subtree'; path: string }
  | { kind: 'pattern'; pattern: PathPattern }
  /** No pattern of ours. */
  | { kind: 'wrong'; reason: string; hint: string }

const wrong = (reason: string, hint: string): ParsedPattern => ({ kind: 'wrong', reason, hint })

const WILD = /[*?[\]\\]/
/** The pattern that means this path and no other. */
export const literally = (path: string): string => path.replace(/[*?[\]\\{}]/g, '\\$&')

// A matcher tries each wild card at each place.
const MAX_TREES = 4
const MAX_STARS = 8

/**
 * `X`, `X/` and `X/**` are the tree X. Otherwise `*` and `?` stand for characters of one name, `[a-z]` and `[!a-z]` for one
 * character, `**` for any number of names; one in front means anywhere. `\` takes the meaning of the character after it.
 */
export function parsePattern(text: string): ParsedPattern {
  const alternatives = /(?<!\\)\{[^{}/]*,[^{}/]*\}/.exec(text)
  if (alternatives) return wrong(`has alternatives in braces, ${alternatives[0]}`, 'write one entry for each')
  if (text.startsWith('!')) return wrong('begins with "!"', 'list it under what it should be: allowed or denied')
  const names = text.split('/')
  while (names.length > 1 && names.at(-1) === '') names.pop()
  const endsInTree = names.length > 1 && names.at(-1) === '**'
  const front = endsInTree ? names.slice(0, -1) : names
  if (!front.some((name) => WILD.test(name))) return { kind: 'subtree', path: front.join('/') || '/' }
  const segments: (Segment | string)[] = names.map(readName)
  const fault = segments.find((segment) => typeof segment === 'string')
  if (typeof fault === 'string') return wrong(fault, 'put a backslash before a character that means itself')
  return withBase(segments as Segment[], endsInTree, text.startsWith('/'))
}

function withBase(segments: Segment[], endsInTree: boolean, isAbsolute: boolean): ParsedPattern {
  const plain = segments.map((segment) => literal(segment))
  const first = plain.indexOf(undefined)
  const path = (names: (string | undefined)[]) => names.join('/') || (isAbsolute ? '/' : '')
  // Only backslashes were wild.
  if (first < 0) return { kind: 'subtree', path: path(plain) }
  if (first === plain.length - 1 && endsInTree) return { kind: 'subtree', path: path(plain.slice(0, -1)) }
  const rest = segments.slice(first)
  const stars = rest.map((s) => (s.kind === 'name' ? s.pieces.filter(({ kind }) => kind === 'star').length : 0))
  if (rest.filter(({ kind }) => kind === 'tree').length > MAX_TREES || Math.max(...stars) > MAX_STARS)
    return wrong('has too many wild cards', 'write it as several simpler ones')
  if (rest.every(({ kind }) => kind === 'tree'))
    return wrong('stands for every path', 'name the folders that are meant')
  const before = path(plain.slice(0, first))
  return {
    kind: 'pattern',
    pattern: { base: before === '' && rest[0]?.kind === 'tree' ? '/' : before || '.', segments: rest }
  }
}

/** The name, where it has no wild card. */
function literal(segment: Segment): string | undefined {
  if (segment.kind === 'tree' || segment.pieces.some(({ kind }) => kind !== 'text')) return undefined
  return segment.pieces.map((piece) => (piece as { text: string }).text).join('')
}

/** One name, or why it is none. */
function readName(name: string): Segment | string {
  if (name === '**') return { kind: 'tree' }
  if (/(?<!\\)\*\*/.test(name))
    return `has ** inside the name ${JSON.stringify(name)}, where it means nothing more than *`
  const pieces: Piece[] = []
  const text = (more: string) => {
    const last = pieces.at(-1)
    if (last?.kind === 'text') last.text += more
    else pieces.push({ kind: 'text', text: more })
  }
  const characters = [...name]
  for (let i = 0; i < characters.length; i++) {
    const c = characters[i] as string
    if (c === '*') pieces.push({ kind: 'star' })
    else if (c === '?') pieces.push({ kind: 'one' })
    else if (c === '[') {
      const end = characters.indexOf(']', i + 2)
      const set = end < 0 ? undefined : readSet(characters.slice(i + 1, end))
      if (!set) return `has a "[" without its set of characters in ${JSON.stringify(name)}`
      pieces.push(set)
      i = end
    } else if (c === '\\' && i + 1 < characters.length) text(characters[++i] as string)
    else if (c === '\\') return `ends a name with a backslash: ${JSON.stringify(name)}`
    else text(c)
  }
  return { kind: 'name', pieces }
}

function readSet(inside: string[]): Piece | undefined {
  const negated = inside[0] === '!' || inside[0] === '^'
  const members = negated ? inside.slice(1) : inside
  const ranges: [string, string][] = []
  for (let i = 0; i < members.length; i++) {
    const from = members[i] as string
    const isRange = members[i + 1] === '-' && i + 2 < members.length
    const to = (isRange ? members[i + 2] : from) as string
    if (codeOf(from) > codeOf(to) || from === '\\') return undefined
    ranges.push([from, to])
    if (isRange) i += 2
  }
  return ranges.length > 0 ? { kind: 'set', negated, ranges } : undefined
}

/**
 * Does a path below the base match? `names`: those after the base. The tree below a match belongs to it. ASCII letters match
 * in either case. qi-monitor decides by the same rules (native/core/path_pattern.h).
 */
export function matches({ segments }: Pick<PathPattern, 'segments'>, names: string[]): boolean {
  // Which segments may come next: each name is looked at once for each of them.
  let open = closure(segments, new Set([0]))
  if (open.has(segments.length)) return true
  for (const name of names) {
    const next = new Set<number>()
    for (const at of open) {
      const segment = segments[at]
      if (segment?.kind === 'tree') next.add(at)
      else if (segment && matchesName(segment.pieces, [...name])) next.add(at + 1)
    }
    open = closure(segments, next)
    if (open.has(segments.length)) return true
  }
  return false
}

/** `**` may stand for no name at all. */
function closure(segments: Segment[], open: Set<number>): Set<number> {
  for (const at of open) if (segments[at]?.kind === 'tree') open.add(at + 1)
  return open
}

function matchesName(written: Piece[], characters: string[]): boolean {
  const pieces = written.flatMap((piece): Piece[] =>
    piece.kind === 'text' ? [...piece.text].map((text) => ({ kind: 'text', text })) : [piece]
  )
  const spread = (set: Set<number>) => {
    for (const at of set) if (pieces[at]?.kind === 'star') set.add(at + 1)
    return set
  }
  let open = spread(new Set([0]))
  for (const c of characters) {
    const next = new Set<number>()
    for (const at of open) {
      const piece = pieces[at]
      if (piece?.kind === 'star') next.add(at)
      else if (piece && isOne(piece, c)) next.add(at + 1)
    }
    open = spread(next)
  }
  return open.has(pieces.length)
}

function isOne(piece: Piece, c: string): boolean {
  if (piece.kind === 'text') return lower(piece.text) === lower(c)
  if (piece.kind !== 'set') return true
  const inRanges = (one: string) =>
    piece.ranges.some(([from, to]) => codeOf(one) >= codeOf(from) && codeOf(one) <= codeOf(to))
  return piece.negated ? !inRanges(c) : inRanges(lower(c)) || inRanges(upper(c))
}

/** Of ASCII letters alone: on some file systems `.ENV` is `.env`. */
export const lower = (text: string): string => text.replace(/[A-Z]/g, (c) => c.toLowerCase())
const upper = (text: string): string => text.replace(/[a-z]/g, (c) => c.toUpperCase())

export const codeOf = (character: string): number => character.codePointAt(0) as number
