import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  drained,
  type Jail,
  type LauncherOptions,
  prepare,
  type SandboxConfig,
  spawnSandboxed
} from '../../src/index.js'
import { requireLandlock } from '../support/kernel.js'
import { drive, driverCommand, driverEnvironment, readAudit, scratch, users, victim } from './driver.js'
import { left, marked, monitors, tree, until } from './processes.js'

async function launcherOf(argv: string[], options: LauncherOptions, config: SandboxConfig = {}) {
  const launcher = await prepare(config, argv, options)
  onTestFinished(() => launcher.close())
  return launcher
}

/** What lets time pass, for those that the launcher sets. */
function fakeTimers(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  return (ms) => void vi.advanceTimersByTime(ms)
}

async function outputOf(jail: Jail): Promise<string> {
  let text = ''
  jail.stdout?.on('data', (chunk: Buffer) => (text += chunk))
  jail.stderr?.resume()
  await Promise.all([jail.exited, drained(jail)])
  return text
}

describe.each(users)('a jail of a pool, launched by %s', (user) => {
  test('is like any other, and leaves nothing', async () => {
    const [pooled, plain] = await drive(user, scratch(user), [
      { config: {}, argv: ['/bin/sh', '-c', 'id -u; pwd; exit 7'], pool: 2, times: 3 },
      { config: {}, argv: ['/bin/sh', '-c', 'id -u; pwd; exit 7'] }
    ])
    expect(pooled?.exit).toMatchObject({ code: 7, terminationReason: 'exit' })
    const { stdout, protections } = plain ?? {}
    expect(pooled).toMatchObject({ stdout, protections })
    expect({ ...pooled?.after, rss: 0 }).toEqual({ ...pooled?.before, rss: 0 })
  })

  test('ends with the program that launched, whether it was handed out or waits', async () => {
    const [home, marker] = [scratch(user), randomUUID()]
    const job = { config: {}, argv: [victim, 'pause', '0', marker], options: {}, pool: 2, keep: true }
    const [command = '', ...args] = driverCommand(user, home, [job])
    const host = spawn(command, args, { cwd: home, env: driverEnvironment(home), stdio: 'ignore' })
    const all = () => tree(host.pid as number).filter((one) => one.pid !== host.pid)
    // Three times qi-monitor, pid 1 and what is or will be the payload.
    await until(() => marked(marker).length === 1 && all().length >= 9, 'two wait beside the one that runs')
    const those = all()
    host.kill('SIGKILL')
    await once(host, 'close')
    expect(await left(those)).toEqual([])
  })
})

