import { appendFileSync, readFileSync } from 'node:fs'
import { TestRunner } from 'vitest'

const allowedFile = new URL('../allowed-skips.txt', import.meta.url)

/** Reasons that QI_MUST_WORK=1 accepts: one a line, `#` starts a comment. */
function allowedReasons(): string[] {
  const lines = readFileSync(allowedFile, 'utf8').split('\n')
  return lines.filter((line) => line !== '' && !line.startsWith('#'))
}

/**
 * Skips the running test unless `condition` holds, and says why. Call it first thing in a test or a beforeEach.
 * Under QI_MUST_WORK=1 a skip is a failure, unless test/allowed-skips.txt lists exactly this reason.
 */
export function skipUnless(condition: unknown, reason: string): void {
  if (condition) return
  const test = TestRunner.getCurrentTest()
  if (!test) throw new Error(`skipUnless('${reason}') must be called inside a test or a beforeEach`)
  if (process.env.QI_MUST_WORK === '1' && !allowedReasons().includes(reason)) {
    throw new Error(`QI_MUST_WORK=1: this test would be skipped because: ${reason}`)
  }
  // scripts/test.sh counts these lines: a skip that did not come through here has no reason.
  if (process.env.QI_SKIP_LOG) appendFileSync(process.env.QI_SKIP_LOG, `${reason}\n`)
  test.context.skip(reason)
}
