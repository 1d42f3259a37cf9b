import { expect, it } from 'vitest'
import { matches, parsePattern } from '../../src/policy/glob.js'

it.each([
  ['./x', './x'],
  ['./x/', './x'],
  ['./x/**', './x'],
  ['/', '/'],
  ['/**', '/'],
  ['a\\*b/**', 'a*b']
])('%s is the tree %s', (text, path) => {
  expect(parsePattern(text)).toEqual({ kind: 'subtree', path })
})

it.each(['{a,b}', '!x', 'a**', '[a', '*\\', '**/**', '**/a/**/b/**/c/**/d/**/e', '*a*a*a*a*a*a*a*a*a'])(
  '%s is no pattern, and the hint says what to write',
  (text) => {
    expect(parsePattern(text)).toMatchObject({
      kind: 'wrong',
      reason: expect.stringMatching(/./),
      hint: expect.stringMatching(/./)
    })
  }
)

it.each<[text: string, base: string, yes: string[], no: string[]]>([
  ['*.key', '.', ['a.key', '.key', 'a.key/below'], ['a.keys', 'b/a.key']],
  ['**/.env', '/', ['.env', 'a/.env', 'a/b/.env/c'], ['a.env', '.envs']],
  ['~/a/?/c', '~/a', ['b/c'], ['bb/c', 'c', 'b/d']],
  ['a/[b-d]/[!x]', 'a', ['b/y', 'd/b'], ['e/y', 'b/x', 'b']],
  ['/s/\\**/x', '/s', ['*/x', '*a/x'], ['a/x']],
  ['d/*/**/z', 'd', ['a/z', 'a/b/c/z'], ['z', 'a/b']]
])('%s: below %s', (text, base, yes, no) => {
  const read = parsePattern(text)
  if (read.kind !== 'pattern') throw new Error(JSON.stringify(read))
  expect(read.pattern.base).toBe(base)
  expect([...yes, ...no].filter((path) => matches(read.pattern, path.split('/')))).toEqual(yes)
})
