import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_WORDS, patternProgram } from '../../src/plan/pattern.js'
import { matches, type PathPattern, parsePattern } from '../../src/policy/glob.js'

const TOOL = fileURLToPath(new URL('../../build/Release/test-tools/match_path', import.meta.url))
const hex = (bytes: Uint8Array | string) => Buffer.from(bytes as string).toString('hex')

/** What qi-monitor's matcher says of each. */
function native(pairs: [pattern: PathPattern, rest: string][]): boolean[] {
  const lines = pairs.map(([{ segments }, rest]) => `${hex(patternProgram(segments) as Uint8Array)} ${hex(rest)}`)
  const said = execFileSync(TOOL, { input: `${lines.join('\n')}\n`, encoding: 'utf8' })
    .trim()
    .split('\n')
  expect(said).toHaveLength(pairs.length)
  expect(said).not.toContain('-')
  return said.map((one) => one === '1')
}

function patternOf(text: string): PathPattern {
  const parsed = parsePattern(text)
  if (parsed.kind !== 'pattern') throw new Error(`${text} is ${parsed.kind}`)
  return parsed.pattern
}

const mine = ({ segments }: PathPattern, rest: string) => matches({ segments }, rest.split('/'))

describe('a pattern of names', () => {
  test.each([
    ['**/.env', ['.env', 'a/.env', 'a/b/.ENV', '.env/below'], ['env', 'a.env', '.envrc', 'a/.env.local']],
    ['*.pem', ['a.pem', '.PEM', 'a.pem/x'], ['b/a.pem', 'a.pem.txt']],
    ['*/**/keys/*', ['a/keys/k', 'a/b/c/keys/k/l'], ['keys/k', 'a/keys', 'a/xkeys/k']],
    ['**/[!a-c]?', ['dx', 'y/dx', 'é9'], ['a/b/c', 'd']]
  ])('%s, here and in qi-monitor', (text, yes, no) => {
    const pattern = patternOf(text)
    for (const [paths, expected] of [
      [yes, true],
      [no, false]
    ] as const) {
      const all = paths.map(() => expected)
      expect(paths.map((path) => mine(pattern, path))).toEqual(all)
      expect(native(paths.map((path) => [pattern, path]))).toEqual(all)
    }
  })

  test('any pattern and any path: here as in qi-monitor', () => {
    const letter = fc.constantFrom('a', 'b', 'B', 'K', '.', 'é', 'ſ', '😀')
    const name = fc.string({ unit: letter, minLength: 1, maxLength: 4 }).filter((text) => !/^\.{1,2}$/.test(text))
    const piece = fc.oneof(letter, fc.constantFrom('*', '?', '[ab]', '[!b]', '[a-é]', '[!A-Z]'))
    const written = fc
      .array(
        fc.oneof(
          fc.constant('**'),
          fc.array(piece, { minLength: 1, maxLength: 4 }).map((of) => of.join(''))
        ),
        {
          minLength: 1,
          maxLength: 4
        }
      )
      .map((names) => names.join('/'))
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))
    const pairs: [PathPattern, string][] = []
    let matching = 0
    fc.assert(
      fc.property(written, path, (text, rest) => {
        const parsed = parsePattern(text)
        if (parsed.kind === 'pattern') pairs.push([parsed.pattern, rest])
      }),
      { numRuns: 4000 }
    )
    const said = native(pairs)
    for (const [i, [pattern, rest]] of pairs.entries()) {
      expect({ pattern, rest, matches: mine(pattern, rest) }).toEqual({ pattern, rest, matches: said[i] })
      if (said[i]) matching++
    }
    expect(matching).toBeGreaterThan(50)
    expect(pairs.length - matching).toBeGreaterThan(50)
  })

  test('has an end', () => {
    expect(patternProgram(patternOf(`*${'a'.repeat(MAX_WORDS - 1)}`).segments)).toHaveLength(MAX_WORDS * 4)
    expect(patternProgram(patternOf(`*${'a'.repeat(MAX_WORDS)}`).segments)).toBeUndefined()
  })
})
