import { describe, expect, test } from 'vitest'
import { VERBS } from '../../src/cli/verbs.js'
import { users } from '../support/user.js'
import { placeOf, run } from './cli.js'

const place = placeOf(users[0] as 'root' | 'plain')
const names = Object.keys(VERBS)

describe('verbs', () => {
  test('are all in --help, each with its summary', async () => {
    const text = (await run(place, ['--help'])).stdout.toString()
    const rows = text.split('\n').map((line) => line.trim().split(/ {2,}/))
    for (const [name, { summary }] of Object.entries(VERBS)) {
      const row = rows.find(([first = '']) => first === `qi-jail ${name}`)
      expect(row?.join(' ')).toContain(summary)
    }
    expect((await run(place, ['help'])).stdout.toString()).toBe(text)
  })

  test.each(names)('help %s is the same as --help of the verb', async (name) => {
    const { status, stdout, stderr } = await run(place, ['help', name])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.toString()).toContain(`Usage: qi-jail ${name}`)
    expect(stdout.toString()).toContain('Examples:')
    expect((await run(place, [name, '--help'])).stdout.equals(stdout)).toBe(true)
  })

  test.each(names)('%s refuses what it does not know, as text and as JSON', async (name) => {
    expect((await run(place, [name, '--frobnicate'])).stderr).toMatch(
      /^qi-jail: QI_USAGE: unknown option '--frobnicate'/
    )
    const { status, stderr } = await run(place, [name, '--json', '--frobnicate'])
    expect(JSON.parse(stderr).error.code).toBe('QI_USAGE')
    expect(status).toBe(125)
  })

  test('a verb with a slip in it is guessed, and a command of such a name is still a command', async () => {
    const { status, stderr } = await run(place, ['docter'])
    expect(stderr).toMatch(/^qi-jail: QI_COMMAND_NOT_FOUND: .*did you mean the verb doctor\?\)\n$/)
    expect(status).toBe(127)
    expect((await run(place, ['no-such-thing'])).stderr).not.toContain('did you mean')
    expect((await run(place, ['help', 'docter'])).stderr).toMatch(
      /^qi-jail: QI_USAGE: .*did you mean qi-jail help doctor\?/
    )
    expect((await run(place, ['--', 'ps', '--version'])).stdout.toString()).toMatch(/^ps from/)
  })
})
