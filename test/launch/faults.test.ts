import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { AuditLogSchema } from '../../src/event/schema.js'
import { STEPS } from '../../src/launch/steps.gen.js'
import { hasHosts, hasLandlock } from '../support/kernel.js'
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

/** Taken where there are no user namespaces only, by another kind of launch (test/tier). */
const OF_THE_TIER = ['MakeTemp', 'ReachPayload', 'ReapOrphans', 'StartWarden']
/** Of a run without a host (native/test/control_server_test.cc). */
const OF_THE_CLI = 'OpenControl'
const steps = Object.keys(STEPS)
  .map(Number)
  .filter((step) => ![...OF_THE_TIER, OF_THE_CLI].includes(STEPS[step]?.name ?? ''))
/** Taken by a launch ahead of time only. */
const OF_A_POOL = 'AwaitGo'
const ONLY_ROOT = ['IdMapGrant', 'PassGrants', 'BecomePayloadUser']
const reachedBy = (user: User) =>
  steps.filter((step) => user === 'root' || !ONLY_ROOT.includes(STEPS[step]?.name ?? ''))
/** Reached where the host gives the jail a cgroup of its own; the first in a systemd scope only, the last elsewhere only. */
const OF_A_SCOPE = 'AskForScope'
const OF_A_CGROUP = ['OpenCgroupParent', 'MakeCgroup', 'LimitCgroup', 'OpenCgroupFiles', 'EnterCgroup']
const OF_A_SUBTREE = 'StartKeeper'
/** Of what older kernels do not have. */
const OF_HOSTS = ['AddLocalRoutes', 'OpenRelays', 'ReceiveRelays', 'StartGateway', 'ConfineGateway']
const OF_LANDLOCK = ['LandlockRuleset', 'LandlockRule', 'LandlockRestrict', 'Mediate']
const OF_A_GROUP = [OF_A_SCOPE, ...OF_A_CGROUP, OF_A_SUBTREE]
const MAYBE = [...OF_A_GROUP, ...(hasHosts() ? [] : OF_HOSTS), ...(hasLandlock() ? [] : OF_LANDLOCK)]
/** More than the profile does, but not for memory. */
const TOLERATED: JobRequest['config']['tolerate'] = ['landlockFs', 'landlockNet', 'landlockScope', 'mandatoryDenies']
const nameOf = (step: number | string) => STEPS[Number(step)]?.name ?? ''

type Limits = Pick<JobRequest['config'], 'resources' | 'tolerate'>

/** A limit that only a cgroup enforces, if this host has one for the user: without, such a launch is refused. */
async function limitFor(user: User, home: string): Promise<Limits> {
  const limits: Limits = { resources: { maxMemory: '512M' }, tolerate: TOLERATED }
  const [probe] = await drive(user, home, [{ config: limits, argv: ['/bin/true'] }])
  if (probe?.error) expect(probe.error.message).toMatch(/^resources.maxMemory: memoryLimit /)
  return probe?.error ? {} : limits
}

/**
 * One launch that goes through every step there is for this kernel: a writable grant, a deny and a denied pattern in it, a pty, one allowed
 * host, a limit where there are cgroups.
 */
function job(home: string, step: number, limits: Limits): JobRequest {
  const project = join(home, 'project')
  return {
    config: {
      ...limits,
      filesystem: {
        allowedPaths: [project],
        deniedPaths: [join(project, 'secret'), ...(hasLandlock() ? ['**/*.key'] : [])],
        mediate: hasLandlock(),
        tempDirectory: '/var/tmp' // names in the payload's own, which is /tmp else, cannot be denied
      },
      devices: { pty: true },
      network: {
        ...(hasHosts() ? { allowedHosts: ['203.0.113.10:443'] } : {}),
        allowUnixSockets: [join(home, 'socket')]
      },
      audit: { file: join(home, `audit-${step}.jsonl`) }
    },
    argv: ['/bin/sh', '-c', `echo ran > ${project}/ran`],
    ...(nameOf(step) === OF_A_POOL ? { pool: 1 } : {}),
    options: {
      traceSteps: true,
      monitor: join(release, 'qi-monitor-fault'),
      monitorEnvironment: [`QI_FAULT_STEP=${step}`]
    }
  }
}