describe('a pool', () => {
  test('nothing of the payload runs, and nothing is recorded, before a jail is handed out', async () => {
    const [home, marker] = [scratch('root'), randomUUID()]
    const audit = `${home}/audit.jsonl`
    const launcher = await launcherOf([victim, 'pause', '0', marker], { pool: 1 }, { audit: { file: audit } })
    expect([launcher.ready, marked(marker), readAudit(audit)]).toEqual([1, [], []])
    const jail = await launcher.spawn()
    expect(marked(marker).map(({ pid }) => pid)).toEqual([jail.pid])
    expect(readAudit(audit).map(({ event }) => event.action)).toEqual(['jail.launch'])
    await jail[Symbol.asyncDispose]()
    await launcher.close()
    // Those that were built and never wanted are no launches.
    expect(readAudit(audit).map(({ event }) => event.action)).toEqual(['jail.launch', 'jail.exit'])
  })

  test('each jail is handed out once; an empty pool is no obstacle, and fills again', async () => {
    const launcher = await launcherOf(['/bin/sh', '-c', 'ls -A /tmp; echo x > /tmp/mark; echo $$'], { pool: 2 })
    const jails = await Promise.all([1, 2, 3, 4].map(() => launcher.spawn()))
    expect(new Set(jails.map(({ pid }) => pid)).size).toBe(4)
    const said = await Promise.all(jails.map(outputOf))
    expect(said.filter((text) => text.includes('mark'))).toEqual([])
    await until(() => launcher.ready === 2, 'the pool is full again')
    expect(monitors()).toHaveLength(2)
  })

  test('time limits begin when a jail is handed out', async () => {
    const launcher = await launcherOf(['/bin/sleep', '0.1'], { pool: 1 }, { resources: { maxExecutionTime: '3s' } })
    const [early] = monitors()
    await sleep(3500)
    const jail = await launcher.spawn()
    expect(tree(early?.pid ?? 0).map(({ pid }) => pid)).toContain(jail.pid)
    expect(await jail.exited).toMatchObject({ code: 0, terminationReason: 'exit' })
    const late = await spawnSandboxed({ resources: { maxExecutionTime: '1s' } }, ['/bin/sleep', '60'])
    expect(await late.exited).toMatchObject({ terminationReason: 'time' }) // the control
  })

  test('a jail is not handed out when what it was built from has changed', async () => {
    const home = scratch('root')
    mkdirSync(`${home}/data`)
    writeFileSync(`${home}/data/file`, 'content')
    const write = (denied: string) =>
      writeFileSync(
        `${home}/policy.yaml`,
        `sandbox:
  default: mine
  profiles:
    mine:
      extends: strict
      filesystem: { readOnlyPaths: [${home}/data], deniedPaths: [${denied}] }
`
      )
    write(`${home}/data/other`)
    await sleep(100)
    const options = { pool: 1, policyFiles: `${home}/policy.yaml` }
    const launcher = await launcherOf(['/bin/cat', `${home}/data/file`], options)
    await until(() => launcher.ready === 1, 'one waits')
    expect(await outputOf(await launcher.spawn())).toBe('content')
    await until(() => launcher.ready === 1, 'one waits')
    write(`${home}/data/file`)
    expect(await outputOf(await launcher.spawn())).toBe('')
  })

  test('of those that wait the first that is still right is handed out', async () => {
    const home = scratch('root')
    const said = (what: string) =>
      writeFileSync(
        `${home}/policy.yaml`,
        `sandbox: { default: mine, profiles: { mine: { extends: strict, env: { SAID: ${what} } } } }\n`
      )
    said('old')
    await sleep(100)
    const options = { pool: 2, policyFiles: `${home}/policy.yaml` }
    const launcher = await launcherOf(['/bin/sh', '-c', 'echo $SAID; read end'], options)
    const saidBy = (jail: Jail) => {
      jail.stdin?.end()
      return outputOf(jail)
    }
    const all = monitors().map(({ pid }) => pid)
    const later = fakeTimers()
    expect(await saidBy(await launcher.spawn())).toBe('old\n')
    said('new')
    await sleep(100)
    later(5)
    await until(() => launcher.ready === 2, 'one waits that was built later')
    const [late] = monitors().filter(({ pid }) => !all.includes(pid))
    const jail = await launcher.spawn()
    expect(tree(late?.pid ?? 0).map(({ pid }) => pid)).toContain(jail.pid)
    expect(await saidBy(jail)).toBe('new\n')
  })

  test('the next one is built a moment after one was let go, and at once when none was there', async () => {
    const launcher = await launcherOf(['/bin/true'], { pool: 2 })
    const later = fakeTimers()
    const exits = await Promise.all([launcher.spawn(), launcher.spawn()].map(async (jail) => (await jail).exited))
    expect(exits.map(({ code }) => code)).toEqual([0, 0])
    expect([launcher.ready, monitors(), vi.getTimerCount()]).toEqual([0, [], 1])
    later(4)
    expect([monitors(), vi.getTimerCount()]).toEqual([[], 1])
    later(1)
    await until(() => launcher.ready === 2, 'both are built anew')
    await Promise.all([1, 2, 3].map(async () => (await launcher.spawn()).exited))
    later(0)
    await until(() => launcher.ready === 2, 'both are built anew')
  })

  test('a jail that was killed while it waited is not handed out', async () => {
    const launcher = await launcherOf(['/bin/true'], { pool: 1 })
    process.kill(monitors()[0]?.pid as number, 'SIGKILL')
    await until(() => launcher.ready === 0, 'it is gone')
    expect(await (await launcher.spawn()).exited).toMatchObject({ code: 0 })
    await until(() => launcher.ready === 1, 'another waits')
    process.kill(monitors()[0]?.pid as number, 'SIGKILL') // and nobody here has heard of it
    expect(await (await launcher.spawn()).exited).toMatchObject({ code: 0 })
  })

  test('a payload that is killed before it takes the word to go is a launch that failed', async () => {
    const audit = `${scratch('root')}/audit.jsonl`
    const launcher = await launcherOf([victim, 'pause'], { pool: 1 }, { audit: { file: audit } })
    const all = tree(monitors()[0]?.pid as number)
    const [monitor, , payload] = all.map(({ pid }) => pid)
    const stateOf = (pid = 0) => tree(pid)[0]?.state
    process.kill(payload as number, 'SIGSTOP')
    await until(() => stateOf(payload) === 'T', 'it is stopped')
    const refused = expect(launcher.spawn()).rejects.toMatchObject({ code: 'QI_LAUNCH', errno: 'ESRCH' })
    // The word is given right after the record, without a sleep in between.
    const gave = () => readAudit(audit).length === 1 && stateOf(monitor) === 'S'
    await until(gave, 'qi-monitor waits for the exec')
    process.kill(payload as number, 'SIGKILL')
    await refused
    expect(await left(all)).toEqual([])
    expect(readAudit(audit).map(({ event }) => event.outcome)).toEqual(['success', 'error'])
  })

  test('with a bad id, or one that is taken, nothing of the payload runs', async () => {
    const home = scratch('root')
    const argv = ['/bin/sh', '-c', `echo ran >> ${home}/ran; read wait`]
    const launcher = await launcherOf(argv, { pool: 2 }, { filesystem: { allowedPaths: [home] } })
    await expect(launcher.spawn({ id: '../x' })).rejects.toMatchObject({ code: 'QI_CONTROL' })
    const id = `pool-${process.pid}`
    const jail = await launcher.spawn({ id })
    expect(jail.id).toBe(id)
    await expect(launcher.spawn({ id })).rejects.toMatchObject({ code: 'QI_CONTROL' })
    jail.stdin?.end()
    await jail.exited
    expect(readFileSync(`${home}/ran`, 'utf8')).toBe('ran\n')
  })

  test('closing it ends those that wait, not those that were handed out', async () => {
    const launcher = await launcherOf([victim, 'pause'], { pool: 2 })
    const all = monitors().flatMap(({ pid }) => tree(pid))
    const jail = await launcher.spawn()
    await launcher.close()
    expect(monitors()).toHaveLength(1)
    expect(jail.exitCode).toBeNull()
    jail.kill('SIGKILL')
    await jail.exited
    expect(await left(all)).toEqual([])
    await expect(launcher.spawn()).rejects.toMatchObject({ code: 'QI_CLOSED' })
  })

  test('does not keep its process alive', async () => {
    const script = `import { prepare } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      const launcher = await prepare({}, ['/bin/true'], { pool: 2 })
      console.log(launcher.ready)`
    const host = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let text = ''
    host.stdout.on('data', (chunk) => (text += chunk))
    expect(await once(host, 'close')).toEqual([0, null])
    expect(text).toBe('2\n')
  })

  test.each([-1, 1.5, 65, Number.NaN, '2'])('of %s jails is refused', async (pool) => {
    await expect(prepare({}, ['/bin/true'], { pool: pool as number })).rejects.toMatchObject({
      code: 'QI_CONFIG',
      field: 'pool'
    })
  })

  test('of permissive jails is refused; without one they are launched', async () => {
    requireLandlock()
    const config: SandboxConfig = { enforcement: 'permissive' }
    await expect(prepare(config, ['/bin/true'], { pool: 1 })).rejects.toMatchObject({
      code: 'QI_CONFIG',
      field: 'pool'
    })
    const launcher = await launcherOf(['/bin/true'], {}, config)
    expect(await (await launcher.spawn()).exited).toMatchObject({ code: 0 })
  })

  test('what cannot be launched is said at once', async () => {
    await expect(prepare({}, ['/nonexistent/program'])).rejects.toMatchObject({ code: 'QI_COMMAND_NOT_FOUND' })
  })
})
