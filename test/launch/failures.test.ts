import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { kernelBefore } from '../support/kernel.js'
import { drive, file, type JobRequest, type JobResult, scratch, type User, users } from './driver.js'

/** Failures as they come, not injected ones: each refused with its code, and nothing is left of the launch. */
const cases: [what: string, expected: object, make: (home: string, user: User) => JobRequest][] = [
  [
    'qi-monitor is not there',
    { code: 'QI_SPAWN', message: expect.stringContaining('ENOENT') },
    (home) => ({ config: {}, argv: ['/bin/true'], options: { monitor: join(home, 'none') } })
  ],
  [
    'qi-monitor ends at once',
    { code: 'QI_MONITOR_LOST' },
    () => ({ config: {}, argv: ['/bin/true'], options: { monitor: '/bin/false' } })
  ],
  [
    'a descriptor is not open',
    { code: 'QI_CONFIG', message: expect.stringContaining('stdio[1] = 9999') },
    () => ({ config: {}, argv: ['/bin/true'], options: { stdio: ['pipe', 9999, 'pipe'] } })
  ],
  [
    'a standard stream has no choice',
    { code: 'QI_CONFIG', message: expect.stringContaining('stdio[1]') },
    () => ({ config: {}, argv: ['/bin/true'], options: { stdio: ['pipe'] as never } })
  ],
  [
    'the working directory of the caller is relative',
    { code: 'QI_CWD', message: expect.stringContaining('"foo"') },
    () => ({ config: {}, argv: ['/bin/true'], options: { cwd: 'foo' } })
  ],
  [
    'one argument is longer than the kernel takes',
    { code: 'QI_ARGV_TOO_LARGE', errno: 'E2BIG' },
    () => ({ config: {}, argv: ['/bin/true', 'x'.repeat(200_000)] })
  ],
  [
    'all arguments are 10 MB',
    { code: 'QI_ARGV_TOO_LARGE', errno: 'E2BIG' },
    () => ({ config: {}, argv: ['/bin/true', ...Array.from({ length: 100 }, () => 'x'.repeat(100_000))] })
  ],
  [
    'the private root does not fit its own limit',
    { code: 'QI_LAUNCH', stepName: 'MakeSkeleton', errno: 'ENOSPC' },
    () => ({ config: { resources: { tmpSize: 4096 } }, argv: ['/bin/true'] })
  ],
  [
    'the interpreter of a script is not there',
    { name: 'QiError', code: expect.stringMatching(/^QI_/) },
    (home, user) => {
      const script = file(join(home, 'script'), '#!/none/such\n', user)
      chmodSync(script, 0o755)
      return { config: {}, argv: [script] }
    }
  ]
]

describe.each(users)('launched by %s', (user) => {
  const home = scratch(user, afterAll)
  let running: Promise<JobResult[]> | undefined

  test.each(cases.map(([what, expected], i) => [what, expected, i] as const))('%s', async (_what, expected, i) => {
    // All in one process: what one leaves the next one shows.
    running ??= drive(
      user,
      home,
      cases.map(([, , make]) => make(home, user))
    )
    const result = (await running)[i]
    expect(result?.error).toMatchObject(expected)
    const { rss: _before, ...before } = result?.before ?? {}
    const { rss: _after, ...after } = result?.after ?? {}
    expect(after).toEqual(before)
  })
})

// Not half: without the cookie qi-monitor could not tell the payload's sockets from the host's.
test.each(users)('a host in the policy of %s needs a kernel that tells network namespaces apart', async (user) => {
  const home = scratch(user)
  const job = { config: { network: { allowedHosts: ['203.0.113.10:443'] } }, argv: ['/bin/true'] }
  const [result] = await drive(user, home, [job])
  const refused = { code: 'QI_LAUNCH', stepName: 'StartGateway', errno: 'ENOPROTOOPT' }
  if (!kernelBefore(5, 14)) return expect(result?.exit).toMatchObject({ code: 0 })
  expect(result?.error).toMatchObject({ ...refused, hint: expect.stringContaining('needs Linux 5.14') })
})