describe.each(users)('a launch by %s in which a step fails', (user) => {
  const home = scratch(user, afterAll)
  let running: Promise<JobResult[]> | undefined
  const server = createServer()
  afterAll(() => {
    server.close()
  })
  const results = () => {
    if (!running) {
      server.listen(join(home, 'socket'))
      folder(join(home, 'project'), user)
      file(join(home, 'project/secret'), 'x', user)
      running = limitFor(user, home).then((limit) =>
        drive(
          user,
          home,
          [0, ...reachedBy(user)].map((step) => job(home, step, limit))
        )
      )
    }
    return running
  }

  test('works when none fails', async () => {
    const [unharmed] = await results()
    expect(unharmed?.exit).toMatchObject({ code: 0 })
    expect(existsSync(join(home, 'project/ran'))).toBe(true)
  })

  test('makes a cgroup, with all its steps, or none', async () => {
    const [unharmed] = await results()
    const reached = Object.keys(unharmed?.trace ?? {}).map(nameOf)
    const limited = unharmed?.protections?.find(({ name }) => name === 'memoryLimit')?.state === 'enforced'
    expect(OF_A_CGROUP.filter((name) => reached.includes(name))).toEqual(limited ? OF_A_CGROUP : [])
    const sources = [OF_A_SCOPE, OF_A_SUBTREE].filter((name) => reached.includes(name))
    expect(sources).toHaveLength(limited ? 1 : 0)
  })

  test.each(reachedBy(user).map((step) => [step, nameOf(step)] as const))('%i %s', async (step, name) => {
    const all = await results()
    const result = all[reachedBy(user).indexOf(step) + 1] as JobResult
    if (MAYBE.includes(name) && all[0]?.trace?.[step] === undefined) {
      expect(result.exit).toMatchObject({ code: 0 }) // a step that is not reached cannot fail
      return
    }
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
    const server = createServer().listen(join(home, 'socket'))
    const limit = await limitFor(user, home)
    const late = steps.filter((step) => step >= 41 && !MAYBE.includes(nameOf(step)))
    const jobs = late.flatMap((step) => Array.from({ length: 5 }, () => job(home, step, limit)))
    for (const result of await drive(user, home, jobs)) expect(result.error?.errno).toBe('ECANCELED')
    expect(existsSync(join(project, 'ran'))).toBe(false)
    server.close()
  })
})

describe.each(users)('where %s can do without a cgroup', (user) => {
  test('the watchdog stands in when a step of its making fails, and the launch says which', async () => {
    const home = scratch(user)
    folder(join(home, 'project'), user)
    file(join(home, 'project/secret'), 'x', user)
    const server = createServer().listen(join(home, 'socket'))
    const limits = { resources: { maxMemory: '512M' }, tolerate: [...TOLERATED, 'memoryLimit' as const] }
    const making = steps.filter((step) => OF_A_GROUP.includes(nameOf(step)))
    const [unharmed, ...harmed] = await drive(
      user,
      home,
      [0, ...making].map((step) => job(home, step, limits))
    )
    server.close()
    const memoryLimit = (result?: JobResult) => result?.protections?.find(({ name }) => name === 'memoryLimit')
    for (const [i, result] of harmed.entries()) {
      const step = making[i] as number
      expect(result).toMatchObject({ exit: { code: 0 } })
      const reached = unharmed?.trace?.[step] !== undefined
      expect(memoryLimit(result)?.state).toBe(reached ? 'degraded' : memoryLimit(unharmed)?.state)
      if (reached) expect(memoryLimit(result)?.reason).toContain(`step ${step}: ECANCELED`)
      const { rss: _before, ...before } = result.before
      const { rss: _after, ...after } = result.after
      expect(after).toEqual(before)
    }
  })
})
