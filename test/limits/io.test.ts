import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { QiError } from '../../src/errors.js'
import { type SandboxConfig, spawnSandboxed } from '../../src/index.js'
import { skipUnless } from '../support/skip.js'

/** A disk, which the machine's /tmp often is not, and where every user may write. */
const folder = mkdtempSync('/var/tmp/qi-io-')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const MB = 2 ** 20
const PER_SECOND = 2 * MB
const SIZE = 8 * MB

/** Milliseconds that it takes to write the file past the page cache; undefined where the disk cannot be limited. */
async function write(maxIo?: object): Promise<number | undefined> {
  const config: SandboxConfig = {
    tolerate: ['landlockFs', 'landlockNet', 'landlockScope', 'mandatoryDenies'],
    filesystem: { allowedPaths: [folder] },
    resources: { ...(maxIo ? { maxIo } : {}) }
  }
  const file = join(folder, 'file')
  const began = performance.now()
  const words = ['dd', 'if=/dev/zero', `of=${file}`, 'bs=256K', `count=${SIZE / 2 ** 18}`, 'oflag=direct']
  try {
    const jail = await spawnSandboxed(config, words, { stdio: ['ignore', 'ignore', 'ignore'] })
    expect(await jail.exited).toMatchObject({ code: 0 })
  } catch (error) {
    if (error instanceof QiError && ['QI_PROTECTION', 'QI_LIMIT_UNSUPPORTED', 'QI_LIMIT'].includes(error.code)) return
    throw error
  }
  expect(statSync(file).size).toBe(SIZE)
  return performance.now() - began
}

test('what is written to the disk is slowed down to the limit', async () => {
  const limited = await write({ writeBytes: PER_SECOND, path: folder })
  skipUnless(limited !== undefined, 'this host cannot limit the disk of /var/tmp')
  // The kernel lets the first bytes through before it counts.
  expect(limited).toBeGreaterThan(((SIZE / PER_SECOND) * 1000) / 2)
  expect(await write()).toBeLessThan(limited as number)
})
