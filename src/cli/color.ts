/** Colours for a person at a terminal: no-color.org, and FORCE_COLOR as Node reads it. Not util.styleText: Node 20.12. */

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1, dim: 2 } as const
export type Color = keyof typeof CODES

type Stream = { isTTY?: boolean }

/** NO_COLOR is stronger than FORCE_COLOR, and both than what is at the other end. */
export function wantsColor(stream: Stream, env: Record<string, string | undefined> = process.env): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return stream.isTTY === true && env.TERM !== 'dumb'
}

export type Paint = (color: Color, text: string) => string

const plain: Paint = (_, text) => text

export const painter = (stream: Stream = process.stdout, env = process.env): Paint =>
  wantsColor(stream, env) ? (color, text) => `\x1b[${CODES[color]}m${text}\x1b[0m` : plain

const MEANING: Record<string, Color> = {
  allowed: 'green',
  enforced: 'green',
  works: 'green',
  depends: 'yellow',
  degraded: 'yellow',
  off: 'yellow',
  refused: 'red',
  REFUSED: 'red',
  fails: 'red'
}

/** One of our own words for a state, in the colour of what it means. */
export function colored(paint: Paint, word: string): string {
  const color = MEANING[word.trim().split(/[ :(]/)[0] ?? '']
  return color ? paint(color, word) : word
}
