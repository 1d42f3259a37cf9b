import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { own, users } from '../support/user.js'
import { onTerminal, placeOf, type Running, start } from './cli.js'

const [ENTER, LEAVE] = ['\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l']
/** A command that would speak to the terminal that shows it, and is longer than that is wide. */
const COMMAND = ['sh', '-c', 'echo up; sleep 600 #\x1b]0;owned\x07', 'x'.repeat(100)]
const AFTER = 'echo "status $?"; stty -a'

describe.each(users)('qi-jail top on a terminal of %s', (user) => {
  const place = placeOf(user)

  /** A jail called `seen`, and `top` with `args` looking at it ten times a second. */
  async function look(name: string, ...args: string[]) {
    const folder = join(place.home, name)
    mkdirSync(folder, { mode: 0o700 })
    own(folder, user)
    const runtime = { XDG_RUNTIME_DIR: folder }
    const jail = start(place, ['--id', 'seen', '--', ...COMMAND], runtime)
    onTestFinished(async () => {
      jail.child.kill('SIGTERM')
      await jail.result
    })
    await jail.says('up')
    const top = onTerminal(place, `$QI top --interval 100ms ${args.join(' ')}; ${AFTER}`, runtime)
    onTestFinished(() => void top.child.kill('SIGKILL'))
    await top.says('seen')
    return { jail, top }
  }

  /** It gave back the screen and the keyboard as they were. */
  async function ended({ result }: Running, status: number): Promise<string> {
    const text = (await result).stdout.toString()
    const [, shown = '', after = ''] = text.split(new RegExp(`${escaped(ENTER)}|${escaped(LEAVE)}`))
    expect(text.startsWith(ENTER)).toBe(true)
    expect(after).toContain(`status ${status}\r\n`)
    expect(after).toMatch(/ icanon .* echo /s)
    expect(after).not.toMatch(/-icanon|-echo /)
    return shown
  }

  test('shows one frame after the other, no wider and no higher than it is, until q', async () => {
    const { top } = await look('frames')
    await top.says('%') // since the look before: the second frame
    top.child.stdin?.write('xq')
    const frames = (await ended(top, 0)).split('\x1b[H').slice(1)
    expect(frames.length).toBeGreaterThan(1)
    for (const frame of frames) {
      const lines = frame.replaceAll('\x1b[K', '').replace('\x1b[J', '').split(/\r+\n/)
      expect(lines.length).toBeLessThanOrEqual(5)
      expect(lines[0]).toMatch(/^ {2}ID +PID +PROFILE/)
      for (const line of lines) expect(line).toMatch(/^[^\p{Cc}]{0,60}$/u)
    }
    expect(frames.at(-1)).toMatch(/ seen .*%/)
  })

  test.each([
    ['^C', '\x03'],
    ['^D', '\x04']
  ])('ends at %s', async (name, key) => {
    const { top } = await look(`key-${name.slice(1)}`)
    top.child.stdin?.write(key)
    await ended(top, 0)
  })

  test('of one jail: ends with it, and says so where it can be read', async () => {
    const { jail, top } = await look('one', 'seen')
    jail.child.kill('SIGTERM')
    await jail.result
    const shown = await ended(top, 125)
    expect(shown).not.toContain('QI_CONTROL')
    expect((await top.result).stdout.toString().split(LEAVE)[1]).toContain(
      'QI_CONTROL: no jail with the id "seen" runs'
    )
  })
})

const escaped = (text: string): string => text.replaceAll(/[[?]/g, '\\$&')
