import { once as onceOf } from 'node:events'
import type { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { spawnSandboxed } from '../../src/launch/spawn.js'

const once = (stream: Readable | null) => onceOf(stream as Readable, 'data')

it('a jail of the API tells what it uses, stops and goes on, and ends its questions with itself', async () => {
  const resources = { maxMemory: '100MiB', maxProcesses: 20 }
  const jail = await spawnSandboxed(
    { resources, tolerate: ['memoryLimit', 'landlockFs', 'landlockNet', 'landlockScope'] },
    ['sh', '-c', 'echo up; while read line; do echo "$line"; done']
  )
  const said = async () => String((await once(jail.stdout))[0])
  expect(await said()).toBe('up\n')
  const stats = await jail.stats()
  expect(stats).toMatchObject({ paused: false, refusals: 0, memory: { limit: 100 << 20 }, processes: { limit: 20 } })
  expect(stats.backend).toBe(jail.cgroup === undefined ? 'watchdog' : 'cgroup')
  expect(stats.memory.current).toBeGreaterThan(0)
  expect(stats.memory.current).toBeLessThan(100 << 20)
  await jail.pause()
  expect((await jail.stats()).paused).toBe(true)
  jail.stdin?.write('while paused\n')
  let early = ''
  jail.stdout?.on('data', (chunk) => (early += chunk))
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(early).toBe('')
  const answer = once(jail.stdout)
  await jail.resume()
  expect(String((await answer)[0])).toBe('while paused\n')
  jail.kill('SIGKILL')
  expect(await jail.exited).toMatchObject({ terminationReason: 'killed' })
  await expect(jail.stats()).rejects.toMatchObject({ code: 'QI_ENDED' })
})

it('a jail that was said to be paused stands still', async () => {
  const jail = await spawnSandboxed({ tolerate: ['landlockFs', 'landlockNet', 'landlockScope'] }, ['cat'])
  let heard = ''
  jail.stdout?.on('data', (chunk) => (heard += chunk))
  for (let round = 0; round < 50; round++) {
    await jail.pause()
    jail.stdin?.write('.')
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(heard).toBe('.'.repeat(round))
    await jail.resume()
    await expect.poll(() => heard, { timeout: 20_000 }).toBe('.'.repeat(round + 1))
  }
  jail.kill('SIGKILL')
  await jail.exited
})
