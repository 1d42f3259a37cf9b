/** Patterns of names as qi-monitor takes them: words of 32 bits, see native/core/path_pattern.h. */
import { codeOf, lower, type Piece, type Segment } from '../policy/glob.js'

const OP = { character: 1, one: 2, star: 3, set: 4, nextName: 5, tree: 6 } as const
const NEGATED = 1 << 23
/** Of a program: each is a place that a set of four words has a bit for. */
export const MAX_WORDS = 255

/** undefined: longer than a program may be. */
export function patternProgram(segments: Segment[]): Uint8Array | undefined {
  const names = [...segments]
  // What lies below a match belongs to it.
  while (names.at(-1)?.kind === 'tree') names.pop()
  const words = names.flatMap((segment, i) => {
    if (segment.kind === 'tree') return [word(OP.tree)]
    return [...segment.pieces.flatMap(pieceWords), ...(i < names.length - 1 ? [word(OP.nextName)] : [])]
  })
  return words.length > MAX_WORDS ? undefined : new Uint8Array(Uint32Array.from(words).buffer)
}

const word = (op: number, operand = 0): number => op * 0x1000000 + operand

function pieceWords(piece: Piece): number[] {
  if (piece.kind === 'text') return [...lower(piece.text)].map((c) => word(OP.character, codeOf(c)))
  if (piece.kind !== 'set') return [word(OP[piece.kind])]
  const { negated, ranges } = piece
  return [word(OP.set, (negated ? NEGATED : 0) + ranges.length), ...ranges.flatMap((range) => range.map(codeOf))]
}
