import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { users } from '../support/user.js'
import { onTerminal, placeOf, run, shell, start, until } from './cli.js'

/** qi-monitor and what it forks are in the caller's session, with its terminal and its environment. */
describe.each(users)('in the session of %s', (user) => {
  const place = placeOf(user)

  test('a payload that changes the terminal does not stop qi-jail in the background', async () => {
    const stopped = 'until grep -q "^State:.T" /proc/$!/status; do sleep 0.1; done; echo stopped; kill -9 $!'
    const script = `set -m
      "$QI" -- sh -c 'stty tostop; unshare -U true; exit 3' & wait $!; echo status $?
      sh -c 'echo from the background' & ${stopped}`
    const { result } = onTerminal(place, script)
    const said = (await result).stdout.toString()
    expect(said).toMatch(/qi-jail: 1 call was refused/)
    expect(said).toMatch(/status 3\r\n(.*\r\n)*stopped/) // another program in the background is stopped
  })

  test('a payload that stops the output of the terminal does not hold qi-jail', async () => {
    const flow = (how: string) => `python3 -c 'import termios; termios.tcflow(2, termios.${how})'`
    const held = `(${flow('TCOOFF')}; echo x) & sleep 2; kill -0 $! && held=too; ${flow('TCOON')}; wait; echo held $held`
    const payload = `unshare -U true; exec ${flow('TCOOFF').replaceAll("'", '"')}`
    const script = `"$QI" -- sh -c '${payload}'; status=$?; ${flow('TCOON')}; echo status $status`
    const said = (await onTerminal(place, `${script}; ${held}`).result).stdout.toString()
    expect(said).toMatch(/status 0\r\n(.*\r\n)*held too/) // another program is
    expect(said).not.toContain('call was refused') // that would have had to wait
  })

  test('signals to its own group, to everybody and its terminal are the jail’s own', async () => {
    const script = `trap "" TERM; kill -TERM 0; kill -TERM -1; (: < /dev/tty) && echo terminal; echo alive; exit 4`
    const { result } = onTerminal(place, `: < /dev/tty && echo ours; "$QI" -- sh -c '${script}' 2>/dev/null; echo $?`)
    expect((await result).stdout.toString()).toBe('ours\r\nalive\r\n4\r\n')
  })

  test('no descriptor of the caller gets in, whatever its number', async () => {
    const list = `sh -c 'for fd in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$fd ] && echo $fd; done; true'`
    const fds = '3</etc/passwd 4</etc/passwd 5</etc/passwd 7</etc/passwd 9</etc/passwd'
    expect((await shell(place, `${list} ${fds}; "$QI" -- ${list} ${fds}`)).stdout.toString()).toBe('3\n4\n5\n7\n9\n')
  })

  test('nobody of ours keeps the caller’s environment', async () => {
    const secret = { QI_TEST_TOKEN: 'a-secret-of-the-caller' }
    const args = ['--net', 'example.com:443', '--memory', '256MiB', '--', 'sh', '-c', 'echo ready; read line']
    const { child, says, result } = start(place, args, secret)
    await says('ready')
    const ours = kinOf(child.pid as number)
    expect(ours.length).toBeGreaterThanOrEqual(4) // qi-monitor, pid 1, payload, gateway
    for (const pid of ours) expect(readFileSync(`/proc/${pid}/environ`, 'latin1')).not.toContain('a-secret')
    child.stdin?.end()
    await result
  })

  test('its control socket goes with it, also when it is killed', async () => {
    const runtime = join(place.home, 'run')
    await shell(place, `mkdir -m 0700 "${runtime}"`)
    const env = { XDG_RUNTIME_DIR: runtime }
    const names = () => readdirSync(join(runtime, 'qi-jail'))
    for (const how of ['end', 'kill']) {
      const { child, says, result } = start(place, ['--id', how, '--', 'sh', '-c', 'echo ready; read line'], env)
      await says('ready')
      expect(names()).toEqual([`${how}.sock`])
      if (how === 'end') child.stdin?.end()
      else child.kill('SIGKILL')
      await result
      if (how === 'end') expect(names()).toEqual([])
    }
    expect((await run(place, ['ps', '--json'], env)).stdout.toString()).toBe('')
    await until(() => names().length === 0, 'the name of the killed one is gone') // the keeper may be about it
  })
})

function kinOf(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === pid)
  return [pid, ...children.flatMap((child) => kinOf(Number(child)))]
}

function parentOf(name: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1])
  } catch {
    return undefined // it has ended
  }
}
