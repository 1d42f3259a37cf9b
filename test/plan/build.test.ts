import { describe, expect, test } from 'vitest'
import { MountKind, PlanFlag } from '../../src/plan/layout.gen.js'
import type { Deny, ProtectionName } from '../../src/profile/types.js'
import { build, describeMount, facts, grant, limits, planOf, profile, rootFacts } from './samples.js'

const deny = (path: string, now: Deny['now'], kind: Deny['kind'] = 'write'): Deny => ({
  path,
  kind,
  now,
  origin: `deny ${path}`
})
const DENIES = [
  deny('/srv/app/data/.env', 'file'),
  deny('/srv/app/data/.git/hooks', 'dir'),
  deny('/srv/app/data/.git/config', 'missing'),
  deny('/srv/app/secret', 'file', 'read'),
  deny('/srv/app/keys', 'dir', 'read')
]
const TOLERANT: ProtectionName[] = ['landlockFs', 'landlockNet', 'landlockScope', 'mandatoryDenies']

const goldens = {
  'mounts-user': () => planOf(profile({ denies: DENIES }), facts()),
  'mounts-root': () => planOf(profile({ denies: DENIES, devices: { pty: true } }), rootFacts()),
  'mounts-no-landlock': () => planOf(profile({ denies: DENIES, tolerate: TOLERANT }), facts({ landlockAbi: 0 }))
}

test.each(Object.entries(goldens))('%s: the private root, step by step', async (name, make) => {
  const plan = make()
  const lines = [
    ...plan.mounts.map(describeMount),
    ...plan.guardedNames.map((one) => `guard    ${one.parent} ${one.name}: ${one.rule}`),
    ...plan.guardedGrants.map((path) => `guarded  ${path}`)
  ]
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(`golden/${name}.txt`)
})

describe('the order of the private root', () => {
  const { mounts } = planOf(profile({ denies: DENIES }))
  const at = (kind: number, target: string) => mounts.findIndex((op) => op.kind === kind && op.target === target)

  test('nothing is made once something is attached', () => {
    const attaching: number[] = [
      MountKind.Bind,
      MountKind.Device,
      MountKind.Proc,
      MountKind.SelfBind,
      MountKind.Mask,
      MountKind.DevPts
    ]
    const making: number[] = [MountKind.Dir, MountKind.File, MountKind.Symlink]
    const firstAttached = mounts.findIndex((op) => attaching.includes(op.kind))
    expect(mounts.slice(firstAttached).filter((op) => making.includes(op.kind))).toEqual([])
  })

  test('everything is read-only before anything is made writable', () => {
    const readOnly = at(MountKind.SetAttr, '/')
    expect(readOnly).toBeGreaterThan(0)
    for (const op of mounts.slice(0, readOnly)) expect(op.attrClear & 1).toBe(0)
    expect(at(MountKind.Bind, '/srv/app/data')).toBeGreaterThan(readOnly)
    expect(at(MountKind.SelfBind, '/tmp')).toBeGreaterThan(readOnly)
  })

  test('a grant comes before those inside it, a deny after all of them', () => {
    expect(at(MountKind.Bind, '/srv/app')).toBeLessThan(at(MountKind.Bind, '/srv/app/data'))
    const lastGrant = mounts.findLastIndex((op) => op.kind === MountKind.Bind)
    for (const path of ['/srv/app/data/.env', '/srv/app/data/.git', '/srv/app/data/.git/hooks'])
      expect(at(MountKind.SelfBind, path)).toBeGreaterThan(lastGrant)
    expect(at(MountKind.SelfBind, '/srv/app/data/.git')).toBeLessThan(
      at(MountKind.SelfBind, '/srv/app/data/.git/hooks')
    )
    expect(at(MountKind.Mask, '/srv/app/secret')).toBeGreaterThan(lastGrant)
  })

  test('a read-only grant inside a writable one is attached after it', () => {
    const grants = [grant('/srv', { access: 'rw' }), grant('/srv/lib')]
    const inner = planOf(profile({ grants })).mounts
    const index = (path: string) => inner.findIndex((op) => op.kind === MountKind.Bind && op.target === path)
    expect(index('/srv/lib')).toBeGreaterThan(index('/srv'))
    expect((inner[index('/srv/lib')]?.attrSet ?? 0) & 1).toBe(1)
  })
})

