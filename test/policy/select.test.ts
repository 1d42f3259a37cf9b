import { describe, expect, it } from 'vitest'
import { packageOf } from '../../src/policy/document/select.js'

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
