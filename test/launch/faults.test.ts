import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { AuditLogSchema } from '../../src/event/schema.js'
import { STEPS } from '../../src/launch/steps.gen.js'
import {
  drive,
  file,
  folder,
  type JobRequest,
  type JobResult,
  readAudit,
  release,
  scratch,
  type User,
  users
} from './driver.js'

const steps = Object.keys(STEPS).map(Number)
const ONLY_ROOT = ['IdMapGrant', 'PassGrants', 'BecomePayloadUser']
const reachedBy = (user: User) =>
  steps.filter((step) => user === 'root' || !ONLY_ROOT.includes(STEPS[step]?.name ?? ''))

/** One launch that goes through every step there is: a writable grant, a deny in it, a pty, one allowed host. */
function job(home: string, step: number): JobRequest {
  const project = join(home, 'project')
  return {
    config: {
      filesystem: { allowedPaths: [project], deniedPaths: [join(project, 'secret')] },
      devices: { pty: true },
      network: { allowedHosts: ['203.0.113.10:443'] },
      audit: { file: join(home, `audit-${step}.jsonl`) }
    },
    argv: ['/bin/sh', '-c', `echo ran > ${project}/ran`],
    options: { monitor: join(release, 'qi-monitor-fault'), monitorEnvironment: [`QI_FAULT_STEP=${step}`] }
  }
}

describe.each(users)('a launch by %s in which a step fails', (user) => {
  const home = scratch(user, afterAll)
  let running: Promise<JobResult[]> | undefined
  const results = () => {
    if (!running) {
      folder(join(home, 'project'), user)
      file(join(home, 'project/secret'), 'x', user)
      running = drive(
        user,
        home,
        [0, ...reachedBy(user)].map((step) => job(home, step))
      )
    }
    return running
  }

  test('works when none fails', async () => {
    const [unharmed] = await results()
    expect(unharmed?.exit).toMatchObject({ code: 0 })
    expect(existsSync(join(home, 'project/ran'))).toBe(true)
  })

  test.each(reachedBy(user).map((step) => [step, STEPS[step]?.name]))('%i %s', async (step, name) => {
    const result = (await results())[reachedBy(user).indexOf(step as number) + 1] as JobResult
    expect(result.error).toMatchObject({ name: 'QiError', code: 'QI_LAUNCH', step, stepName: name, errno: 'ECANCELED' })
    const events = readAudit(join(home, `audit-${step}.jsonl`))
      .map((event) => AuditLogSchema.parse(event))
      .filter(({ event }) => event.outcome === 'error') // before the exec the launch was recorded as done
    expect(events).toHaveLength(1)
    expect(events[0]?.event).toMatchObject({ action: 'jail.launch', outcome: 'error' })
    expect(events[0]?.context.parameters).toMatchObject({ step, errno: 'ECANCELED' })
    const { rss: _before, ...before } = result.before
    const { rss: _after, ...after } = result.after
    expect(after).toEqual(before)
  })
})

describe.each(users)('nothing of the payload runs when %s launches and a step fails', (user) => {
  test('not even the last ones', async () => {
    const home = scratch(user)
    const project = folder(join(home, 'project'), user)
    const late = steps.filter((step) => step >= 41)
    const jobs = late.flatMap((step) => Array.from({ length: 5 }, () => job(home, step)))
    for (const result of await drive(user, home, jobs)) expect(result.error?.errno).toBe('ECANCELED')
    expect(existsSync(join(project, 'ran'))).toBe(false)
  })
})
