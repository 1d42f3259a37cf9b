import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { AuditLog } from '../../src/index.js'
import { ACT, bare, call, scratch, type User, users } from './support.js'

const CLI = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))

interface Push {
  name: string
  request: number | string
  argument: string | number
  /** Bare, on a pseudo terminal. Absent where even that would disturb the machine. */
  control?: RegExp
}
const PUSHES: Push[] = [
  { name: 'TIOCSTI', request: 0x5412, argument: 's:x', control: /(OK|EIO)/ }, // after its echo; EIO: dev.tty.legacy_tiocsti=0
  { name: 'TIOCSTI', request: '0x100005412', argument: 's:x', control: /(OK|EIO)/ }, // CVE-2019-10063
  { name: 'TIOCSTI', request: '0xdeadbeef00005412', argument: 's:x', control: /(OK|EIO)/ },
  { name: 'TIOCLINUX', request: 0x541c, argument: 'b:0200', control: /^(ENOTTY|EINVAL)/ },
  { name: 'TIOCSETD', request: 0x5423, argument: 'b:00000000', control: /^OK/ },
  { name: '0x4b3a', request: 0x4b3a, argument: 1, control: /^(ENOTTY|EINVAL)/ }, // KDSETMODE
  { name: '0x5606', request: 0x5606, argument: 1, control: /^(ENOTTY|EINVAL)/ }, // VT_ACTIVATE
  { name: 'TIOCCONS', request: 0x541d, argument: 0 },
  { name: '0x5437', request: 0x5437, argument: 0 } // TIOCVHANGUP
]

/** Runs a command on a pseudo terminal of its own; the terminal's line ends become plain ones. */
const onTerminal = (command: string[], user: User) =>
  bare(['script', '-qec', command.map((word) => `'${word}'`).join(' '), '/dev/null'], { as: user }).replaceAll('\r', '')

describe.each(users)('terminals, launched by %s', (user: User) => {
  it.each(PUSHES)('$name $request is refused', ({ name, request, argument, control }) => {
    const audit = `${scratch(user)}/audit`
    const act = [ACT, 'call', ...call('ioctl', 0, request, argument)]
    expect(onTerminal([CLI, '--quiet', '--audit', audit, '--', ...act], user)).toBe('EPERM')
    const events = readFileSync(audit, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditLog)
    const event = events.find((each) => each.event.action === 'syscall.refused')
    expect(event?.context.parameters).toMatchObject({
      syscall: 'ioctl',
      rule: 'ioctl',
      arguments: { fd: 0, request: name }
    })
    if (control) expect(onTerminal(act, user)).toMatch(control)
  })

  it('an everyday request passes', () => {
    const size = [ACT, 'call', ...call('ioctl', 0, 0x5413, 'z:8')]
    expect(onTerminal([CLI, '--quiet', '--', ...size], user)).toBe('OK 0')
  })
})
