import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadAddon, monitorPath } from '../../src/launch/locate.js'
import { encodePlan } from '../../src/plan/index.js'
import { skipUnless } from '../support/skip.js'
import { planOf } from './samples.js'

/** What qi-monitor says to a sealed plan: its status, and its words to the host and on stderr. */
async function answerTo(plan: Uint8Array) {
  const { pid, pidfd, control, pipes } = loadAddon().spawn({
    monitor: monitorPath(),
    plan,
    stdio: [-2, -2, -1],
    auditFd: -1
  })
  const [told, said] = await Promise.all([control, pipes[2]].map(allOf))
  const { code } = await loadAddon().reap(pid, pidfd)
  return { code, told: JSON.parse(told ?? '') as Record<string, unknown>, said }
}

async function allOf(fd: number): Promise<string> {
  let text = ''
  for await (const chunk of new Socket({ fd, readable: true, writable: false })) text += chunk
  return text
}

const spoilt = (at: number, value: number) => {
  const bytes = Buffer.from(encodePlan(planOf()))
  bytes.writeUInt32LE(value, at)
  return bytes
}

const bad: [what: string, plan: () => Uint8Array, errno: keyof typeof constants.errno, says: string][] = [
  ['nothing', () => new Uint8Array(), 'EFBIG', 'plan length'],
  ['a few bytes', () => new Uint8Array(16), 'EINVAL', 'plan length'],
  ['zeroes', () => new Uint8Array(4096), 'EINVAL', 'plan magic'],
  ['another version', () => spoilt(4, 99), 'EPROTO', 'plan version'],
  ['another size', () => spoilt(8, 99), 'EINVAL', 'plan size field'],
  ['a plan that is cut', () => encodePlan(planOf()).slice(0, -9), 'EINVAL', 'plan size field'],
  ['more than 16 MiB', () => Buffer.alloc((16 << 20) + 1), 'EFBIG', 'plan length']
]
test.each(bad)('qi-monitor refuses %s', async (_what, plan, errno, says) => {
  const { code, told, said } = await answerTo(plan())
  expect(code).toBe(125)
  expect(told).toMatchObject({ type: 'failed', errno: constants.errno[errno], detail: says })
  expect([1, 2]).toContain(told.step)
  expect(said).toBe('') // it is the payload's stream
})

/** As a program would that starts qi-monitor itself, with a file as descriptor 3. */
function runOn(path: string) {
  const fd = openSync(path, 'r')
  const { status, stderr } = spawnSync(monitorPath(), [], { stdio: ['ignore', 'pipe', 'pipe', fd], encoding: 'utf8' })
  closeSync(fd)
  return { status, stderr }
}

test('qi-monitor refuses a plan that can still be written', () => {
  skipUnless(existsSync('/dev/shm'), 'no tmpfs on /dev/shm')
  const folder = mkdtempSync('/dev/shm/qi-test-')
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'plan'), encodePlan(planOf()))
  expect(runOn(join(folder, 'plan'))).toMatchObject({
    status: 125,
    stderr: expect.stringContaining('plan is not sealed')
  })
})

test('qi-monitor refuses what is no plan at all', () => {
  expect(runOn('/proc/self/status')).toMatchObject({
    status: 125,
    stderr: expect.stringContaining('fd 3 is not a plan')
  })
  const alone = spawnSync(monitorPath(), ['--help'], { encoding: 'utf8' })
  expect(alone).toMatchObject({ status: 125, stdout: '', stderr: expect.stringContaining('step 1 failed') })
})
