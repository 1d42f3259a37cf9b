import { readFileSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { users } from '../support/user.js'
import { placeOf, readAudit, start, stateOf, until } from './cli.js'

describe.each(users)('signals to a qi-jail of %s', (user) => {
  const place = placeOf(user)

  /** A payload that says `ready` once its trap is set; its pid on the host comes from the audit file. */
  async function launch(script: string) {
    const audit = join(place.home, `audit-${Math.random()}.jsonl`)
    const running = start(place, ['--quiet', '--audit', audit, '--', 'sh', '-c', script])
    await running.says('ready')
    const launched = () => readAudit(readFileSync(audit)).find(({ event }) => event.action === 'jail.launch')
    await until(() => launched() !== undefined, 'the launch is recorded') // the payload can be the faster one
    const cli = running.child.pid as number
    return { ...running, cli, payload: launched()?.context.parameters?.pid as number }
  }

  test.each(['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'WINCH'])('%s arrives', async (signal) => {
    const { cli, result } = await launch(
      `trap 'echo got ${signal}; exit 7' ${signal}; echo ready; while :; do sleep 0.02; done`
    )
    process.kill(cli, `SIG${signal}` as NodeJS.Signals)
    const { status, stdout } = await result
    expect(stdout.toString()).toBe(`ready\ngot ${signal}\n`)
    expect(status).toBe(7)
  })

  test('one without a handler ends the payload, and its number is in the status', async () => {
    const { cli, result } = await launch('echo ready; exec sleep 30')
    process.kill(cli, 'SIGTERM')
    expect(await result).toMatchObject({ status: 143, signal: null })
  })

  test('INT goes to the group, TERM to the one process', async () => {
    // Said by the child itself: one that the shell has forked but not started yet takes the signal with the shell's own handler.
    const { cli, result } = await launch(`trap 'echo ended; exit 3' INT; sh -c 'echo ready; exec sleep 30'`)
    process.kill(cli, 'SIGINT')
    expect((await result).stdout.toString()).toBe('ready\nended\n') // else the trap would have to wait for the sleep
  })

  test('TSTP stops payload and qi-jail, CONT continues both', async () => {
    const { cli, payload, result } = await launch('echo ready; read line; echo "$line"')
    process.kill(cli, 'SIGTSTP')
    await until(() => stateOf(cli) === 'T' && stateOf(payload) === 'T', 'both stopped')
    process.kill(cli, 'SIGCONT')
    await until(() => stateOf(cli) !== 'T' && stateOf(payload) !== 'T', 'both continued')
    process.kill(cli, 'SIGTERM')
    expect((await result).status).toBe(143)
  })

  test('TSTP while the jail is made stops both once there are both', async () => {
    const audit = join(place.home, `audit-${Math.random()}.jsonl`)
    const { child, result } = start(place, ['--quiet', '--audit', audit, '--', 'sleep', '30'])
    const cli = child.pid as number
    while (!takesTstp(cli)) await new Promise(setImmediate) // as soon as it can be asked
    process.kill(cli, 'SIGTSTP')
    const launched = () => readAudit(readFileSync(audit)).find(({ event }) => event.action === 'jail.launch')
    const payload = () => launched()?.context.parameters?.pid as number
    await until(() => stateOf(cli) === 'T' && stateOf(payload()) === 'T', 'both stopped') // pid 1 takes its time
    process.kill(cli, 'SIGCONT')
    await until(() => stateOf(cli) !== 'T', 'qi-jail continued')
    process.kill(cli, 'SIGTERM')
    expect((await result).status).toBe(143)
  })

  test('when qi-jail itself is killed nothing of the jail is left', async () => {
    const { cli, payload, result } = await launch(`trap '' TERM INT HUP; echo ready; while :; do sleep 1; done`)
    expect(stateOf(payload)).toBeDefined()
    process.kill(cli, 'SIGKILL')
    expect((await result).signal).toBe('SIGKILL')
    await until(() => stateOf(payload) === undefined, 'the payload is gone')
  })
})

/** For later; before it is qi-monitor, a signal does what it does to any program. */
function takesTstp(pid: number): boolean {
  const blocked = /^SigBlk:\s+([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  const isBlocked = ((BigInt(`0x${blocked}`) >> BigInt(constants.signals.SIGTSTP - 1)) & 1n) === 1n
  return isBlocked && readlinkSync(`/proc/${pid}/exe`).endsWith('/qi-monitor')
}