describe('flags', () => {
  const has = (flags: number, flag: keyof typeof PlanFlag) => (flags & PlanFlag[flag]) !== 0

  test('say what the launcher passes', () => {
    const { flags } = planOf(profile(), facts(), { control: true, auditFile: true, traceSteps: true })
    for (const flag of ['Control', 'Audit', 'TraceSteps'] as const) expect(has(flags, flag)).toBe(true)
    for (const flag of ['Privileged', 'ShareHostNetwork', 'DevPts', 'GuardCreates'] as const)
      expect(has(flags, flag)).toBe(false)
    expect(planOf(profile(), facts(), { control: false }).flags).toBe(0)
  })

  test('say what the profile asks for', () => {
    expect(has(planOf(profile(), rootFacts()).flags, 'Privileged')).toBe(true)
    expect(has(planOf(profile({ devices: { pty: true } })).flags, 'DevPts')).toBe(true)
    expect(has(planOf(profile({ denies: DENIES })).flags, 'GuardCreates')).toBe(true)
    const network = { mode: 'dangerouslyShareHostNetwork', innerLoopback: false } as const
    expect(has(planOf(profile({ network })).flags, 'ShareHostNetwork')).toBe(true)
    expect(has(planOf(profile({ network: { mode: 'none', innerLoopback: true } })).flags, 'InnerLoopback')).toBe(true)
  })

  test('only the caller’s grants are id-mapped, and only for root', () => {
    const mapped = (on = facts()) =>
      planOf(profile(), on)
        .mounts.filter((op) => op.flags & 2)
        .map((op) => op.target)
    expect(mapped()).toEqual([])
    expect(mapped(rootFacts())).toEqual(expect.arrayContaining(['/srv/app', '/srv/app/data']))
    expect(mapped(rootFacts())).not.toContain('/usr')
  })
})

describe('Landlock', () => {
  const expected: [abi: number, fs: bigint, net: bigint, scope: bigint][] = [
    [0, 0n, 0n, 0n],
    [1, 0x1fffn, 0n, 0n],
    [2, 0x3fffn, 0n, 0n],
    [3, 0x7fffn, 0n, 0n],
    [4, 0x7fffn, 3n, 0n],
    [5, 0xffffn, 3n, 0n],
    [6, 0xffffn, 3n, 3n],
    [7, 0xffffn, 3n, 3n]
  ]
  test.each(expected)('ABI %i', (landlockAbi, landlockFs, landlockNet, landlockScope) => {
    const plan = planOf(profile({ tolerate: TOLERANT }), facts({ landlockAbi }))
    expect(plan).toMatchObject({ landlockFs, landlockNet, landlockScope })
    expect(plan.landlockRules.length > 0).toBe(landlockAbi > 0)
  })

  test('writing is granted where the profile grants it, and nowhere else', () => {
    const writes = planOf()
      .landlockRules.filter((rule) => rule.access & 2n)
      .map((rule) => rule.path)
    expect(writes.sort()).toEqual(['/dev', '/dev/shm', '/srv/app/data', '/tmp'])
  })

  test('no name can be made in a guarded grant', () => {
    const rule = planOf(profile({ denies: DENIES })).landlockRules.find((one) => one.path === '/srv/app/data')
    const making = 0b1111111_000000n | (1n << 13n)
    expect((rule?.access ?? making) & making).toBe(0n)
  })
})

describe('what the host lacks', () => {
  const refusal = (act: () => unknown) => {
    try {
      act()
    } catch (error) {
      return error
    }
    return undefined
  }

  const elsewhere: ProtectionName[] = ['landlockNet', 'landlockScope']

  test('no Landlock ends the launch, unless that is tolerated', () => {
    const lacking = facts({ landlockAbi: 0 })
    const bad = refusal(() => build(profile({ tolerate: elsewhere }), lacking))
    expect(bad).toMatchObject({ code: 'QI_PROTECTION', value: 'landlockFs' })
    const { plan, protections } = build(profile({ tolerate: TOLERANT }), lacking)
    expect(protections.find((one) => one.name === 'landlockFs')?.state).toBe('off')
    expect(plan.flags & PlanFlag.LandlockOptional).not.toBe(0)
  })

  test.each([1, 2])('Landlock ABI %i is said to be degraded, and must work', (landlockAbi) => {
    const { plan, protections } = build(profile({ tolerate: TOLERANT }), facts({ landlockAbi }))
    expect(protections.find((one) => one.name === 'landlockFs')?.state).toBe('degraded')
    expect(plan.flags & PlanFlag.LandlockOptional).toBe(0)
  })

  test('missing names that cannot be guarded end it, too', () => {
    const tolerate: ProtectionName[] = ['landlockFs', 'landlockNet', 'landlockScope']
    const bad = refusal(() => build(profile({ denies: DENIES, tolerate }), facts({ landlockAbi: 0 })))
    expect(bad).toMatchObject({ code: 'QI_PROTECTION', value: 'mandatoryDenies' })
  })

  test('no notifications: nothing can be tolerated', () => {
    const seccomp = { userNotif: false, waitKillableRecv: false }
    expect(refusal(() => build(profile({ tolerate: TOLERANT }), facts({ seccomp })))).toMatchObject({
      code: 'QI_PROTECTION'
    })
  })
})

test('limits become rlimits, core dumps are off', () => {
  const some = limits({
    maxFileDescriptors: 10,
    maxFileSize: 20,
    maxProcesses: 30,
    maxMemory: 40,
    maxExecutionTime: 50,
    tmpSize: 60
  })
  const plan = planOf(profile({ limits: some, tolerate: ['memoryLimit'] }))
  expect(Object.fromEntries(plan.rlimits.map(({ resource, value }) => [resource, value]))).toEqual({
    7: 10n,
    1: 20n,
    6: 30n,
    4: 0n
  })
  expect(plan).toMatchObject({ wallClockMs: 50n, rootBytes: 60n })
})
