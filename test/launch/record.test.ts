import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { spawnSandboxed } from '../../src/index.js'
import { loadAddon } from '../../src/launch/locate.js'

test('what cannot be recorded is not run', async () => {
  // /dev/full takes the open and refuses every write: a full disk.
  const launch = spawnSandboxed({ audit: { file: '/dev/full' } }, ['/bin/true'])
  await expect(launch).rejects.toMatchObject({
    code: expect.stringMatching(/^QI_(LAUNCH|AUDIT_FILE)$/),
    hint: expect.stringContaining('audit file')
  })
})

test('the first line of an audit file is there before the payload can be', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'qi-record-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'audit')
  const jail = await spawnSandboxed({ audit: { file } }, ['/bin/true'])
  expect(await jail.exited).toMatchObject({ code: 0 })
  const actions = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event.action)
  expect(actions).toEqual(['jail.launch', 'jail.exit'])
})

test.each([
  undefined,
  {},
  { monitor: 1, plan: new Uint8Array(8), stdio: [-2, -2, -2], auditFd: -1 },
  { monitor: '/bin/true', plan: 'x', stdio: [-2, -2, -2], auditFd: -1 },
  { monitor: '/bin/true', plan: new Uint16Array(8), stdio: [-2, -2, -2], auditFd: -1 },
  { monitor: '/bin/true', plan: new Uint8Array(8), stdio: [-2, -2], auditFd: -1 },
  { monitor: '/bin/true', plan: new Uint8Array(8), stdio: [-2, -2, -2] }
])('the addon refuses arguments of other types: %j', (options) => {
  expect(() => loadAddon().spawn(options as never)).toThrow(/arguments of spawn/)
})
