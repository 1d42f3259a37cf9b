import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../src/policy/document/parse.js'
import { packageOf, select } from '../../src/policy/document/select.js'

describe('the package of a command', () => {
  it.each([
    'npx @scope/server',
    'npx -y @scope/server@1.2.3',
    'npx -y @scope/server@latest --flag',
    'npx --registry https://r.example @scope/server@^1.2',
    'npx --cache=/c -- @scope/server',
    'npm exec --yes @scope/server',
    'bunx --bun @scope/server'
  ])('is found in %s', (command) => expect(packageOf(command.split(' '))).toBe('@scope/server'))

  it.each([
    'npx @scope/server@npm:evil',
    'npx @scope/server@file:evil.tgz',
    'npx @scope/server@evil.tgz',
    'npx @scope/server@..',
    'npx @scope/server@https://evil.example/a',
    'npx evil/server',
    'npx --loglevel @scope/server evil',
    'npx --packag=evil @scope/server',
    'npx --package evil @scope/server'
  ])('is not told of %s', (command) => expect(packageOf(command.split(' '))).toBeUndefined())
})

describe('who selects', () => {
  const files = (...texts: string[]) =>
    texts.map((text, i) => {
      const file = `/f${i}.yaml`
      return { level: 'policy' as const, file, narrows: false, document: parsePolicy(text, file) }
    })
  const A = 'sandbox: { default: a, tool: ta }'
  const B = `sandbox: { default: b }
servers:
  - { name: git, profile: one }
  - { command: python3 -m web, profile: two, tool: tw }
  - { command: python3, profile: three }
  - { name: git, package: "@scope/git", profile: four }`
  const C = 'servers: [{ name: git, command: node, profile: last }]'

  it.each<[string, string[], Parameters<typeof select>[1], Partial<ReturnType<typeof select>>]>([
    ['nobody', [], { argv: ['x'] }, { profile: 'strict', matched: false }],
    [
      'the default',
      [A],
      { argv: ['x'] },
      { profile: 'a', tool: 'ta', profileOrigin: '/f0.yaml:1:21: sandbox.default' }
    ],
    ['the last default', [A, B], { argv: ['x'] }, { profile: 'b', tool: 'ta', matched: false }],
    ['a server by name', [A, B], { argv: ['x'], server: 'git' }, { profile: 'one', matched: true }],
    ['no server by name without --server', [B], { argv: ['x'] }, { profile: 'b', matched: false }],
    ['another name', [B], { argv: ['x'], server: 'other' }, { profile: 'b', matched: false }],
    [
      'the first entry that matches',
      [B],
      { argv: ['/usr/bin/python3', '-m', 'web', '-x'] },
      { profile: 'two', tool: 'tw' }
    ],
    ['fewer words', [B], { argv: ['python3', '-m', 'other'] }, { profile: 'three' }],
    ['a word that only begins so', [B], { argv: ['python3.11'] }, { profile: 'b', matched: false }],
    ['the last file that matches', [B, C], { argv: ['node'], server: 'git' }, { profile: 'last' }],
    ['all that an entry says', [B, C], { argv: ['bun'], server: 'git' }, { profile: 'one' }],
    ['a flag', [A, B], { argv: ['x'], server: 'git', profile: 'flag', tool: 'tool' }, { profile: 'flag', tool: 'tool' }]
  ])('%s', (_who, texts, request, selection) => expect(select(files(...texts), request)).toMatchObject(selection))
})
