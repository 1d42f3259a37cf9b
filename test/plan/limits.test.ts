import { describe, expect, it } from 'vitest'
import type { QiError } from '../../src/errors.js'
import type { CgroupFacts } from '../../src/host/facts.js'
import { PlanFlag } from '../../src/plan/layout.gen.js'
import { withoutCgroup } from '../../src/plan/limit-states.js'
import type { ProfileLimits, ProtectionName } from '../../src/profile/types.js'
import { build, facts, limits, profile, rootFacts } from './samples.js'

const ALL = ['memory', 'cpu', 'io', 'pids']
const DISK = { path: '/srv', device: { major: 8, minor: 0, name: 'sda' } }

const none: CgroupFacts = { version: 2, mount: '/cg', source: 'none', controllers: [], reason: 'a test has none' }
const subtree: CgroupFacts = {
  version: 2,
  mount: '/cg',
  source: 'subtree',
  path: '/cg/a.service',
  controllers: ALL,
  reason: ''
}
const scope: CgroupFacts = {
  version: 2,
  mount: '/cg',
  source: 'scope',
  busSocket: '/bus',
  controllers: ALL,
  reason: ''
}

const on = (over: Partial<ProfileLimits>, cgroup: CgroupFacts, tolerate: ProtectionName[] = []) =>
  build(profile({ limits: limits(over), tolerate }), facts({ cgroup }))
const states = ({ protections }: ReturnType<typeof build>) =>
  Object.fromEntries(protections.map(({ name, state, reason }) => [name, [state, reason]]))
const flagsOf = ({ plan }: ReturnType<typeof build>) =>
  Object.entries(PlanFlag).flatMap(([name, bit]) =>
    plan.flags & bit && /Cgroup|Count|KillAt/.test(name) ? [name] : []
  )

function refusal(act: () => unknown): QiError {
  try {
    act()
  } catch (error) {
    return error as QiError
  }
  throw new Error('was not refused')
}

describe('which cgroup the plan asks for', () => {
  it('none, unless a limit needs one', () => {
    const built = on({}, subtree)
    expect(flagsOf(built)).toEqual([])
    expect(built.plan).toMatchObject({ cgroupMount: '', cgroupParent: '', busSocket: '', launcherPid: 0 })
    expect(built.plan.keeperFilter).toHaveLength(0)
    expect(states(built).memoryLimit).toEqual(['off', 'no limit asked for'])
  })

  it('the delegated one, with its keeper', () => {
    const built = on({ maxMemory: 100, memoryThreshold: 90 }, subtree)
    expect(flagsOf(built)).toEqual(['CgroupSubtree'])
    expect(built.plan).toMatchObject({ cgroupMount: '/cg', cgroupParent: '/cg/a.service', busSocket: '' })
    expect(built.plan).toMatchObject({ memoryMax: 100n, memoryThreshold: 90n, launcherPid: 0 })
    expect(built.plan.keeperFilter.length).toBeGreaterThan(0)
    expect(states(built).memoryLimit).toEqual(['enforced', 'memory.max of the whole jail, in /cg/a.service'])
  })

  it('a scope, without one', () => {
    const built = on({ maxMemory: 100 }, scope)
    expect(flagsOf(built)).toEqual(['CgroupScope'])
    expect(built.plan).toMatchObject({ cgroupMount: '/cg', cgroupParent: '', busSocket: '/bus' })
    expect(built.plan.keeperFilter).toHaveLength(0)
  })

  it('the launcher is moved only where the facts say so', () => {
    expect(on({ maxMemory: 100 }, { ...subtree, launcherPid: 77 }).plan.launcherPid).toBe(77)
    expect(on({ maxMemory: 100 }, { ...scope, launcherPid: 77 }).plan.launcherPid).toBe(0)
  })

  it('may be missing only when every limit in it may', () => {
    const both = { maxMemory: 100, maxCpu: 1 }
    expect(flagsOf(on(both, subtree, ['memoryLimit']))).toEqual(['CgroupSubtree'])
    expect(flagsOf(on(both, subtree, ['memoryLimit', 'cpuLimit']))).toEqual(['CgroupSubtree', 'CgroupOptional'])
    expect(flagsOf(on({ maxMemory: 100 }, subtree, ['memoryLimit']))).toEqual(['CgroupSubtree', 'CgroupOptional'])
    expect(flagsOf(on({}, subtree, ['memoryLimit']))).toEqual([])
  })

  it('none with resources.cgroup: off', () => {
    const built = on({ maxMemory: 100, cgroup: 'off' }, subtree, ['memoryLimit'])
    expect(flagsOf(built)).toEqual([])
    expect(states(built).memoryLimit?.[0]).toBe('degraded')
    expect(states(built).memoryLimit?.[1]).toContain('resources.cgroup forbids one')
  })

  it('none that lacks memory, when memory is to be limited: it would take the watchdog’s place', () => {
    const lacking = { ...subtree, controllers: ['cpu', 'pids'] }
    const built = on({ maxMemory: 100 }, lacking, ['memoryLimit'])
    expect(flagsOf(built)).toEqual([])
    expect(states(built).memoryLimit?.[1]).toContain('the memory controller is not to be had in /cg/a.service')
    expect(flagsOf(on({ maxCpu: 1 }, lacking))).toEqual(['CgroupSubtree'])
  })
})

