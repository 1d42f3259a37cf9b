import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const at = (path: string) => fileURLToPath(new URL(`../../bench/${path}`, import.meta.url))

test.each([
  'launch.mjs',
  'limits/run.mjs',
  'network/run.mjs',
  'peers/run.mjs',
  'many.mjs',
  'steady.mjs',
  'check.mjs',
  'instructions.mjs'
])('%s --help says what it takes, and measures nothing', (name) => {
  const run = (flag: string) => spawnSync(process.execPath, [at(name), flag], { encoding: 'utf8' })
  const { status, stdout, stderr } = run('--help')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(new RegExp(`node bench/${name} \\[--(rounds|jails) N\\]`))
  expect(run('--no-such-flag').status).not.toBe(0)
})
