import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { as, checkoutFor, environmentOf, homeOf, users } from '../support/user.js'

test.each(users)('the demo holds all its expectations, run by %s', async (user) => {
  const [checkout, home] = [checkoutFor(user), homeOf(user)]
  onTestFinished(checkout.remove)
  onTestFinished(home.remove)
  const [file, args] = as(user, [process.execPath, join(checkout.path, 'examples/demo.mjs')])
  const { stdout } = await promisify(execFile)(file, args, { cwd: home.path, env: environmentOf(home.path) })
  expect(stdout).toContain('Everything held.')
  expect(stdout).not.toContain('FAIL')
  expect(stdout).not.toContain('\x1b[') // no colours but on a terminal
  expect(
    stdout.split('\n').filter((line) => /^ {2}ok .* (EPERM|EACCES|ENOENT|EROFS|EAGAIN|EAI_AGAIN) /.test(line)).length
  ).toBeGreaterThan(20)
})