describe('what a limit comes to', () => {
  it('processor time: cpu.max of 100 ms, and cpu.weight', () => {
    const built = on({ maxCpu: 0.5, cpuWeight: 7 }, subtree)
    expect(built.plan).toMatchObject({ cpuQuotaUs: 50_000, cpuWeight: 7 })
    expect(states(built).cpuLimit).toEqual(['enforced', 'cpu.max 50000 100000, cpu.weight 7, in /cg/a.service'])
    expect(on({ maxCpu: 2.5 }, subtree).plan.cpuQuotaUs).toBe(250_000)
  })

  it('processor time without a cgroup: refused with what would give one, or off', () => {
    const error = refusal(() => on({ maxCpu: 1 }, none))
    expect(error).toMatchObject({ code: 'QI_LIMIT_UNSUPPORTED', field: 'resources.maxCpu', value: 1 })
    expect(error.message).toContain('a test has none')
    expect(error.hint).toMatch(/linger.*Delegate=yes.*tolerate/s)
    expect(refusal(() => on({ cpuWeight: 5 }, none))).toMatchObject({ field: 'resources.cpuWeight', value: 5 })
    const off = refusal(() => on({ maxCpu: 1, cgroup: 'off' }, subtree))
    expect(off.hint).toContain('drop resources.cgroup')
    const built = on({ maxCpu: 1 }, none, ['cpuLimit'])
    expect(built.plan.cpuQuotaUs).toBe(0)
    expect(states(built).cpuLimit?.[0]).toBe('off')
  })

  it('memory with a cgroup that has no cpu: the one holds, the other is refused or off', () => {
    const old = { ...scope, controllers: ['memory', 'pids'] }
    expect(refusal(() => on({ maxMemory: 100, maxCpu: 1 }, old)).message).toContain('cpu controller is not to be had')
    const built = on({ maxMemory: 100, maxCpu: 1 }, old, ['cpuLimit'])
    expect(flagsOf(built)).toEqual(['CgroupScope'])
    expect(built.plan.cpuQuotaUs).toBe(0)
    expect(states(built)).toMatchObject({
      memoryLimit: ['enforced', expect.anything()],
      cpuLimit: ['off', expect.anything()]
    })
  })

  it('memory without a cgroup: the watchdog, where it is tolerated', () => {
    expect(refusal(() => on({ maxMemory: 100 }, none))).toMatchObject({ code: 'QI_PROTECTION', value: 'memoryLimit' })
    const built = on({ maxMemory: 100 }, none, ['memoryLimit'])
    expect(built.plan.memoryMax).toBe(100n)
    expect(states(built).memoryLimit?.[1]).toMatch(/watchdog.*no cgroup: a test has none/)
  })

  it('disks', () => {
    const built = on({ maxIo: { ...DISK, readBytes: 5, writeOps: 6 } }, subtree)
    expect(built.plan.ioLimits).toEqual([
      { major: 8, minor: 0, readBytes: 5n, writeBytes: 0n, readOps: 0n, writeOps: 6n }
    ])
    expect(states(built).ioLimit).toEqual(['enforced', 'io.max of sda, in /cg/a.service'])
    const unnamed = { maxIo: { path: '/srv', reason: 'no disk', readBytes: 5 } }
    expect(refusal(() => on(unnamed, subtree))).toMatchObject({
      code: 'QI_LIMIT_UNSUPPORTED',
      field: 'resources.maxIo'
    })
    const without = on(unnamed, subtree, ['ioLimit'])
    expect(flagsOf(without)).toEqual([])
    expect(states(without).ioLimit).toEqual(['off', 'no disk'])
    expect(
      refusal(() => on({ maxIo: { ...DISK, readBytes: 5 } }, { ...subtree, controllers: ['memory'] }))
    ).toMatchObject({
      code: 'QI_LIMIT_UNSUPPORTED'
    })
  })

  it('processes', () => {
    expect(states(on({}, none)).processLimit).toEqual(['enforced', expect.stringContaining('RLIMIT_NPROC')])
    expect(states(on({ maxMemory: 9 }, subtree)).processLimit?.[1]).toContain('pids.max')
    const kill = on({ onProcessLimit: 'kill' }, none)
    expect(flagsOf(kill)).toEqual(['KillAtProcessLimit'])
    expect(states(kill).processLimit?.[0]).toBe('degraded')
    const old = build(profile(), facts({ kernel: '5.10.0-30-amd64' }))
    expect(states(old).processLimit).toEqual(['degraded', expect.stringContaining('5.14')])
    expect(states(build(profile(), rootFacts({ kernel: '5.10.1' }))).processLimit?.[0]).toBe('enforced')
    expect(on({ maxProcesses: 2 ** 40 }, none).plan.processesMax).toBe(4_194_303)
  })

  it('time', () => {
    const built = on({ maxExecutionTime: 5000, terminationGrace: 7, executionClock: 'running' }, none)
    expect(built.plan).toMatchObject({ wallClockMs: 5000n, graceMs: 7 })
    expect(flagsOf(built)).toEqual(['CountRunningTime'])
    expect(states(built).wallClock?.[1]).toContain('5000 ms of running time')
  })

  it('the tmp has room for as many files as it says, whatever the jail itself has there', () => {
    const [few, many] = [on({ tmpFiles: 10 }, none), on({ tmpFiles: 110 }, none)]
    expect(few.plan.rootInodes).toBeGreaterThan(10 + few.plan.mounts.length)
    expect(many.plan.rootInodes - few.plan.rootInodes).toBe(100)
  })
})

it('a cgroup that was not to be had after all changes what is said of its limits, and of nothing else', () => {
  const of = profile({ limits: limits({ maxMemory: 100, maxCpu: 1 }), tolerate: ['memoryLimit', 'cpuLimit'] })
  const host = facts({ cgroup: subtree })
  const { protections } = build(of, host)
  const told = withoutCgroup(of, host, protections, 'step 57 EACCES')
  const changed = told.filter((now, i) => JSON.stringify(now) !== JSON.stringify(protections[i]))
  expect(changed.map(({ name, state }) => [name, state])).toEqual([
    ['memoryLimit', 'degraded'],
    ['cpuLimit', 'off'],
    ['processLimit', 'enforced']
  ])
  expect(changed[0]?.reason).toContain('step 57 EACCES')
})
