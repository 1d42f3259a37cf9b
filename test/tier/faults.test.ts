import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { probeHost } from '../../src/host/probe.js'
import { STEPS } from '../../src/launch/steps.gen.js'
import { drive, folder, type JobRequest, type JobResult, readAudit, release, scratch } from '../launch/driver.js'
import { hasLandlock, requireLandlock } from '../support/kernel.js'

const OF_THE_TIER = [
  'MakeTemp',
  'ReachPayload',
  'ReapOrphans',
  ...(probeHost().landlockAbi >= 6 ? ['StartWarden'] : [])
]
const SHARED = ['ReadPlan', 'CloneJail', 'CloseFds', 'AwaitMaps', 'ForkPayload', 'ConfineInit', 'ConfineMonitor']
const LATE = ['LandlockRestrict', 'InstallFilter', 'PassListener', 'RecordLaunch', 'Exec']
const numberOf = (name: string) => Number(Object.entries(STEPS).find(([, step]) => step.name === name)?.[0])

const home = scratch('plain', afterAll)

/** No fault with 0. The private folder lies where what is left is counted. */
const job = (step: number): JobRequest => ({
  config: {
    profile: 'dev',
    protections: { userNamespace: 'off' },
    filesystem: { allowedPaths: [join(home, 'project')], tempDirectory: join(home, 'tmp') },
    audit: { file: join(home, `audit-${step}.jsonl`) }
  },
  argv: ['/bin/sh', '-c', `echo ran > ${home}/project/ran-${step}`],
  options: {
    cwd: join(home, 'project'),
    traceSteps: true,
    monitor: join(release, 'qi-monitor-fault'),
    monitorEnvironment: [`QI_FAULT_STEP=${step}`]
  }
})

describe('a launch without namespaces in which a step fails', () => {
  const names = [...OF_THE_TIER, ...SHARED, ...LATE]
  let results: JobResult[]
  beforeEach(requireLandlock)
  beforeAll(async () => {
    if (!hasLandlock()) return
    folder(join(home, 'project'), 'plain')
    results = await drive('plain', home, [0, ...names.map(numberOf)].map(job))
  }, 180_000)

  test('works when none fails, and goes through each of them', () => {
    expect(results[0]?.exit).toMatchObject({ code: 0 })
    expect(existsSync(join(home, 'project/ran-0'))).toBe(true)
    const reached = Object.keys(results[0]?.trace ?? {}).map((step) => STEPS[Number(step)]?.name)
    expect(reached).toEqual(expect.arrayContaining(names))
  })

  test.each(names)('%s: it is told, nothing ran, nothing is left', (name) => {
    const step = numberOf(name)
    const result = results[names.indexOf(name) + 1] as JobResult
    expect(result.error).toMatchObject({ name: 'QiError', code: 'QI_LAUNCH', step, stepName: name, errno: 'ECANCELED' })
    const failed = readAudit(join(home, `audit-${step}.jsonl`)).filter(({ event }) => event.outcome === 'error')
    expect(failed).toHaveLength(1)
    expect(failed[0]?.context.parameters).toMatchObject({ step, errno: 'ECANCELED' })
    expect(existsSync(join(home, `project/ran-${step}`))).toBe(false)
    const { rss: _before, ...before } = result.before
    const { rss: _after, ...after } = result.after
    expect(after).toEqual(before)
  })
})
