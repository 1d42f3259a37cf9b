import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { spawnSandboxed } from '../../src/index.js'
import { driverCommand, driverEnvironment, scratch, users, victim } from './driver.js'
import { left, marked, monitors, tree, until } from './processes.js'

/** A jail whose payload says `ready` and then waits, with what can be seen of it from outside. */
async function waiting(what = 'pause', options = {}) {
  const marker = randomUUID()
  const before = new Set(monitors().map((one) => one.pid))
  const jail = await spawnSandboxed({}, [victim, what, '0', marker], options)
  await once(jail.stdout as NodeJS.ReadableStream, 'data')
  const monitor = monitors().find((one) => !before.has(one.pid))
  if (!monitor) throw new Error('no qi-monitor among the children')
  const all = tree(monitor.pid)
  expect(all.length).toBeGreaterThanOrEqual(3) // qi-monitor, pid 1, payload
  expect(marked(marker).map((one) => one.pid)).toContain(jail.pid)
  const init = all.find((one) => one.parent === monitor.pid)
  return { jail, marker, all, monitor: monitor.pid, init: init?.pid as number }
}

describe('SIGKILL', () => {
  test('of qi-monitor ends the jail', async () => {
    const { jail, all, marker, monitor } = await waiting()
    process.kill(monitor, 'SIGKILL')
    expect(await jail.exited).toMatchObject({ code: null, signal: 'SIGKILL', terminationReason: 'monitor-lost' })
    expect(await left(all)).toEqual([])
    expect(marked(marker)).toEqual([])
  })

  test('of pid 1 ends the jail', async () => {
    const { jail, all, init } = await waiting()
    process.kill(init, 'SIGKILL')
    const exit = await jail.exited
    expect(exit).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(await left(all)).toEqual([])
  })

  test('of the payload is mirrored', async () => {
    const { jail, all } = await waiting()
    process.kill(jail.pid, 'SIGKILL')
    expect(await jail.exited).toMatchObject({ code: null, signal: 'SIGKILL', terminationReason: 'signal' })
    expect(await left(all)).toEqual([])
  })

  test.each(users.flatMap((user) => ['pause', 'flood'].map((what) => [user, what] as const)))(
    'of the program that launched, run by %s, ends a jail whose payload does %s',
    async (user, what) => {
      const home = scratch(user)
      const marker = randomUUID()
      const argv = [victim, what, '1000000000', marker]
      const [command = '', ...args] = driverCommand(user, home, [{ config: {}, argv }])
      const host = spawn(command, args, { cwd: home, env: driverEnvironment(home), stdio: 'ignore' })
      await until(() => marked(marker).length === 1, 'the payload runs')
      const all = tree(host.pid as number).filter((one) => one.pid !== host.pid)
      expect(all.length).toBeGreaterThanOrEqual(3)
      host.kill('SIGKILL')
      await once(host, 'close')
      expect(await left(all)).toEqual([])
      expect(marked(marker)).toEqual([])
    }
  )
})

describe('the caller', () => {
  test('kills all of a jail', async () => {
    const { jail, all } = await waiting()
    expect(jail.kill('SIGKILL')).toBe(true)
    expect(await jail.exited).toMatchObject({ code: null, signal: 'SIGKILL', terminationReason: 'killed' })
    expect(await left(all, 0)).toEqual([])
    expect(jail.kill('SIGKILL')).toBe(false)
  })

  test('kills a payload that floods it with refused calls', async () => {
    const jail = await spawnSandboxed({}, [victim, 'flood', '1000000000'])
    const all = monitors().flatMap((one) => tree(one.pid))
    await new Promise((resolve) => setTimeout(resolve, 200))
    jail.kill('SIGKILL')
    const exit = await jail.exited
    expect(exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
    expect(exit.refusals).toBeGreaterThan(100)
    expect(await left(all, 0)).toEqual([])
  })

  test('kills one that is stopped', async () => {
    const { jail, all } = await waiting()
    jail.kill('SIGSTOP')
    await until(() => tree(jail.pid)[0]?.state === 'T', 'the payload is stopped')
    jail.kill('SIGKILL')
    expect(await jail.exited).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
    expect(await left(all, 0)).toEqual([])
  })

  test('stops and continues', async () => {
    const { jail } = await waiting()
    jail.kill('SIGSTOP')
    await until(() => tree(jail.pid)[0]?.state === 'T', 'the payload is stopped')
    jail.kill('SIGCONT')
    await until(() => tree(jail.pid)[0]?.state === 'S', 'the payload goes on')
    jail.kill('SIGTERM')
    expect(await jail.exited).toMatchObject({ signal: 'SIGTERM' })
  })

  test('asks the payload to end', async () => {
    const { jail, all } = await waiting()
    jail.kill('SIGTERM')
    expect(await jail.exited).toMatchObject({ code: null, signal: 'SIGTERM', terminationReason: 'signal' })
    expect(await left(all, 0)).toEqual([])
  })

  test('aborts', async () => {
    const controller = new AbortController()
    const { jail, all } = await waiting('ignore-term', { signal: controller.signal })
    controller.abort()
    expect(await jail.exited).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
    expect(await left(all, 0)).toEqual([])
  })

  test('aborts before the launch', async () => {
    const launch = spawnSandboxed({}, ['/bin/true'], { signal: AbortSignal.abort(new Error('no need')) })
    await expect(launch).rejects.toThrow('no need')
  })

  test('aborts during the launch', async () => {
    const controller = new AbortController()
    const count = monitors().length
    const launch = spawnSandboxed({}, [victim, 'pause'], { signal: controller.signal })
    controller.abort()
    const jail = await launch.catch(() => undefined)
    await jail?.exited
    expect(monitors()).toHaveLength(count)
  })

  test('leaves the scope of the jail', async () => {
    let all: Awaited<ReturnType<typeof waiting>>['all']
    {
      const started = await waiting('ignore-term')
      await using _jail = started.jail
      all = started.all
    }
    expect(await left(all, 0)).toEqual([])
  })
})

describe('the wall clock', () => {
  const limited = (what: string) => spawnSandboxed({ resources: { maxExecutionTime: 300 } }, [victim, what])

  test('ends a payload that takes a TERM', async () => {
    const began = performance.now()
    const jail = await limited('pause')
    expect(await jail.exited).toMatchObject({ signal: 'SIGTERM', terminationReason: 'time' })
    expect(performance.now() - began).toBeLessThan(1500)
  })

  test('ends one that ignores it, and says so', async () => {
    const jail = await limited('ignore-term')
    const exit = await jail.exited
    expect(exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'time' })
    const actions: string[] = []
    for await (const { event } of jail.events()) actions.push(event.action)
    expect(actions).toEqual(['jail.launch', 'limit.exceeded', 'jail.exit'])
  })
})
