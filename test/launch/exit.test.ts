import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { spawnSandboxed } from '../../src/index.js'
import { victim } from './driver.js'
import { left, marked, until } from './processes.js'

const run = async (...argv: string[]) => {
  const jail = await spawnSandboxed({}, argv)
  jail.stdout?.resume()
  return jail.exited
}

describe('how the payload ended', () => {
  test.each([0, 1, 2, 63, 77, 100, 124, 125, 126, 127, 128, 129, 137, 143, 200, 254, 255])('exit %i', async (code) => {
    expect(await run(victim, 'exit', String(code))).toMatchObject({ code, signal: null, terminationReason: 'exit' })
  })

  // Not those that stop, and not those that the default ignores.
  const ENDING = [
    'SIGHUP',
    'SIGINT',
    'SIGQUIT',
    'SIGABRT',
    'SIGBUS',
    'SIGFPE',
    'SIGKILL',
    'SIGSEGV',
    'SIGPIPE',
    'SIGALRM',
    'SIGTERM',
    'SIGUSR1',
    'SIGUSR2'
  ] as const
  test.each(ENDING)('%s', async (signal) => {
    const exit = await run(victim, 'raise', String(constants.signals[signal]))
    expect(exit).toMatchObject({ code: null, signal, terminationReason: 'signal' })
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const)('%s sent by the caller', async (signal) => {
    const jail = await spawnSandboxed({}, [victim, 'pause'])
    await once(jail.stdout as NodeJS.ReadableStream, 'data')
    expect(jail.kill(signal)).toBe(true)
    expect(await jail.exited).toMatchObject({ code: null, signal, terminationReason: 'signal' })
  })

  test('a signal that is none is refused', async () => {
    await using jail = await spawnSandboxed({}, [victim, 'pause'])
    expect(() => jail.kill('SIGNOT' as 'SIGTERM')).toThrow(expect.objectContaining({ code: 'QI_SIGNAL' }))
  })

  // A qi-monitor that was taken over, or stopped after its last word: this process waits for its end, and does all else meanwhile.
  test('is over when qi-monitor is, and nothing it says after its last word counts', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'qi-exit-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const monitor = join(folder, 'monitor')
    const stays = join(folder, 'stays')
    const exit = (code: number) =>
      `{"type":"exit","code":${code},"reason":"exit","refusals":0,"fileRefusals":0,"permitted":0,"lost":0}`
    const lines = ['{"type":"started","pid":7,"init":7}', exit(3), exit(9)]
    const script = `#!/bin/sh\nprintf '%s\\n' '${lines.join("' '")}' >&4\nwhile [ -e ${stays} ]; do sleep 0.02; done\n`
    writeFileSync(monitor, script, { mode: 0o755 })
    writeFileSync(stays, '')
    const jail = await spawnSandboxed({}, ['/bin/true'], { monitor, stdio: 'ignore' })
    let over = false
    void jail.exited.then(() => (over = true))
    await until(() => jail.exitCode !== null, 'it has said so')
    await delay(50)
    expect(over).toBe(false)
    rmSync(stays)
    expect(await jail.exited).toMatchObject({ code: 3, terminationReason: 'exit' })
  })

  test('a daemon of the payload ends with it', async () => {
    const marker = randomUUID()
    const config = { filesystem: { readOnlyPaths: [victim] } }
    const jail = await spawnSandboxed(config, ['/bin/sh', '-c', `${victim} daemonize 0 ${marker}; read line; exit 4`])
    await once(jail.stdout as NodeJS.ReadableStream, 'data')
    await until(() => marked(marker).length === 1, 'the daemon runs alone')
    const daemon = marked(marker)
    jail.stdin?.end('\n')
    expect(await jail.exited).toMatchObject({ code: 4, signal: null })
    expect(await left(daemon, 0)).toEqual([])
  })
})
